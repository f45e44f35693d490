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
  printf 'listen=%s %s\nsocket=%s\n' "$table" "$local" "$inode"
  find_unit
  case $unit_of_listener in '' | -* | *[!A-Za-z0-9:_.@\\-]*) return 0 ;; esac
  printf 'unit=%s\n' "$unit_of_listener"
  unit_of_door=$unit_of_listener
  for part in $(parts_of_door); do
    unit_files "$part" | sed 's/^/unit_file=/'
    environment_files "$part" | sed 's/^/env_file=/'
  done
  record_answer
}

# The unit that runs sshd: a socket unit has another one do that, one for all or one for each connection.
service_of_door() {
  case $unit_of_door in
  *.socket)
    service=$(timeout 10 systemctl show --property Triggers --value "$unit_of_door")
    printf '%s\n' "${service:-${unit_of_door%.socket}@orchestrator.service}"
    ;;
  *) printf '%s\n' "$unit_of_door" ;;
  esac
}

parts_of_door() { { printf '%s\n' "$unit_of_door" && service_of_door; } | sort -u; }

# What a unit has its environment from. $1 unit
environment_files() {
  timeout 10 systemctl show --property EnvironmentFiles --value "$1" |
    sed -n 's#^\(/[^ ]*\) (.*#\1#p'
}

# Which kind of key sshd shows to the host itself, over a connection as anybody's.
record_answer() {
  for kind_of_key in ed25519 rsa ecdsa; do
    is_answering && printf 'answers=%s\n' $kind_of_key && return
  done
}

# One connection, up to the key. Its address is held against the host itself, where sshd does that.
is_answering() {
  [ -n "$(timeout 5 ssh-keyscan -T 4 -p "$port" -t "$kind_of_key" "$server" 2> /dev/null)" ]
}

# A socket and a unit tell little: sshd may be stopped by a signal, or want its user, its empty root. It
# is begun again then, and no more is made of it: whoever comes often without logging in, any user of the
# host among them, has it close the host's own connections at once (PerSourcePenalties).
answers() {
  kind_of_key=$(fact answers)
  [ -n "$kind_of_key" ] && [ -n "$(link_of "$server")" ] || return 0
  # Once it was silent for long, it is asked once.
  for pause in ${silent:-1 0}; do
    is_answering && silent='' && return
    sleep "$pause"
  done
  silent=0
  return 1
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

# The socket at the deployer's address and port is the recorded unit's, as far as its holder can be told.
is_units_own() {
  read -r table local inode << END
$(listeners)
END
  case $inode in '' | "$(fact socket)" | "$own_socket") return 0 ;; esac
  find_unit
  case $unit_of_door,$holder,$unit_of_listener in
  ,* | *,,*) return 0 ;;
  "$unit_of_door,$holder,$unit_of_door" | "$unit_of_door,1,") own_socket=$inode ;;
  *)
    shut="port $port is not ${unit_of_door}'s any more, but process $holder's ($unit_of_listener)"
    return 1
    ;;
  esac
}
own_socket=''

# A start and a reload make the socket anew: sshd may go by what is not there any more.
is_same_run() {
  case $unit_of_door in *.socket) return 0 ;; esac
  ! same_boot || [ "$(listeners | sed -n '1s/.* //p')" = "${own_run:-$(fact socket)}" ]
}
own_run=''

is_listening() { is_served && is_units_own; }

is_served() {
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
  if is_served && ! is_units_own; then free_port; fi
  if ! is_listening; then
    unmask_listener
    timeout 10 systemctl reset-failed "$unit_of_door" 2> /dev/null
    mend "$unit_of_door is started" systemctl start "$unit_of_door"
    awaits_listener || renew_listener
  elif [ -n "$restart_listener" ] || [ -n "$(strange_unit_files)" ] || ! is_same_run || ! answers; then
    unmask_listener
    renew_listener
  fi
  own_run=$(listeners | sed -n '1s/.* //p') restart_listener=
}
silent=''

# A socket unit does not start while the service that it started has its socket.
renew_listener() {
  case $unit_of_door in *.socket) timeout 20 systemctl stop "$(service_of_door)" >> "$log" 2>&1 ;; esac
  mend "$unit_of_door is restarted" systemctl restart "$unit_of_door"
  awaits_listener
}

# End whoever has the socket. What an activation script left may be in the guard's own unit.
free_port() {
  case $unit_of_listener in
  '' | orchestrator-guard-*)
    [ "$holder" -le 1 ] || mend "process $holder, at port $port, is ended" kill "$holder"
    ;;
  *) mend "$unit_of_listener, at port $port, is stopped" systemctl stop "$unit_of_listener" ;;
  esac
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
    for file in $(parts_of_door | sed 'p;s/@.*\./@./' | sort -u); do
      file=$folder/$file
      [ "$(readlink "$file" 2> /dev/null)" != /dev/null ] ||
        mend "$file, which masks it, is removed" rm -f "$file"
    done
  done
  for file in $(strange_unit_files); do
    set_stranger_aside "$file"
  done
  timeout 20 systemctl daemon-reload
}

# What a generator made comes again.
strange_unit_files() {
  for part in $(parts_of_door); do unit_files "$part"; done | while read -r file; do
    case $file in
    /run/systemd/generator*) ;;
    /run/* | /etc/*) [ ! -e "$file" ] || fact unit_file | grep -Fxq -e "$file" || printf '%s\n' "$file" ;;
    esac
  done
}
