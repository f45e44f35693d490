# Which units a switch stops, starts, restarts and reloads, as NixOS's finds it out: of those that run,
# by the old and the new file, section by section. Sourced by what switches a system or a user's units;
# adds to $stop, $start, $restart, $reload and $skip.
has() { case " $(echo $2) " in *" $1 "*) ;; *) return 1 ;; esac; }

# What a unit is restarted for, and what it is reloaded for. $1 file
essence() {
  awk '/^\[/ { section = $0; next }
    !/=/ || /^[#;]/ || section == "[Install]" { next }
    section == "[Unit]" && /^(Description|Documentation|OnFailure|OnSuccess|OnFailureJobMode|IgnoreOnIsolate|StopWhenUnneeded|RefuseManualStart|RefuseManualStop|AllowIsolate|CollectMode|SourcePath|X-Reload-Triggers)=/ { next }
    section == "[Service]" && /^ExecReload=/ { next }
    { print section $0 }' "$1" | LC_ALL=C sort -s -t = -k 1,1
}
lighter() { grep -E '^(X-Reload-Triggers|ExecReload)=' "$1"; }

is_set() { # is_set NAME FILE: to yes; no_set: to no
  grep -qE "^$1=(1|yes|true|on)\$" "$2"
}
no_set() { grep -qE "^$1=(0|no|false|off)\$" "$2"; }

# The file of a unit, or of the template that it is of. $1 folder  $2 unit
file_of() {
  file=$1/$2
  case $2 in
  *@*) [ -e "$file" ] || file=$1/${2%%@*}@.${2##*.} ;;
  esac
  [ -e "$file" ]
}

# A unit that needs more than a reload. $1 unit  $2 its new file
modified() {
  case $1 in *.socket | *.path | *.slice) return ;; esac
  if is_set X-ReloadIfChanged "$2" && ! has "$1" "$restart $stop"; then
    reload="$reload $1"
  elif no_set X-RestartIfChanged "$2" || is_set RefuseManualStop "$2" || is_set X-OnlyManualStart "$2"; then
    skip="$skip $1"
  elif no_set X-StopIfChanged "$2" || [ "${1%.service}" = "$1" ]; then
    restart="$restart $1"
  else
    stop="$stop $1"
    socket=${1%.service}.socket
    if has "$socket" "$active_units"; then
      stop="$stop $socket"
      if [ -e "${2%/*}/$socket" ]; then socket_starts=1 start="$start $socket"; fi
    fi
    [ -n "${socket_starts-}" ] || start="$start $1"
    socket_starts=
  fi
}

# $1 `system` or `user`  $2 the units that run
changed_units() {
  folder=etc/systemd/$1 active_units=$2
  for unit in $2; do
    file_of "$old/$folder" "$unit" || continue
    was=$file
    if ! file_of "$system/$folder" "$unit" || [ "$(readlink -f "$file")" = /dev/null ]; then
      no_set X-StopOnRemoval "$was" || stop="$stop $unit"
    elif cmp -s "$was" "$file" || has "$unit" "$restart"; then
      :
    elif [ "$(essence "$was")" != "$(essence "$file")" ]; then
      modified "$unit" "$file"
    elif [ "$(lighter "$was")" != "$(lighter "$file")" ] && [ -n "$(lighter "$file")" ]; then
      reload="$reload $unit"
    fi
  done
}
