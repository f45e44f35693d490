# Running a system's switch-to-configuration: its lock, and what its exit code does not tell.

# NixOS's lock. Everybody may open its file, and whoever has it open may lock it.
locks="/run/nixos/switch-to-configuration.lock /run/switch-to-configuration.lock"

# Into $code, as of `act`; or `locked` or `changed`: then nothing was run. $1 system  $2 action
switch() {
  for _ in 1 2 3; do
    code=locked script=
    have_lock || return
    code=changed
    [ "$state" != activating ] || is_before || return
    asking_how_it_ends "$1/bin/switch-to-configuration" "$2"
    # EAGAIN: somebody was quicker, and nothing was done.
    [ "$code" = 11 ] && left_alone || break
  done
  [ "$made" = "$(made)" ] || failing=$(failed_now) words=$heard_words
} 2> /dev/null

# Run a command as `act` does, and have its activation script's exit code in $script. $… the command
asking_how_it_ends() {
  script='' made=$(made)
  rm -f "$run/script"
  printf '%s' "$asking" | put "$run/asking"
  act env BASH_ENV="$run/asking" "$@"
  read -r script < "$run/script"
  rm -f "$run/script" "$run/asking"
}

# Whether a switch ended before it did anything, by its exit code and its last word; $wrong says why.
left_alone() {
  [ -z "$script" ] && [ "$made" = "$(made)" ] || return
  case $code:$last in
  # The older program, in Perl, says where as well.
  11:"Could not acquire lock"*) wrong="somebody else's switch is at work" ;;
  100:*) wrong="NixOS switches to it at a boot only (init-interface-version)" ;;
  1:"Pre-switch check"*failed)
    check=$(tail -c +$((size + 1)) "$log" | LC_ALL=C sed -n \
      "s/[^ -~]/?/g;s/^Pre-switch check '\(.\{1,100\}\)' failed\$/ '\1'/p" | tail -n 1)
    wrong="pre-switch check$check failed"
    ;;
  1:*) has_no_bus ;;
  *) return 1 ;;
  esac
}

# Whether a switch ended because it could not speak to systemd: NixOS's does so by D-Bus, which it opens
# before it does anything. Its last words are `Error:`, an empty line, and why.
has_no_bus() {
  tail -c +$((size + 1)) "$log" | tail -n 20 | grep -Fxq "Error: Failed to open dbus connection" || return
  wrong="D-Bus does not answer, and NixOS switches by it (systemctl status dbus.socket)"
}

# bash reads this before each script: NixOS's activation script is run by this, and its own exit code
# written down. What that starts knows nothing of it.
asking="case \$0 in
*/activate)
  unset BASH_ENV
  \"\$0\" \"\$@\"
  set -- \$?
  echo \$1 > $run/script
  exit \$1 ;;
esac
"

# Whether the activation script ran to its end and failed nowhere but where it failed before; else $wrong
# says what is known. The exit code does not tell: where units failed it is 4, which hides the script's 2.
# Where no bash ran the script, what was said tells.
script_ran() {
  wrong=
  if [ "$made" = "$(made)" ]; then
    wrong="its activation script did not run to its end"
  elif [ "$script" = 0 ] || { [ -z "$script$heard" ] && [ -n "$whole" ]; }; then
    [ "$code" != 2 ] || wrong="it ended with 2, and not for its activation script"
  elif [ -z "$script" ] && [ "$code" = 0 ]; then
    :
  elif ! failed_before "$snippets"; then
    wrong=${script:+"its activation script failed ($script)"}
    [ -z "$heard" ] || wrong=$heard
    wrong=${wrong:-"not all that it said could be read, so whether its activation script failed is not known"}
  fi
  [ -z "$wrong" ]
}

# Tells one /run/current-system from the next, which an activation script makes last.
made() { stat -c '%i %z' /run/current-system; } 2> /dev/null

# Wait until the lock is to be had; else $wrong says who has it. Going back waits as well, and no longer
# than an activation may take: a switch that hangs is no reason to stay.
have_lock() {
  clock
  patience=${patience:-$((now + activate_seconds))}
  for lock in $locks; do
    until to_be_had "$lock"; do
      clock
      if [ "$state" = returning ] && [ "$now" -ge "$patience" ]; then
        say 3 "$wrong; going back nevertheless"
        replace "$lock"
      elif [ "$now" -ge "$patience" ] || { [ "$state" != returning ] && [ -e "$asked/back" ]; }; then
        return 1
      else
        wait_openly "waiting: $wrong"
        sleep 0.2
      fi
    done
  done
  wait_openly ''
}

# Have whoever asks know what is waited for, before anything was done. $1 what; nothing: it is over
wait_openly() {
  case $state:$why in
  recorded: | activating: | recorded:"waiting: "* | activating:"waiting: "*)
    [ "$why" = "$1" ] || { why=$1 && save; }
    ;;
  esac
}

# Whether nobody has the lock; from then on root alone may open its file. What others than root have
# locked is theirs to keep: another file takes its place. $1 the file
to_be_had() {
  case $1 in
  /run/nixos/*) mkdir -p -m 0755 "${1%/*}" ;;
  *) [ -e "$1" ] || return 0 ;;
  esac
  if flock -n "$1" true; then
    [ "$(stat -c %a "$1")" = 600 ] || replace "$1"
  elif root_has "$1"; then
    return 1
  else
    say 4 "others than root had locked $1: a file that root alone may open is in its place"
    replace "$1"
  fi
} 2> /dev/null

# With the old file locked, where that can be: one that was about to lock it gets no lock. $1 the file
replace() {
  (umask 077 && : > "$1.new") && { flock -n "$1" mv -f "$1.new" "$1" || mv -f "$1.new" "$1"; }
  # Where nothing can be written, switch-to-configuration says so.
  return 0
} 2> /dev/null

# Whether a process of root's has locked a file; $wrong names it. Whoever locked it may have ended, and
# what it started have the lock: the descriptor tells. $1 the file
root_has() {
  for process in /proc/[0-9]*; do
    is_roots "$process" || continue
    for descriptor in "$process"/task/[0-9]*/fd/*; do
      [ "$descriptor" -ef "$1" ] || continue
      grep -q '^lock:' "${descriptor%/fd/*}/fdinfo/${descriptor##*/}" || continue
      command=$(head -c 100 "$process/cmdline" | tr -c '[:graph:]' ' ')
      wrong="process ${process##*/} (${command% }) has locked $1"
      return 0
    done
  done
  return 1
}

# By the real user: a program that is root's by its mode may have been given the descriptor. $1 /proc/ID
is_roots() {
  while read -r key user _; do
    [ "$key" != Uid: ] || { [ "$user" = 0 ]; return; }
  done < "$1/status"
  return 1
}
