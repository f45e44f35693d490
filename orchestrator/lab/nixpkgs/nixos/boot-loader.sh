# What a lab host's firmware and boot loader do, where it is not the plain systemd-boot that the lab knows:
# by the files in /boot as they are now, start a system. A container's manager starts the profile's.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
entries=/boot/loader/entries
init_in() { sed -n 's/.*[[:space:]]init=\([^[:space:]]*\).*/\1/p' "$@" | head -n 1; }

# An entry that has tries left has one fewer from now on; the rest of what boots is as it was.
take() { # take ENTRY-FILE
  init=$(init_in "$1")
  tries=${1##*+} left=${tries%.conf}
  case $1 in
  *+*)
    done=0
    case $left in *-*) done=${left#*-} left=${left%-*} ;; esac
    booted=${1%+*}+$((left - 1))-$((done + 1)).conf
    mv "$1" "$booted"
    ;;
  esac
}

systemd_boot() {
  preferred=$(sed -n 's/^preferred //p' /boot/loader/loader.conf)
  # One whose tries are used up is passed over.
  for entry in "$entries/${preferred%.conf}".conf "$entries/${preferred%.conf}"+[1-9]*.conf; do
    if [ -e "$entry" ]; then take "$entry" && return; fi
  done
  best=
  for entry in "$entries"/nixos-*.conf; do
    case $entry in *+0-*) continue ;; esac
    number=$(sed -n 's/^version Generation \([0-9]*\).*/\1/p' "$entry")
    if [ "$number" -gt "${best%% *}" ] 2> /dev/null || [ -z "$best" ]; then best="$number $entry"; fi
  done
  take "${best#* }"
}

booted=
case $1 in
systemd-boot-counted) systemd_boot ;;
grub) init=$(sed -n '/^menuentry/,/^}/p' /boot/grub/grub.cfg | init_in) ;;
extlinux)
  default=$(sed -n 's/^DEFAULT //p' /boot/extlinux/extlinux.conf)
  init=$(sed -n "/^LABEL $default\$/,/^\$/p" /boot/extlinux/extlinux.conf | init_in)
  ;;
*) init=/nix/var/nix/profiles/system/init ;;
esac
system=$(readlink -f "${init%/init}")
echo "booting $system by $1"
"$system/bin/boot-activate" || exit
# systemd-bless-boot: what came up is good, and has no tries any more.
[ -z "$booted" ] || mv "$booted" "${booted%+*}.conf"
