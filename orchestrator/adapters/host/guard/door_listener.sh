# The listener: the unit that serves the port which the deployer came to.

# Sockets that listen at the port, `table address inode` as the kernel's tables have them.
listeners() {
  hex=$(printf '%04X' "$port") mine=
  case $server in
  *:*) ;;
  *) mine=$(IFS=. && set -- $server && printf '%02X%02X%02X%02X' "$4" "$3" "$2" "$1") ;;
  esac
  for table in tcp tcp6; do
    while read -r _ local _ state_of_socket _ _ _ _ _ inode _; do
      case $state_of_socket:$local in
      0A:"$mine:$hex" | 0A:00000000:"$hex" | 0A:00000000000000000000000000000000:"$hex") printf '%s %s %s\n' "$table" "$local" "$inode" ;;
      esac
    done < "/proc/net/$table"
  done
} 2> /dev/null

record_listener() {
  found=$(listeners)
  while read -r table local inode; do
    [ -z "$table" ] || printf 'listen=%s %s\n' "$table" "$local"
  done << END
$found
END
  find_unit
  case $unit_of_listener in '' | -* | *[!A-Za-z0-9:_.@\\-]*) return 0 ;; esac
  printf 'unit=%s\n' "$unit_of_listener"
  unit_files "$unit_of_listener" | sed 's/^/unit_file=/'
}

# The files that make a unit. $1 unit
unit_files() {
  timeout 10 systemctl show --property FragmentPath --property DropInPaths --value "$1" |
    tr ' ' '\n' | grep '^/'
}

# Of the first that listens, by its control group; systemd itself listens for a socket unit.
find_unit() {
  unit_of_listener=
  inode=${found##* }
  [ -n "$inode" ] || return
  holder=$(timeout 10 find /proc/[0-9]*/fd -lname "socket:\[$inode\]" 2> /dev/null |
    sed -n 's|^/proc/\([0-9]*\)/.*|\1|p' | sort -n | head -n 1)
  case $holder in
  '') ;;
  1)
    unit_of_listener=$(timeout 10 systemctl list-sockets --plain --no-legend --full |
      sed -n "s/^[^ ]*:$port  *\([^ ]*\.socket\) .*/\1/p" | head -n 1)
    ;;
  *)
    unit_of_listener=$(sed -n 's#^[0-9]*:[^:]*:.*/\([^/]*\.service\)$#\1#p' \
      "/proc/$holder/cgroup" | head -n 1)
    ;;
  esac
}

is_listening() {
  now_listening=$(listeners)
  while read -r table local; do
    case "
$now_listening" in
    *"
$table $local "*) ;;
    *)
      [ -n "$table" ] || continue
      shut="nothing listens any more at port $port (${unit_of_door:-its unit is not known})"
      comes_by_itself=1
      return 1
      ;;
    esac
  done << END
$(fact listen)
END
}

mend_listener() {
  [ -n "$unit_of_door" ] || return 0
  if ! is_listening; then
    unmask_listener
    timeout 10 systemctl reset-failed "$unit_of_door" 2> /dev/null
    mend "$unit_of_door is started" systemctl start "$unit_of_door"
    awaits_listener || mend "$unit_of_door is restarted" systemctl restart "$unit_of_door"
    awaits_listener
  elif [ -n "$restart_listener" ]; then
    mend "$unit_of_door is restarted" systemctl restart "$unit_of_door"
    awaits_listener
  fi
  restart_listener=
}

awaits_listener() {
  tries=0
  until is_listening; do
    tries=$((tries + 1))
    [ $tries -lt 20 ] || return
    sleep 0.1
  done
}

# A masked unit is a link to nothing in one of the folders that come before the unit's own. Another
# file there that was none of the unit's hides or overrides it.
unmask_listener() {
  for folder in /run/systemd/system /run/systemd/system.control /run/systemd/transient \
    /etc/systemd/system /etc/systemd/system.control; do
    file=$folder/$unit_of_door
    [ "$(readlink "$file" 2> /dev/null)" != /dev/null ] ||
      mend "$file, which masks it, is removed" rm -f "$file"
  done
  for file in $(unit_files "$unit_of_door"); do
    case $file in /run/* | /etc/*) ;; *) continue ;; esac
    [ ! -e "$file" ] || fact unit_file | grep -Fxq -e "$file" ||
      mend_with "$file, which was not there, is in $lib/aside" set_aside "$file"
  done
  timeout 20 systemctl daemon-reload
}
