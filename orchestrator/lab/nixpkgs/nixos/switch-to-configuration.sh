# switch-to-configuration switch | boot | test | dry-activate | check, as NixOS's, for a lab host.
# Exit codes and their order as NixOS's: 11 another has the lock; 1 a check before the switch or the boot
# loader failed; 100 its init is another one; 2 the activation script failed; 4 a unit is failed, a job or a
# user's activation failed, whatever else did.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
action=${1-}
status=0

case $action in
switch | boot | test | dry-activate | check) ;;
*)
  echo "Usage: switch-to-configuration [check|switch|boot|test|dry-activate]" >&2
  exit 1
  ;;
esac

# Write an entry for each of the newest generations, then, last and atomically, the default.
install_boot_loader() {
  if ! grep -q '^loader=systemd-boot ' "$system/bin/install-boot-loader"; then
    "$system/bin/install-boot-loader"
    return
  fi
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
    for variant in "$generation"/specialisation/*; do
      [ -e "$variant/init" ] || continue
      entry=nixos-generation-$number-specialisation-${variant##*/}.conf
      printf 'title NixOS (%s)\nversion Generation %s %s\noptions init=%s/init %s\n' \
        "${variant##*/}" "$number" "$(cat "$variant/nixos-version")" "$(readlink -f "$variant")" \
        "$(cat "$variant/kernel-params" 2>/dev/null)" > "$entries/.$entry" &&
        sync "$entries/.$entry" &&
        mv "$entries/.$entry" "$entries/$entry" || return 1
      written="$written $entry"
    done
  done
  [ -n "$default" ] || { echo "no generation of the system profile is $system" >&2; return 1; }
  printf 'timeout 5\ndefault nixos-generation-%s.conf\n' "$default" > /boot/loader/.loader.conf &&
    sync /boot/loader/.loader.conf &&
    mv /boot/loader/.loader.conf /boot/loader/loader.conf || return 1
  for entry in "$entries"/nixos-generation-*.conf; do
    case " $written " in *" ${entry##*/} "*) ;; *) rm -f "$entry" ;; esac
  done
}

# Two at once would plan against each other's half-done work. What is started has no part in the lock.
mkdir -p /run/nixos && chmod 755 /run/nixos && exec 9>> /run/nixos/switch-to-configuration.lock || {
  echo "Could not open lock" >&2
  exit 1
}
flock -n 9 || { echo "Could not acquire lock" >&2; exit 11; }
NIXOS_ACTION=$action
export NIXOS_ACTION

if [ "${NIXOS_NO_CHECK-}" != 1 ]; then
  "$system/pre-switch-checks" "$system" "$action" 9>&- || { echo "Pre-switch checks failed" >&2; exit 1; }
fi
[ "$action" != check ] || exit 0
case $action in
switch | boot) install_boot_loader 9>&- || { echo "Failed to install bootloader" >&2; exit 1; } ;;
esac
[ "$action" != boot ] || exit 0

if ! cmp -s /run/current-system/init-interface-version "$system/init-interface-version"; then
  cat >&2 << END
Warning: the new NixOS configuration has an ‘init’ that is
incompatible with the current configuration.  The new configuration
won't take effect until you reboot the system.

END
  exit 100
fi

# NixOS's speaks to systemd by D-Bus and over one connection: without it, it ends where it is.
bus=
on_bus() { # on_bus WHAT
  id=$(busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetId 2>&1) &&
    [ "${bus:=$id}" = "$id" ] && return
  printf 'Error: %s\n\nCaused by:\n    %s\n' "$1" "$id" >&2
  exit 1
}
on_bus "Failed to open dbus connection"

# What /etc is of, as NixOS compares; /nowhere: the first generation of a machine that has none.
old=$(readlink -f /etc/static 2>/dev/null) && [ -e "$old/../units" ] && old=${old%/etc} || old=/nowhere
. "$system/bin/changed-units"
# Units that a switch which was ended had still to see to: for the next one, whichever system it is to.
lists=/run/nixos
left() { tr '\n' ' ' < "$lists/$1-list"; } 2>/dev/null
stop= skip= start=$(left start) restart=$(left restart) reload=$(left reload)

active() { systemctl list-units --plain --no-legend --no-pager --full "$@" | cut -d ' ' -f 1; }
before=$(active --state=active,activating,reloading,deactivating,failed)
changed_units system "$(active --state=active,activating)"
# sshd is this machine's own, and no unit of ours, but where a socket of ours takes its place.
sshd=etc/ssh/sshd_config.d/50-nixos.conf socket=etc/systemd/system/sshd.socket
if [ -e "$system/$socket" ]; then
  if has ssh.service "$before"; then stop="$stop ssh.service"; fi
elif [ -e "$old/$socket" ]; then
  start="$start ssh.service"
elif [ -e "$old/$sshd" ] || [ -e "$system/$sshd" ]; then
  cmp -s "$old/$sshd" "$system/$sshd" || has ssh.service "$reload" || reload="$reload ssh.service"
fi

names() { printf '%s\n' "$@" | LC_ALL=C sort -fu | paste -s -d , | sed 's/,/, /g'; }
if [ "$action" = dry-activate ]; then
  [ -z "$stop" ] || echo "would stop the following units: $(names $stop)"
  [ -z "$skip" ] || echo "would NOT stop the following changed units: $(names $skip)"
  [ -z "$reload" ] || echo "would reload the following units: $(names $reload)"
  [ -z "$restart" ] || echo "would restart the following units: $(names $restart)"
  [ -z "$start" ] || echo "would start the following units: $(names $start)"
  exit 0
fi

record() { # record WORD UNIT…
  list=$lists/$1-list
  shift
  if [ $# = 0 ]; then rm -f "$list"; else printf '%s\n' "$@" > "$list.new" && mv "$list.new" "$list"; fi
}
record start $start
record restart $restart
record reload $reload

job() { # job WORD UNIT…
  word=$1
  shift
  systemctl "$word" "$@" && return
  status=4
  for unit; do
    if systemctl is-failed --quiet "$unit"; then echo "Failed to $word $unit"; fi
    case $(systemctl show --property LoadState --value "$unit") in
    not-found) echo "Failed to $word $unit: Unit $unit not found." ;;
    esac
  done
}

# What a user's manager does of its own is a part of the switch, and its failure one of it.
users() {
  for manager in $(active --state=active 'user@*.service'); do
    uid=${manager#user@} uid=${uid%.service}
    IFS=: read -r name _ _ gid _ << END
$(getent passwd "$uid")
END
    echo "reloading user units for $name..."
    /usr/bin/setpriv --reuid "$uid" --regid "$gid" --clear-groups \
      env -i XDG_RUNTIME_DIR="/run/user/$uid" "$system/bin/switch-user" "$old" 9>&- || {
      echo "warning: user activation for $name failed"
      status=4
    }
  done
}

if [ -n "$stop" ]; then
  echo "stopping the following units: $(names $stop)"
  # What is not there, because its generation did not get far, needs no stopping.
  for unit in $stop; do
    case $(systemctl show --property LoadState --value "$unit") in
    not-found) ;;
    *) job stop "$unit" ;;
    esac
  done
fi
[ -z "$skip" ] || echo "NOT restarting the following changed units: $(names $skip)"
echo "activating the configuration..."
echo "switching to system configuration $system" | logger -t nixos 9>&-
manager=$(readlink -f /run/current-system/systemd)
"$system/activate" "$system" 9>&- || {
  echo "Failed to run activate script"
  status=2
}
if [ "$manager" != "$(readlink -f "$system/systemd")" ]; then
  echo "restarting systemd..."
  systemctl daemon-reexec
fi
on_bus "Failed to reset failed units"
systemctl reset-failed
systemctl daemon-reload || exit 1
users
echo "restarting sysinit-reactivation.target"
job restart sysinit-reactivation.target
# What does not run cannot be reloaded, and is started; sshd is this machine's own, and no unit of ours.
running=
for unit in $reload; do
  if systemctl is-active --quiet "$unit"; then
    running="$running $unit"
  elif [ "$unit" != ssh.service ]; then
    start="$start $unit"
  fi
done
waiting="Failed to process dbus messages while waiting for jobs"
if [ -n "$running" ]; then
  echo "reloading the following units: $(names $running)"
  job reload $running
  on_bus "$waiting"
fi
record reload
if [ -n "$restart" ]; then
  echo "restarting the following units: $(names $restart)"
  job restart $restart
  on_bus "$waiting"
fi
record restart
if [ -n "$start" ]; then
  echo "starting the following units: $(names $start)"
  job start $start
  on_bus "$waiting"
fi
record start
# All that a target wants and that does not run, what failed before too, without a word.
targets=multi-user.target
for folder in "$system"/etc/systemd/system/*.target.wants "$system"/etc/systemd/system/*.target.requires; do
  target=${folder##*/} target=${target%.*}
  ! has "$target" "$before" || targets="$targets $target"
done
systemctl start $targets
# It may fail after its start; one that systemd keeps restarting counts where it failed.
sleep 0.3
failed=$(active --state=failed)
for unit in $(active --state=auto-restart); do
  [ "$(systemctl show --property ExecMainStatus --value "$unit")" = 0 ] || failed="$failed $unit"
done
new=
for unit in $(active --state=active,activating,reloading,deactivating); do
  case $unit in *.scope) continue ;; esac
  has "$unit" "$before" || has "$unit" "$failed" || new="$new $unit"
done
[ -z "$new" ] || echo "the following new units were started: $(names $new)"
if [ -n "$failed" ]; then
  echo "warning: the following units failed: $(names $failed)"
  systemctl status --no-pager --full $failed
  status=4
fi
case $status in
0) said="finished switching to system configuration $system" ;;
*) said="switching to system configuration $system failed (status $status)" ;;
esac
logger -t nixos "$said" 9>&-
exit $status
