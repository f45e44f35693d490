# Proofs: what the host is, against what it should be. Exit codes prove nothing.

# What the host is; of what is said twice the first counts.
observe() {
  now_running='' now_profile=''
  unset now_boot now_source now_note now_by
  while IFS='=' read -r key value; do
    case $key in
    running) now_running=$value ;;
    profile) now_profile=$value ;;
    boot_default) now_boot=${now_boot-$value} ;;
    boot_source) now_source=${now_source-$value} ;;
    boot_note) now_note=${now_note-$value} ;;
    boot_by) now_by=${now_by-$value} ;;
    esac
  done << END
$(systems)
END
  case ${now_boot-} in
  /nix/store/?*) ;;
  *) now_boot=$now_profile now_source=profile ;;
  esac
}

# Whether the host is at these systems; $wrong says why not.
# $1 running, `any` where that does not matter  $2 profile  $3 boot default
is_at() {
  observe
  wrong=
  if [ "$1" != any ] && [ "$now_running" != "$1" ]; then
    wrong="/run/current-system is ${now_running:-nothing}, not ${1:-nothing}"
  elif [ "$now_profile" != "$2" ]; then
    wrong="the system profile is ${now_profile:-nothing}, not ${2:-nothing}"
  elif [ "$boot_source" != profile ] && [ "$now_source" = profile ]; then
    wrong="the default of $boot_source could be read before, and no more${now_note:+: $now_note}"
  elif [ "$now_boot" != "$3" ]; then
    wrong="the boot default is ${now_boot:-nothing}, not ${3:-nothing}${now_by:+: it is chosen by $now_by}"
  fi
  [ -z "$wrong" ]
}

# Whether a system is a specialisation of another. $1 it  $2 the other
specialises() {
  for variant in "$2"/specialisation/*; do
    [ ! "$variant" -ef "$1" ] || return 0
  done
  return 1
}

# Whether the target was profile and boot default already: then these show no commit.
booted_before() {
  [ "$profile" = "$target" ] && { [ "$boot_default" = "$target" ] || specialises "$boot_default" "$target"; }
}

is_before() { is_at "$running" "$profile" "$boot_default"; }

# A boot loader may prefer one of the target's specialisations.
is_target() {
  observe
  boots=$target
  ! specialises "$now_boot" "$target" || boots=$now_boot
  case $goal in
  test) is_at "$live" "$profile" "$boot_default" ;;
  boot) is_at any "$target" "$boots" ;;
  switch) is_at "$live" "$target" "$boots" ;;
  esac
}
