# The listener: the unit that serves the port which the deployer came to.

# Sockets that serve the deployer's address and port, `table address inode` as the kernel's tables have
# them, in the order in which the kernel takes them: another program may be at that port elsewhere.
listeners() {
  hex=$(printf '%04X' "$port") none=00000000
  case $server in
  *:*) set -- "tcp6 $(kernels_6 "$server")" ;;
  *) set -- "tcp $(kernels_4 "$server")" "tcp6 ${none}${none}FFFF0000$(kernels_4 "$server")" "tcp $none" ;;
  esac
  number='[0-9A-F:]*'
  for place in "$@" "tcp6 $none$none$none$none"; do
    sed -n "s/^ *[0-9]*: \(${place#* }:$hex\) $number 0A $number $number $number *[0-9]* *[0-9]* \([0-9]*\) .*/${place% *} \1 \2/p" \
      "/proc/net/${place% *}"
  done
} 2> /dev/null

# An address as the kernel's table has it: each 32 bits by themselves, the last byte first. $1 address
kernels_4() (
  IFS=.
  # Numbers.
  # shellcheck disable=SC2086
  set -- $1
  printf '%02X%02X%02X%02X' "$4" "$3" "$2" "$1"
)

kernels_6() (
  first=${1%%::*} last='' zeros=''
  case $1 in *::*) last=${1#*::} ;; esac
  IFS=:
  # Numbers.
  # shellcheck disable=SC2086
  {
    set -- $first $last
    missing=$((8 - $#))
    while [ $missing -gt 0 ]; do zeros=0:$zeros missing=$((missing - 1)); done
    set -- $first $zeros $last
  }
  while [ $# -gt 1 ]; do
    printf '%02X%02X%02X%02X' $((0x$2 & 255)) $((0x$2 >> 8)) $((0x$1 & 255)) $((0x$1 >> 8))
    shift 2
  done
)

record_listener() {
  read -r table local inode << END
$(listeners)
END
  [ -n "$inode" ] || return 0
  printf 'listen=%s %s\n' "$table" "$local"
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

# Of the socket $inode, by its holder's control group; systemd itself listens for a socket unit.
find_unit() {
  unit_of_listener=
  holder=$(timeout 10 find /proc/[0-9]*/fd -lname "socket:\[$inode\]" 2> /dev/null |
    sed -n 's|^/proc/\([0-9]*\)/.*|\1|p' | sort -n | head -n 1)
  case $holder in
  '') ;;
  1)
    unit_of_listener=$(timeout 10 systemctl list-sockets --plain --no-legend --full |
      while read -r stream socket _; do
        [ "$stream" != "$(stream_of_listener)" ] || printf '%s\n' "$socket"
      done | head -n 1)
    ;;
  *)
    unit_of_listener=$(sed -n 's#^[0-9]*:[^:]*:.*/\([^/]*\.service\)$#\1#p' \
      "/proc/$holder/cgroup" | head -n 1)
    ;;
  esac
}

# As systemd has it, the address that $local is.
stream_of_listener() {
  case $table:$local:$server in
  tcp:00000000:*) printf '0.0.0.0:%s\n' "$port" ;;
  tcp6:00000000000000000000000000000000:*) printf '[::]:%s\n' "$port" ;;
  *:*:*:*:*) printf '[%s]:%s\n' "$server" "$port" ;;
  *) printf '%s:%s\n' "$server" "$port" ;;
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
      comes_by_itself=1 evidence=1
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
