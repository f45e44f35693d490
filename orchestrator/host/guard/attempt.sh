# The attempt: lines written once in $fixed, of which some are variables too, and those that change.

# Read the last attempt; fails where there is none that can be read. The copy in /run is the newer one.
load() {
  read_lines < /dev/null
  file=$newer
  [ -e "$file" ] || file=$kept
  [ -e "$file" ] || return
  read_lines < "$file"
  [ -n "$token" ] && [ -n "$goal" ] && [ -n "$target" ]
}

# Take what standard input says, and nothing else, for the attempt.
read_lines() {
  fixed='' state='' turned='' deadline='' activation='' why='' ended='' seen=''
  reached='' back='' resort='' way='' last_resort=''
  known='' failing='' words='' words_before='' made_at=''
  token='' unit='' who='' goal='' target='' live='' boot_id=''
  running='' profile='' boot_default='' boot_source=profile
  activate_seconds=600 confirm_seconds=180 health_seconds=600
  while IFS= read -r line || [ -n "${line-}" ]; do
    value=${line#*=}
    take_changing "$line" || take_fixed "$line"
  done
  live=${live:-$target}
  asked=$run/asked-$token
}

take_changing() {
  case $1 in
  state=*) state=$value ;;
  turned=*) turned=$value ;;
  deadline=*) deadline=$value ;;
  activation=*) activation=$value ;;
  why=*) why=$value ;;
  ended=*) ended=$value ;;
  seen=*) seen=$value ;;
  reached=*) reached=$value ;;
  back=*) back=$value ;;
  resort=*) resort=$value ;;
  known=*) known=$value ;;
  failing=*) failing=$value ;;
  words=*) words=$value ;;
  words_before=*) words_before=$value ;;
  made_at=*) made_at=$value ;;
  *) return 1 ;;
  esac
}

take_fixed() {
  fixed="$fixed$1
"
  case $1 in
  token=*) token=$value ;;
  unit=*) unit=$value ;;
  who=*) who=$value ;;
  goal=*) goal=$value ;;
  target=*) target=$value ;;
  live=*) live=$value ;;
  boot_id=*) boot_id=$value ;;
  running=*) running=$value ;;
  profile=*) profile=$value ;;
  boot_default=*) boot_default=$value ;;
  boot_source=*) boot_source=$value ;;
  activate_seconds=*) activate_seconds=$value ;;
  confirm_seconds=*) confirm_seconds=$value ;;
  health_seconds=*) health_seconds=$value ;;
  way=*) way=$value ;;
  last_resort=*) last_resort=$value ;;
  esac
}

lines() {
  printf '%s' "$fixed"
  printf '%s=%s\n' state "$state" turned "$turned" deadline "$deadline" \
    activation "$activation" why "$why" ended "$ended" seen "$seen" \
    reached "$reached" back "$back" resort "$resort" \
    known "$known" failing "$failing" words "$words" words_before "$words_before" made_at "$made_at"
}

# Write it down where it outlives a boot, and where readers look first. A full disk stops no guard.
save() {
  if lines | put "$kept"; then
    lines | put "$newer" || rm -f "$newer"
  else
    say 4 "$kept cannot be written"
    lines | put "$newer"
  fi
}

# $1 the new state  $2 seconds that it may last
become() {
  state=$1 deadline=
  [ -z "${2-}" ] || { clock && deadline=$((now + $2)); }
  save
  stand
  say 5 "$target: $state${why:+: $why}"
}

in_flight() {
  case $state in
  recorded | activating | waiting | checking | committing | returning) ;;
  *) return 1 ;;
  esac
}

same_boot() {
  read -r this_boot < /proc/sys/kernel/random/boot_id
  [ "$this_boot" = "$boot_id" ]
}

# Print the attempt where it is this one. $1 token  $2 position in the log, where that is asked for
tell() {
  tell_attempt "$1"
  tell_log "${2-}"
}

# $1 token
tell_attempt() {
  is_ours "$1" || return 0
  clock
  printf 'uptime=%s\n' "$now"
  lines | while IFS= read -r line; do printf 'attempt.%s\n' "$line"; done
}

# $1 position in the log, where that is asked for
tell_log() {
  printf 'orchestrator-guard-log %s\n' "${1:-0}"
  [ -z "$1" ] || tail -c "+$(($1 + 1))" "$log" 2> /dev/null | head -c 1000000
}

# Whether the last attempt is this one. $1 token
is_ours() { load && [ "$token" = "$1" ]; }
