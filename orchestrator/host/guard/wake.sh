# Waking whoever waits. A word and a state are files, looked for at least once a second: a wake-up spares
# that wait and decides nothing. Where none can be had, it is looked as often as a shell can.

# What a deployer rings: `word` wakes a guard that waits, `back` one that acts. $asked is there
make_bells() {
  for bell in word back; do
    [ -p "$asked/$bell.bell" ] || mkfifo -m 0600 "$asked/$bell.bell"
  done
} 2> /dev/null

# Have a bell at 8. Opened for both ends it waits for nobody, and what is rung from here on is kept. $1 bell
hold_bell() {
  [ -p "$asked/$1.bell" ] && command exec 8<> "$asked/$1.bell"
} 2> /dev/null

# Wait until the bell at 8 rings, or a second has passed. What waits outlives a guard that is killed, and has
# none of its locks.
hear_bell() {
  timeout 1 head -c 1 <&8 > /dev/null 3<&- 9>&-
  case $? in 0 | 124) ;; *) sleep 0.1 ;; esac
} 2> /dev/null

# Nobody may hear it: then what was rung is gone, and no end is waited for. $… bells
ring() {
  for bell; do
    [ ! -p "$asked/$bell.bell" ] || printf . 1<> "$asked/$bell.bell"
  done
} 2> /dev/null

# Have a lock for as long as the state is this one: the kernel takes it from a guard that is killed.
stand() {
  true > "$asked/in-$state" && command exec 3< "$asked/in-$state" && flock -w 1 3
} 2> /dev/null

# Wait until the guard is in another state than it was, or gone, or a second has passed; adds to $tries what
# that is in twentieths of a second.
wait_past() {
  stands=$asked/in-$state past=none
  if [ -e "$stands" ]; then
    flock -n -s "$stands" true
    # 1: it is locked; another one is no answer.
    [ $? != 1 ] || { flock -w 1 -s "$stands" true; past=$?; }
  fi
  case $past in
  0) tries=$((tries + 1)) ;;
  1) tries=$((tries + 20)) ;;
  *) tries=$((tries + 1)) && sleep 0.05 ;;
  esac
} 2> /dev/null
