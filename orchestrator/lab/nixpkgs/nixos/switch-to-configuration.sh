# switch-to-configuration switch | boot | test | dry-activate, as NixOS's, for a lab host.
# Exit codes as NixOS's: 1 the boot loader failed, 2 activation scripts failed, 4 units failed.
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
  entries=/boot/loader/entries default= count=0 written=
  mkdir -p "$entries"
  for number in $(ls /nix/var/nix/profiles | sed -n 's/^system-\([0-9]*\)-link$/\1/p' | sort -rn); do
    generation=$(readlink -f "/nix/var/nix/profiles/system-$number-link")
    [ "$generation" = "$system" ] && [ -z "$default" ] && default=$number
    count=$((count + 1))
    [ $count -le "$limit" ] || [ "$default" = "$number" ] || continue
    entry=nixos-generation-$number.conf
    printf 'title NixOS\nversion Generation %s %s\noptions init=%s/init\n' \
      "$number" "$(cat "$generation/nixos-version")" "$generation" > "$entries/.$entry" &&
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

case $action in
switch | boot) install_boot_loader || exit 1 ;;
esac
[ "$action" = boot ] && exit 0

old=$(readlink -f /run/current-system 2>/dev/null) || old=
stop= restart= reload= start=
while read -r unit _; do
  [ -e "$system/etc/systemd/system/$unit" ] || stop="$stop $unit"
done < "${old:-$system}/units"
while read -r unit wanted; do
  file=etc/systemd/system/$unit
  if [ ! -e "$old/$file" ]; then
    [ "$wanted" = wanted ] && start="$start $unit"
  elif ! cmp -s "$old/$file" "$system/$file"; then
    if grep -q '^X-ReloadIfChanged=true' "$system/$file"; then reload="$reload $unit"
    elif ! grep -q '^X-RestartIfChanged=false' "$system/$file"; then restart="$restart $unit"; fi
  fi
done < "$system/units"
sshd=etc/ssh/sshd_config.d/50-nixos.conf
cmp -s "$old/$sshd" "$system/$sshd" || { [ -e "$old/$sshd" ] || [ -e "$system/$sshd" ]; } && reload_sshd=1
cmp -s "$old/$sshd" "$system/$sshd" && reload_sshd=

if [ "$action" = dry-activate ]; then
  [ -z "$stop" ] || echo "would stop the following units:$stop"
  [ -z "$reload" ] || echo "would reload the following units:$reload"
  [ -z "$restart" ] || echo "would restart the following units:$restart"
  [ -z "$start" ] || echo "would start the following units:$start"
  exit 0
fi

if [ -n "$stop" ]; then
  echo "stopping the following units:$stop"
  systemctl stop $stop || status=4
fi
echo "activating the configuration..."
"$system/activate" || status=$?
systemctl daemon-reload
if [ -n "${reload_sshd-}" ]; then systemctl try-reload-or-restart ssh.service; fi
if [ -n "$reload" ]; then
  echo "reloading the following units:$reload"
  systemctl reload $reload || status=4
fi
if [ -n "$restart" ]; then
  echo "restarting the following units:$restart"
  systemctl restart $restart || failed=1
fi
if [ -n "$start" ]; then
  echo "starting the following units:$start"
  systemctl start $start || failed=1
fi
broken=$(systemctl list-units --state=failed --plain --no-legend --no-pager | sed 's/ .*//')
for unit in $broken; do
  case " $restart $start $reload " in *" $unit "*) failed=1; echo "warning: the following unit failed: $unit" ;; esac
done
[ -n "${failed-}" ] && [ $status = 0 ] && status=4
exit $status
