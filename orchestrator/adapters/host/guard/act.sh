# Acting: one command at a time, within its time, and nothing that it leaves goes on.

# Run a command; $code is how it ended: an exit code, `timeout` or `killed`.
act() {
  size=$(wc -c < "$log") || size=0
  clock
  end=$((now + activate_seconds))
  (
    exec 9>&-
    # Memory that runs out takes the command and not the guard.
    { echo 0 > /proc/self/oom_score_adj; } 2> /dev/null
    exec timeout -k 10 "$activate_seconds" "$@"
  ) >> "$log" 2>&1 < /dev/null &
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
  timeout 10 tail -c "+$((size + 1))" "$log"
} 2> /dev/null

# Into $code. An activation may be told to end: the deployer's word is looked for meanwhile. $1 its id
wait_for_child() {
  watcher=
  if [ "$state" = activating ]; then
    (
      exec 9>&-
      while [ ! -e "$asked/back" ]; do sleep 0.2; done
      kill "$1"
    ) > /dev/null &
    watcher=$!
  fi
  wait "$1"
  code=$?
  [ -z "$watcher" ] || kill "$watcher"
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

others() {
  pids=
  while read -r pid; do
    [ "$pid" = $$ ] || pids="$pids $pid"
  done < "$group"
  [ -n "$pids" ]
}
