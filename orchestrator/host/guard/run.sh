# The guard itself: from each state to the next, until the attempt has ended. Started again after it
# was killed, it goes on waiting where it waited, and goes back where it acted. $… options of flock
guard() {
  alone "$@" || exit 0
  load || exit 0
  # Its tools are those of the system that it goes back to: the new system's may be broken. What that
  # one lacks, as Nix where `nix.enable` is false, the new one may have.
  PATH=$running/sw/bin:$PATH:$target/sw/bin
  if in_flight; then
    same_boot || after_boot
    mkdir -p -m 0700 "$asked"
    make_bells
    hold_bell word
    stand
  fi
  while in_flight; do
    case $state in
    recorded) begin ;;
    activating) turn "the guard was ended while it activated" ;;
    waiting) if await_word contact "no new connection came"; then check; fi ;;
    checking) if await_word confirm "no confirmation came"; then commit; fi ;;
    committing) finish "the guard was ended while it committed" ;;
    returning) go_back ;;
    esac
  done
  tidy
  forget_boot_unit
  exit 0
}

# The attempt was cut off by a boot: nothing is confirmed any more, but what was committed stays.
after_boot() {
  # Of this boot's activation others know.
  known='' failing='' words='' words_before=''
  # A boot runs what boots, and no specialisation that was switched to.
  observe
  [ "$now_boot" != "$now_running" ] || live=$now_running
  case $state in
  committing) finish "the host booted while it committed" ;;
  returning) ;;
  *)
    # The disk may have been full when the commit was to be written down.
    if [ "$goal" != test ] && ! booted_before && ! is_before && is_target; then
      end_as "done"
    else
      turn "the host booted in the middle ($state)"
    fi
    ;;
  esac
}

begin() {
  patience=
  if ! have_lock; then
    if [ -e "$asked/back" ]; then leave_be "$(word back)"; else leave_be "$wrong"; fi
    return
  fi
  if ! is_before; then
    leave_be "it changed meanwhile: $wrong"
    return
  fi
  leave_boot_unit
  if [ "$goal" = boot ]; then
    commit
    return
  fi
  become activating "$activate_seconds"
  look_back
  if [ -e "$asked/back" ]; then
    turn "$(word back)"
    return
  fi
  save
  switch "$live" test
  activation=$code
  if [ "$code" = changed ]; then
    leave_be "it changed meanwhile: $wrong"
  elif [ "$code" = locked ] && [ -e "$asked/back" ]; then
    leave_be "$(word back)"
  elif [ "$code" = locked ] || left_alone; then
    leave_be "$wrong"
  elif [ -e "$asked/back" ]; then
    turn "$(word back)"
  elif [ "$code" = timeout ]; then
    turn "activation did not end within $activate_seconds s"
  elif ! is_accepted; then
    turn "activation failed ($code)${heard:+: $heard}"
  elif ! is_at "$live" "$profile" "$boot_default"; then
    turn "activation ended with $code, and the end state is wrong: $wrong"
  elif ! script_ran; then
    turn "activation failed ($code): $wrong"
  else
    become waiting "$confirm_seconds"
  fi
}

# Whether an activation may have gone well, by its exit code. 4: activated, and units failed. 2: its script
# failed, which is no reason where it failed before and in nothing else.
is_accepted() {
  case $code in
  0 | 4) ;;
  2) script_ran ;;
  *) return 1 ;;
  esac
}

# End what touched nothing. $1 why
leave_be() {
  turned=recorded why=$1
  end_as returned
}

check() { become checking "$health_seconds"; }

# The profile goes first: the boot loader's installer lists its generations.
commit() {
  if [ "$goal" = test ]; then
    finish
    return
  fi
  become committing "$activate_seconds"
  act nix-env --profile "$system_profile" --set "$target"
  if [ "$code" != 0 ]; then
    turn "the system profile could not be set ($code)"
    return
  fi
  patience=
  switch "$target" boot
  if [ "$code" = locked ]; then
    turn "the boot loader could not be installed: $wrong"
  elif left_alone; then
    turn "$wrong"
  elif [ "$code" != 0 ]; then
    turn "the boot loader could not be installed ($code)"
  else
    finish
  fi
}

# Done where the host is at the target. $1 what is to be said where it is not
finish() {
  if is_target; then
    end_as "done"
  else
    turn "${1:+$1; }the end state is wrong: $wrong"
  fi
}

# $1 why
turn() {
  turned=$state why=$1
  become returning
}

# Wait until the deployer says something; fails where it goes back. $1 the word  $2 else why
await_word() {
  until [ -e "$asked/$1" ]; do
    clock
    if [ -e "$asked/back" ]; then
      turn "$(word back)"
    elif [ "$now" -ge "${deadline:-0}" ]; then
      turn "$2 in time"
    else
      hear_bell
      continue
    fi
    return 1
  done
}

# What the deployer said. $1 the word
word() { head -n 1 "$asked/$1" 2> /dev/null; }
