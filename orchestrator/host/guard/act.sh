# Acting: one command at a time, within its time, and nothing that it leaves goes on.

# Run a command; $code is how it ended: an exit code, `timeout` or `killed`.
act() {
  size=$(wc -c < "$log") || size=0
  clock
  end=$((now + activate_seconds))
  listen
  (
    exec 3<&- 8<&- 9>&-
    # Memory that runs out takes the command and not the guard.
    { echo 0 > /proc/self/oom_score_adj; } 2> /dev/null
    exec timeout -k 10 "$activate_seconds" "$@" 5>&- 6<&-
  ) >&5 2>&1 < /dev/null &
  exec 5>&- 6<&-
  wait_for_child $!
  clock
  case $code in
  124 | 137) [ "$now" -lt "$end" ] || code=timeout ;;
  esac
  # More than 128: ended by a signal.
  case $code in
  12[89] | 1[3-9]? | 2??) code=killed ;;
  esac
  end_others
  hear
  timeout 10 tail -c "+$((size + 1))" "$log"
  heard_words=$(timeout 10 tail -c "+$((size + 1))" "$log" | words_of)
  last=$(timeout 10 tail -c "+$((size + 1))" "$log" | tail -n 1 | head -c 300)
} 2> /dev/null

# What a command says goes into the log, 16 MiB of it, and is read for what tells of an activation script
# that failed: the log may be full, or emptied. Once units or users may speak, and a script may say that
# they do, only whole lines count: what a unit says is behind the journal's words.
# $1 the log  $2 what was heard: up to 99 lines that tell, then `end` where all was read  $3 a file that
# all of this has locked to its end, where it can: whoever acts waits for no lock
listening='
{ command exec 4> "$3" && flock -n 4; } 2> /dev/null
{
  dd bs=256 count=65536 status=none | tee -a "$1"
  [ "$(head -c 1 | wc -c)" != 0 ] || printf "\nend\n"
  exec > /dev/null
  cat
} | LC_ALL=C sed -n -e "/^reloading user units for /,\$bunits" \
  -e "/^warning: the following units failed: /,\$bunits" \
  -e "/Activation script snippet .* failed/btake" \
  -e "/Failed to run activate script/btake" -e "bend" -e ":units" \
  -e "/^Activation script snippet .* failed/btake" \
  -e "/^Failed to run activate script\$/btake" -e "bend" \
  -e ":take" -e "x;/.\{99\}/{x;bend" -e "};s/\$/+/;x;s/[^ -~]/?/g;s/|/?/g;s/^\(.\{200\}\).*/\1/;p" \
  -e ":end" -e "\${/^end\$/p" -e "}" > "$2.new"
mv -f "$2.new" "$2"
'

# Begin to take what comes in at 5, in a session of its own. Where that cannot be, nothing is heard.
listen() {
  listener=
  # What an earlier one left behind has its own file locked, and not this one's.
  rm -f "$run/said" "$run/hears" "$run/heard" "$run/heard.new"
  if command -v setsid > /dev/null && mkfifo -m 0600 "$run/said" && [ -p "$run/said" ]; then
    # Each end is opened with the other one open: nothing waits.
    exec 7<> "$run/said" 6< "$run/said" 5> "$run/said" 7>&-
    (
      exec 3<&- 5>&- 8<&- 9>&-
      exec setsid /bin/sh -c "$listening" listen "$log" "$run/heard" "$run/hears"
    ) <&6 6<&- > /dev/null &
    listener=$!
  else
    exec 5> /dev/null 6< /dev/null
  fi
}

# Take what was heard: all of it where $whole says so.
hear() {
  whole='' heard='' snippets='' tries=0
  [ -n "$listener" ] || return 0
  # Once it has its lock it has it to its end; one that has none, or not yet, is looked for below.
  flock -w 10 "$run/hears" true || tries=500
  while [ ! -e "$run/heard" ] && [ $tries -lt 500 ]; do
    tries=$((tries + 1))
    sleep 0.02
  done
  [ -e "$run/heard" ] || kill -s KILL -- "-$listener"
  wait "$listener"
  listener=
  take_heard < "$run/heard"
  rm -f "$run/said" "$run/heard"
}

# Into $code. An activation may be told to end: the deployer's word is looked for meanwhile. $1 its id
wait_for_child() {
  watcher=
  if [ "$state" = activating ]; then
    (
      exec 3<&- 8<&- 9>&-
      hold_bell back
      hearing=
      # What it waits with ends with it: else a later word would be heard by that.
      trap 'end_timed "$hearing"; wait "$hearing"; exit' TERM
      until [ -e "$asked/back" ]; do
        (exec timeout 1 head -c 1 <&8 > /dev/null) &
        hearing=$!
        wait "$hearing"
        case $? in 0 | 124) ;; *) sleep 0.2 ;; esac
      done
      end_timed "$1"
    ) > /dev/null &
    watcher=$!
  fi
  wait "$1"
  code=$?
  [ -z "$watcher" ] || { kill "$watcher" && wait "$watcher"; }
}

# End what runs under `timeout`, which leads a group: one that is ended while it forks leaves its child. $1 its id
end_timed() {
  kill "$1"
  kill -- "-$1"
}

# End what runs in this unit beside this shell: politely for 2 s, then not.
end_others() {
  find_group || return 0
  tries=0
  while others && [ $tries -lt 350 ]; do
    tries=$((tries + 1))
    if [ $tries -le 100 ]; then signal=TERM; else signal=KILL; fi
    # Each is a word: numbers.
    # shellcheck disable=SC2086
    kill -s $signal $pids
    sleep 0.02
  done
}

# The file that lists this unit's processes, into $group; whoever runs this by hand is left alone.
find_group() {
  while IFS=: read -r _ _ path; do
    case $path in
    */orchestrator-guard-*)
      for group in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
        group=$group$path/cgroup.procs
        [ ! -r "$group" ] || return 0
      done
      ;;
    esac
  done < /proc/self/cgroup
  return 1
}

# One that ends while the kernel tells of it is told as 0, and a signal to that would meet this shell.
others() {
  pids=
  while read -r pid; do
    [ "$pid" = 0 ] || [ "$pid" = $$ ] || listens "$pid" || pids="$pids $pid"
  done < "$group"
  [ -n "$pids" ]
}

# Whether a process is the listener's, which ends when nobody says anything any more. What has just been
# begun has no session of its own yet. $1 its id
listens() {
  [ "$1" != "$listener" ] || return 0
  [ -n "$listener" ] && read -r stat < "/proc/$1/stat" || return
  # Behind the name: state, parent, group, session.
  stat=${stat##*) }
  stat=${stat#* * * }
  [ "${stat%% *}" = "$listener" ]
}
