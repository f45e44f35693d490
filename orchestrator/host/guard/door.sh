# The way in. What lets the deployer in is recorded before anything is touched; going back holds it
# against what is so then, and repairs only what the record proves was so and is so no more.

door=$lib/door
# What is secret on the host already, host keys and the account's password: in memory only.
door_secrets=$run/door

# Each of them may hang: on a name service, a file system, the kernel's own locks.
getent() { timeout 10 getent "$@"; }
id() { timeout 10 id "$@"; }
ip() { timeout 10 ip "$@"; }
find() { timeout 10 find "$@"; }

# Where the deployer's connection cannot be found, as on the machine that one sits at, there is no door.
record_door() {
  rm -rf "$door" "$door_secrets"
  find_session || return 0
  (
    umask 077
    mkdir -p "$door" "$door_secrets" || exit
    {
      printf '%s=%s\n' user "$user" peer "$peer" server "$server" port "$port" sudo "$by_sudo"
      record_listener
      record_account
      record_network
      record_open
    } 2> /dev/null | head -c 262144 > "$door/facts"
    record_files 2> /dev/null
    record_firewall 2> /dev/null
    seal "$door"
    seal "$door_secrets"
    find "$door" -type f -exec sync {} +
    [ -s "$door/facts" ]
  )
}

# A record that is not whole repairs nothing: what it does not list would be taken for a stranger's.
# $1 the folder of the record
seal() { sums_of "$1" > "$1/sums"; }

is_whole() { [ -s "$1/sums" ] && [ "$(sums_of "$1")" = "$(cat "$1/sums")" ]; } 2> /dev/null

sums_of() {
  (
    cd "$1" || exit
    find . -type l -printf '%p %l\n'
    # Beside it lies what a repair works with.
    find . -type f ! -name sums ! -regex './[^/]*\.\(new\|now\)' -exec sha256sum {} +
  ) | sort
}

# Of the processes above this one, the uppermost that was told of a connection is the deployer's
# session. sudo drops that from its environment.
find_session() {
  session='' by_sudo=''
  pid=$$
  while [ "${pid:-0}" -gt 1 ]; do
    told=$(tr '\000' '\n' < "/proc/$pid/environ" | sed -n 's/^SSH_CONNECTION=//p' | head -n 1)
    [ -z "$told" ] || session=$pid connection=$told
    [ "$(head -n 1 "/proc/$pid/comm")" != sudo ] || by_sudo=1
    pid=$(parent_of "$pid")
  done
  [ -n "$session" ] && read_connection && find_user
} 2> /dev/null

# $1 process
parent_of() { sed -n 's/^PPid:[[:space:]]*//p' "/proc/$1/status"; }

read_connection() {
  IFS=' ' read -r peer _ server port << END
$connection
END
  peer=${peer%%%*} server=${server%%%*}
  case $peer$server in '' | *[!0-9A-Fa-f:.]*) return 1 ;; esac
  case $port in '' | *[!0-9]*) return 1 ;; esac
}

find_user() {
  uid=$(sed -n 's/^Uid:[[:space:]]*\([0-9]*\).*/\1/p' "/proc/$session/status")
  user=$(tr '\000' '\n' < "/proc/$session/environ" | sed -n 's/^LOGNAME=//p' | head -n 1)
  case $user in
  '' | -* | *[!A-Za-z0-9._-]*) user=$(id -un "$uid") ;;
  *) [ "$(id -u "$user")" = "$uid" ] || user=$(id -un "$uid") ;;
  esac
  [ -n "$user" ]
}

# When the deployer's connection was made, in hundredths of a second since the boot, into $since: its
# process of sshd is the session's parent, and serves all that goes over the connection. Where no process
# was told of a connection, it is the nearest of sshd's above this one.
connected_since() {
  if find_session; then
    parent=$(parent_of "$session")
  else
    parent=$$
    until head -n 1 "/proc/$parent/comm" | grep -q '^sshd'; do
      parent=$(parent_of "$parent")
      [ "${parent:-0}" -gt 1 ] || return
    done
  fi
  # The second field, a name in brackets, may hold anything.
  since=$(sed 's/.*) //' "/proc/$parent/stat" | cut -d ' ' -f 20)
  case $since in '' | *[!0-9]*) return 1 ;; esac
} 2> /dev/null

# What one entry of the record says. $1 key
fact() { sed -n "s/^$1=//p" "$door/facts"; }

has_door() { [ -s "$door/facts" ] && is_whole "$door"; }

# Whether one gets in as before, as far as the host itself can tell; $shut says what is gone, and
# $evidence whether nobody can get in without it.
door_is_open() {
  shut='' comes_by_itself='' evidence=''
  has_door || return 0
  user=$(fact user) peer=$(fact peer) server=$(fact server) port=$(fact port)
  link=$(fact link) unit_of_door=$(fact unit)
  has_address && has_route && is_listening && has_account && has_link && has_arp && has_neighbour &&
    arrives && has_keys && has_sudo
}

# Some things come by themselves: a service that restarts, a lease. After a boot it takes longer.
await_door() {
  tries=6
  same_boot || tries=60
  until door_is_open || [ -z "$comes_by_itself" ] || [ $tries = 0 ]; do
    tries=$((tries - 1))
    sleep 0.5
  done
}

# Repair the way in. Each thing that is done is in the attempt's log.
mend_door() {
  shut='' mended='' left=''
  if ! has_door; then
    [ ! -e "$door" ] || note "what let one in is not repaired: its record is damaged"
    return 0
  fi
  # After a boot there is none.
  is_whole "$door_secrets" || rm -rf "$door_secrets"
  mkdir -p -m 0700 "$door_secrets"
  await_door
  # What asks a name service or a folder on the network needs the network.
  mend_link
  mend_arp
  mend_address
  mend_routes
  mend_arrival
  mend_neighbour
  mend_firewall
  mend_files
  mend_account
  mend_open
  mend_resolver
  mend_sudo
  mend_listener
  [ -z "$mended" ] || note "$(printf 'the way in was repaired:%.1000s' "$mended")"
  note_other_keys
  [ -z "$left" ] || note "$(printf '%.1000s' "$left")"
  door_is_open
}

# To whoever asks, once. $1 words
note() {
  said=$1
  case $why in *"$said"*) ;; *) why="$why; $said" ;; esac
  say 4 "$said"
}

# Whether what a repair was decided by was whole when it was read: it may have gone since.
is_still_known() { has_door && { [ ! -e "$door_secrets/sums" ] || is_whole "$door_secrets"; }; }

# Do one repair. $1 what it does, for a person  $2… the command
mend() {
  words=$1
  shift
  is_still_known || return
  printf 'orchestrator: the way in: %s\n' "$words" >> "$log"
  timeout 20 "$@" >> "$log" 2>&1 9>&- < /dev/null || {
    printf 'orchestrator: that failed: %s\n' "$?" >> "$log"
    return 1
  }
  count_as_mended "$words"
}

# $1 what was done, for a person
count_as_mended() {
  case "$mended," in *" $1,"*) ;; *) mended="${mended:+$mended,} $1" ;; esac
}

# What PAM and sshd let nobody in for.
record_open() {
  for file in /run/nologin /etc/nologin; do [ -e "$file" ] || printf 'open=%s\n' "$file"; done
}

# A shutdown that is scheduled has its own.
mend_open() {
  [ ! -e /run/systemd/shutdown/scheduled ] || return 0
  for file in $(fact open); do
    [ ! -e "$file" ] || mend "$file is removed" rm -f "$file"
  done
}
