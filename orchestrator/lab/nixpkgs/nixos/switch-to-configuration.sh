# switch-to-configuration switch | boot | test | dry-activate, as NixOS's, for a lab host.
# Exit codes as NixOS's: 1 the boot loader failed, 2 activation scripts failed, 4 a unit is failed, a
# job or a user's activation failed, whatever else did; 11 another has the lock.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
action=${1-}
status=0

case $action in
switch | boot | test | dry-activate) ;;
*)
  echo "usage: switch-to-configuration switch | boot | test | dry-activate" >&2
  exit 1
  ;;
esac

# Write an entry for each of the newest generations, then, last and atomically, the default.
install_boot_loader() {
  entries=/boot/loader/entries default= count=0 written= kernel=EFI/nixos/kernel.efi
  mkdir -p "$entries" "/boot/${kernel%/*}"
  [ -e "/boot/$kernel" ] || : > "/boot/$kernel"
  for number in $(ls /nix/var/nix/profiles | sed -n 's/^system-\([0-9]*\)-link$/\1/p' | sort -rn); do
    generation=$(readlink -f "/nix/var/nix/profiles/system-$number-link")
    # One whose files are gone cannot be booted.
    [ -e "$generation/init" ] || continue
    if [ "$generation" = "$system" ] && [ -z "$default" ]; then default=$number; fi
    count=$((count + 1))
    [ $count -le "$limit" ] || [ "$default" = "$number" ] || continue
    entry=nixos-generation-$number.conf
    printf 'title NixOS\nversion Generation %s %s\nlinux /%s\noptions init=%s/init %s\nsort-key nixos\n' \
      "$number" "$(cat "$generation/nixos-version")" "$kernel" "$generation" \
      "$(cat "$generation/kernel-params" 2>/dev/null)" > "$entries/.$entry" &&
      sync "$entries/.$entry" &&
      mv "$entries/.$entry" "$entries/$entry" || return 1
    written="$written $entry"
  done
  [ -n "$default" ] || { echo "no generation of the system profile is $system" >&2; return 1; }
  printf 'timeout 5\ndefault nixos-generation-%s.conf\n' "$default" > /boot/loader/.loader.conf &&
    sync /boot/loader/.loader.conf &&
    mv /boot/loader/.loader.conf /boot/loader/loader.conf || return 1
  for entry in "$entries"/nixos-generation-*.conf; do
    case " $written " in *" ${entry##*/} "*) ;; *) rm -f "$entry" ;; esac
  done
}

# As NixOS's check before a switch: a component that both generations name must be the same in both.
changes() {
  sed -n 's/^\(".*"\):\(".*"\),*$/\1 \2/p' /run/current-system/switch-inhibitors |
    while read -r name old; do
      new=$(sed -n 's/,*$//;'"s/^$name://p" "$system/switch-inhibitors")
      if [ -n "$new" ] && [ "$new" != "$old" ]; then echo "$name : $old -> $new"; fi
    done
} 2>/dev/null
case $action in
switch | test)
  if [ "${NIXOS_NO_CHECK-}" != 1 ] && [ -n "$(changes)" ]; then
    echo "There are changes to critical components of the system:"
    changes
    echo "Pre-switch check 'switchInhibitors' failed"
    exit 1
  fi >&2
  ;;
esac

# Two at once would plan against each other's half-done work.
if [ "$action" != dry-activate ]; then
  exec 9> /run/switch-to-configuration.lock
  flock -n 9 || { echo "Could not acquire lock" >&2; exit 11; }
fi
case $action in
switch | boot) install_boot_loader || exit 1 ;;
esac
[ "$action" = boot ] && exit 0

# /nowhere: the first generation of a machine that has none.
old=$(readlink -f /run/current-system 2>/dev/null) && [ -e "$old" ] || old=/nowhere
# Units that a switch had still to see to, when it was ended or when they failed: for the next one.
pending=/run/switch-pending
stop= restart= reload= start= reload_sshd=

has() { case " $2 " in *" $1 "*) ;; *) return 1 ;; esac; }

# A changed unit: again if it runs, now if something wants it, and not at all otherwise.
again() { # again UNIT WANTED
  has "$1" "$restart $reload $start" && return
  case $(systemctl show --property ActiveState --value "$1") in
  active | activating | reloading | deactivating)
    if grep -q '^X-ReloadIfChanged=true' "$system/etc/systemd/system/$1"; then
      reload="$reload $1"
    elif ! grep -q '^X-RestartIfChanged=false' "$system/etc/systemd/system/$1"; then
      restart="$restart $1"
    fi
    ;;
  *) if [ "$2" = wanted ]; then start="$start $1"; fi ;;
  esac
}

if [ -e "$old/units" ]; then
  while read -r unit _; do
    [ -e "$system/etc/systemd/system/$unit" ] || stop="$stop $unit"
  done < "$old/units"
fi
while read -r unit wanted; do
  file=etc/systemd/system/$unit
  if [ ! -e "$old/$file" ]; then
    if [ "$wanted" = wanted ]; then start="$start $unit"; fi
  elif ! cmp -s "$old/$file" "$system/$file" || grep -Fxq -e "$unit" "$pending" 2>/dev/null; then
    again "$unit" "$wanted"
  fi
done < "$system/units"
if [ -e "$pending" ]; then
  # One of a generation that did not get far, and that this one does not have.
  while read -r unit; do
    case $unit in *.*) ;; *) continue ;; esac
    [ -e "$system/etc/systemd/system/$unit" ] || has "$unit" "$stop" || stop="$stop $unit"
  done < "$pending"
fi
sshd=etc/ssh/sshd_config.d/50-nixos.conf
if [ -e "$old/$sshd" ] || [ -e "$system/$sshd" ]; then
  if ! cmp -s "$old/$sshd" "$system/$sshd" || [ -e "$pending" ]; then reload_sshd=1; fi
fi

if [ "$action" = dry-activate ]; then
  [ -z "$stop" ] || echo "would stop the following units:$stop"
  [ -z "$reload" ] || echo "would reload the following units:$reload"
  [ -z "$restart" ] || echo "would restart the following units:$restart"
  [ -z "$start" ] || echo "would start the following units:$start"
  exit 0
fi

{
  if [ -e "$pending" ]; then cat "$pending"; fi
  printf '%s\n' "$action" $stop $restart $reload $start
} | sort -u > "$pending.new" && mv "$pending.new" "$pending"

job() { # job WORD UNIT…
  word=$1
  shift
  systemctl "$word" "$@" && return
  status=4
  for unit; do
    if systemctl is-failed --quiet "$unit"; then echo "Failed to $word $unit"; fi
  done
}

# What a user's manager does of its own is a part of the switch, and its failure one of it.
users() {
  for manager in $(systemctl list-units --plain --no-legend --state=active 'user@*.service' |
    cut -d ' ' -f 1); do
    uid=${manager#user@} uid=${uid%.service}
    name=$(id -un "$uid")
    echo "reloading user units for $name..."
    set -- /usr/bin/setpriv --reuid "$uid" --regid "$(id -g "$uid")" --clear-groups \
      env -i XDG_RUNTIME_DIR="/run/user/$uid" /usr/bin/systemctl --user
    "$@" daemon-reexec
    [ -e "$system/etc/systemd/user/nixos-activation.service" ] || continue
    "$@" restart nixos-activation.service || {
      echo "warning: user activation for $name failed"
      status=4
    }
  done
}

if [ -n "$stop" ]; then
  echo "stopping the following units:$stop"
  # What is not there, because its generation did not get far, needs no stopping.
  for unit in $stop; do
    case $(systemctl show --property LoadState --value "$unit") in
    not-found) ;;
    *) job stop "$unit" ;;
    esac
  done
fi
echo "activating the configuration..."
"$system/activate" || {
  echo "Failed to run activate script"
  status=2
}
systemctl reset-failed
systemctl daemon-reload || exit 1
users
if [ -n "$reload_sshd" ]; then job try-reload-or-restart ssh.service; fi
if [ -n "$reload" ]; then
  echo "reloading the following units:$reload"
  job reload $reload
fi
if [ -n "$restart" ]; then
  echo "restarting the following units:$restart"
  job restart $restart
fi
if [ -n "$start" ]; then
  echo "starting the following units:$start"
  job start $start
fi
# All that a target wants and that does not run, what failed before too, without a word.
systemctl start multi-user.target
# It may fail after its start; one that systemd keeps restarting counts where it failed.
sleep 0.3
list() { systemctl list-units --plain --no-legend --no-pager "--state=$1" | cut -d ' ' -f 1; }
failed=$(list failed)
for unit in $(list auto-restart); do
  [ "$(systemctl show --property ExecMainStatus --value "$unit")" = 0 ] || failed="$failed $unit"
done
if [ -n "$failed" ]; then
  names=
  for unit in $failed; do names="$names${names:+, }$unit"; done
  echo "warning: the following units failed: $names"
  systemctl status --no-pager --full $failed
  status=4
fi
rm -f "$pending"
exit $status
