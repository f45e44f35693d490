# What deployers say and ask. A guard that is at work alone decides; `start`, `resume` and `seen` write
# the attempt under its lock.

# $1 why nothing was done
refuse() {
  printf '%s\n' "$1" >&2
  exit 65
}

# $1 token  $2… the attempt's lines
start() {
  mkdir -p "$lib" || refuse "its folder cannot be made"
  one_at_a_time
  alone -w 20 || refuse "a guard is at work"
  one_at_a_time
  find "$run" -maxdepth 1 -name 'asked-*' -mmin +60 -exec rm -rf {} +
  # Of a start that a power cut ended before anything was written down.
  rm -f "$roots"/*
  mkdir -m 0700 "$run/asked-$1" || refuse "it was given up before it began"
  shift
  # What failed in the last activation is known where that was the last attempt's.
  before='' said=''
  [ "$made_at" != "$(made)" ] || before=${failing:-|} said=$words
  read_lines << END
$(printf '%s\n' "$@")
END
  state=recorded
  why='' known=$before failing=$before words=$said words_before=$said
  begin_or_say_why || {
    tidy
    refuse "$why"
  }
  tell "$token"
}

one_at_a_time() {
  if load && in_flight; then refuse "an attempt of $who is in flight there ($state)"; fi
}

begin_or_say_why() {
  same_boot || { why="it has booted since it was asked"; return 1; }
  is_before || { why="it changed since it was asked: $wrong"; return 1; }
  can_switch "$target" && can_switch "$live" && can_switch "$running" && can_switch "$boot_default" || return
  write_down || { why="the attempt cannot be written down: is the disk full?"; return 1; }
  launch && return
  # Late is also never: whatever may start after all finds the attempt ended.
  turned=recorded why="the guard's unit could not be started"
  end_as returned
  return 1
}

# Whether there is a way to a system, were it the way back. $1 system, or nothing
can_switch() {
  [ -z "$1" ] || [ -x "$1/bin/switch-to-configuration" ] && return
  why="$1 has no bin/switch-to-configuration (system.switch.enable)"
  [ -e "$1" ] || case $1 in
  "$target" | "$live") why="$1 was collected as garbage after it was copied; deploy again" ;;
  *) why="the boot default $1 is gone; this makes what runs the boot default:
/run/current-system/bin/switch-to-configuration boot" ;;
  esac
  return 1
}

# Everything that needs room, before anything is touched.
write_down() {
  : > "$log"
  mkdir -p "$roots" &&
    ln -sfn "$target" "$roots/$token-target" &&
    root "$running" running && root "$profile" profile && root "$boot_default" boot &&
    printf '%s\n' "$program" | put "$lib/guard" && keep_room && record_door &&
    lines | put "$newer" && { lines | put "$kept" || { rm -f "$newer" && false; }; }
}

# Room for going back, should the disk be full by then: an old system's activation writes to /etc.
# What is random takes it on every file system.
keep_room() { head -c 2097152 /dev/urandom | put "$lib/room"; }

# $1 system, or nothing  $2 which
root() { [ -z "$1" ] || ln -sfn "$1" "$roots/$token-$2"; }

# Start the guard in a unit of its own: no connection that drops can end it.
launch() {
  printf '%s\n' "$program" | put "$run/guard" || return
  systemctl reset-failed "$unit" 2> /dev/null
  systemd-run --quiet --collect --no-ask-password --service-type=exec --unit="$unit" \
    --description="orchestrator: $goal ${target##*/}" \
    --property=Restart=on-failure --property=RestartSec=1 --property=TimeoutStopSec=10 \
    --property=StartLimitIntervalSec=600 --property=StartLimitBurst=30 \
    --property=OOMPolicy=continue --property=OOMScoreAdjust=-900 \
    --property=SyslogIdentifier=orchestrator-guard \
    --setenv=PATH="$PATH" --setenv=LOCALE_ARCHIVE="${LOCALE_ARCHIVE-}" \
    -- /bin/sh "$run/guard" run 9>&-
}

# $1 token
resume() {
  if is_ours "$1"; then revive; fi
  tell "$1"
}

# Start the guard again where it is not at work.
revive() {
  in_flight && alone -n || return 0
  if load && in_flight && ! starts; then
    # What did not begin never will.
    [ "$state" != recorded ] || turn "it never began"
    launch || refuse "the guard could not be started again"
  fi
  exec 9>&-
}

# Whether the unit is there, and will have the lock soon. Where systemd does not say, it may be.
starts() {
  active=$(timeout 10 systemctl show --property ActiveState --value "$unit") || return 0
  case $active in inactive | failed) return 1 ;; esac
}

# $1 token  $2 states, each in commas  $3 seconds  $4 position in the log
await() {
  follow "$@"
  known "$1"
  tell "$1" "$4"
}

# Wait until an attempt is in none of these states, or there will be none. $1 token  $2 states  $3 seconds
follow() {
  clock
  end=$((now + $3)) tries=0
  while :; do
    if is_ours "$1"; then
      case $2 in *",$state,"*) ;; *) break ;; esac
      [ $tries -lt 20 ] || { tries=0; revive; }
    elif never "$1"; then
      break
    else
      state='' # Its start is at work, and this one is another's.
    fi
    clock
    [ "$now" -lt "$end" ] || break
    wait_past
  done
}

# Whether an attempt that is not there will never be: its folder is taken, or its start has ended.
# $1 token
never() {
  mkdir -p -m 0700 "$run"
  mkdir -m 0700 "$run/asked-$1" 2> /dev/null && return
  load && in_flight && [ "$token" != "$1" ] && return
  alone -n || return
  exec 9>&-
  ! is_ours "$1"
}

# Say nothing of an attempt whose start is at work: it may be slow, and begin yet. $1 token
known() { is_ours "$1" || never "$1" || is_ours "$1" || refuse "its start is at work"; }

# Say a word to the guard, and wait a moment for what it makes of it. What comes before its time is not
# kept for later. $1 token  $2 the word  $3 more
ask() {
  known "$1"
  if is_ours "$1" && hears "$2" && printf '%s\n' "${3-}" | put "$asked/$2"; then
    case $2 in back) ring word back ;; *) ring word ;; esac
    before=$state tries=0
    while [ "$state" = "$before" ] && [ $tries -lt 100 ]; do
      wait_past
      is_ours "$1" || break
    done
  fi
}

# Say it, and answer with the attempt. $1 token  $2 the word  $3 more
told() {
  ask "$@"
  tell "$1"
}

# Over a new connection: with what the host is by then. A guard that is slow to write it down is waited for.
# $1 token
contact() {
  ask "$1" contact
  follow "$1" ,waiting, 20
  tell_host "$1"
}

# All is well: with what the host is where the attempt ends in time. $1 token  $2 seconds  $3 position in the log
confirm() {
  ask "$1" confirm
  follow "$1" ,committing,returning, "$2"
  tell_host "$1" "$3"
}

# As `tell`, and what the host is, by what `status` asks. $1 token  $2 position in the log
tell_host() {
  tell_attempt "$1"
  if is_ours "$1"; then
    echo orchestrator-guard-host
    host_state
  fi
  tell_log "${2-}"
}

# Pass on that the guard is to go back, by the reason that comes as a line: of a deployer that may not be
# root any more by then. The tools are the old system's, as the guard's are. $1 token
pass_on() {
  echo ready
  while IFS= read -r reason; do
    ! is_ours "$1" || PATH=$running/sw/bin:$PATH
    ask "$1" back "$reason"
    echo heard
  done
}

# Whether a guard that is at work does something upon this word. $1 the word
hears() {
  [ -d "$asked" ] || return
  case $state:$1 in
  waiting:contact | checking:confirm) ;;
  recorded:back | activating:back | waiting:back | checking:back) ;;
  *) return 1 ;;
  esac
}

# $1 token
seen() {
  if is_ours "$1" && ! in_flight; then
    alone -w 20 || refuse "its guard is at work"
    if is_ours "$1" && ! in_flight; then
      seen=1
      save
    fi
  fi
  tell "$1"
}

# Note that one got in again: over a connection that was made after the host was back.
# $1 token  $2 `anew` where the deployer knows it to be one
reached() {
  if is_unreached "$1" && is_new_connection "$2"; then
    alone -w 20 || refuse "its guard is at work"
    if is_unreached "$1"; then
      reached=1
      save
    fi
  fi
  tell "$1"
}

# Where the connection cannot be found among the processes (what became root is none of its session's),
# the deployer's word is taken. $1 its word
is_new_connection() {
  same_boot
  case $back in *" $this_boot") ;; *) return 0 ;; esac
  connected_since || { [ "$1" = anew ]; return; }
  [ "$since" -ge "${back%% *}" ]
}

is_unreached() { is_ours "$1" && [ "$state" = returned ] && [ "$reached" = 0 ]; }

verb=$1
shift
case $verb in
run) guard -w 60 ;;
boot) guard -n ;;
start | resume | await | contact | confirm | seen | reached | pass_on) "$verb" "$@" ;;
back) told "$1" back "$2" ;;
*) refuse "there is no verb $verb" ;;
esac
