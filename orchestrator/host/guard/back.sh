# Going back, and the end.

go_back() {
  # What the old system checks before a switch is no reason to stay.
  NIXOS_NO_CHECK=1
  export NIXOS_NO_CHECK
  patience=
  rm -f "$lib/room" 2> /dev/null
  # Nor is an activation that talked until /run was full.
  { [ "$(wc -c < "$log")" -lt 8388608 ] || true > "$log"; } 2> /dev/null
  # What comes from here on is the old system's, and not the cause.
  { printf 'orchestrator: rolling back: %s\n' "$why" >> "$log"; } 2> /dev/null
  for pause in 1 5 0; do
    bring_back
    mend_door
    if is_before && [ -z "$failed" ] && [ -z "$shut" ]; then
      be_unreached
      end_as returned
      return
    fi
    sleep $pause
  done
  resort_to_boot
  is_before && [ -z "$failed" ] && wrong="nobody gets in: $shut"
  why="$why; going back failed: ${wrong:-$failed}"
  say 2 "GOING BACK FAILED. This host was to be $running again: ${wrong:-$failed}"
  end_as stuck
}

# That one gets in again is shown by a connection that is made from here on, and by nothing else.
be_unreached() {
  [ "$way" = ssh ] && [ "$turned" != recorded ] || return 0
  uptime_in_hundredths
  same_boot
  reached=0 back="$hundredths $this_boot"
}

# What boots comes first, so that a power cut now ends right too. What the profile and the boot
# default are is read afterwards; whether an activation went well is known here only.
bring_back() {
  failed=
  observe
  if [ "$now_profile" != "$profile" ]; then
    act nix-env --profile "$system_profile" --set "$profile"
  fi
  if [ "$now_boot" != "$boot_default" ] || [ "$turned" = committing ]; then
    bring_back_boot_default
    [ "$code" = 0 ] || [ "$boot_source" != profile ] || failed="the boot loader: $code"
  fi
  if [ "$now_running" != "$running" ] || activated; then
    switch "$running" test
    case $code in
    0 | 2 | 4) script_ran || failed="switch-to-configuration test: $code, and $wrong" ;;
    1)
      failed="switch-to-configuration test: 1"
      if left_alone && has_no_bus; then
        failed="$failed, and $wrong"
        mend_bus
      fi
      ;;
    *) failed="switch-to-configuration test: $code" ;;
    esac
  fi
}

# Have D-Bus answer again, for the next try: by its units as they are, and else as the old system has them.
# What the ended switch had still to do to units is in NixOS's lists.
mend_bus() {
  begin_bus && return
  asking_how_it_ends env NIXOS_ACTION=test "$running/activate" "$running"
  act systemctl daemon-reload
  begin_bus
}

begin_bus() {
  timeout 10 systemctl reset-failed dbus.socket dbus.service
  act systemctl start dbus.socket
  [ "$code" = 0 ]
} 2> /dev/null

# A boot loader's installer lists the profile's generations. Where the boot default was none of them
# any more, it becomes one first.
bring_back_boot_default() {
  # A specialisation is installed with its system, and is a generation of no profile.
  ! specialises "$boot_default" "$profile" || { switch "$profile" boot; return; }
  switch "$boot_default" boot
  observe
  if [ "$now_boot" != "$boot_default" ]; then
    act nix-env --profile "$system_profile" --set "$boot_default"
    switch "$boot_default" boot
    loader=$code
    act nix-env --profile "$system_profile" --set "$profile"
    code=$loader
  fi
}

# Whether this boot has seen an activation of the target, whole or in part.
activated() { [ "$goal" != boot ] && [ "$turned" != recorded ] && same_boot; }

# The end is told last, when nothing is left but what it says. $1 the state
end_as() {
  state=$1 deadline='' ended=$(date +%s) made_at=$(made)
  rm -f "$lib/room" 2> /dev/null
  if [ "$state" = "done" ] && [ "$goal" != test ]; then
    lines | put "$record" || why="the record could not be written"
  fi
  lines | put "$kept" || say 4 "$kept cannot be written"
  tidy
  lines | put "$newer" || rm -f "$newer"
  exec 3<&-
  say 5 "$target: $state${why:+: $why}"
}

tidy() {
  rm -rf "$asked" "$door" "$door_secrets"
  rm -f "$lib/room" "$run/said" "$run/hears" "$run/heard" "$run/heard.new" "$run/script" "$run/asking" 2> /dev/null
  for root in target running profile boot; do rm -f "$roots/$token-$root"; done
  rm -f "$copied/${target##*/}"
  rm -f "$control/multi-user.target.wants/$boot_unit" "$control/$boot_unit"
  rmdir "$control/multi-user.target.wants" "$control" "$roots" "$copied" 2> /dev/null
}

# An activation has systemd load its units anew, the one for the next boot among them: it stays until the
# next time, though its file is gone.
forget_boot_unit() {
  case $(timeout 10 systemctl show --property LoadState --value "$boot_unit") in
  loaded) timeout 60 systemctl daemon-reload ;;
  esac
  # Where its folder was hidden meanwhile it failed, and would be listed as that.
  timeout 10 systemctl reset-failed "$boot_unit"
} 2> /dev/null

# Have the next boot go on where a power cut may end this one. Where /etc cannot be written, the next
# deployer does. In this boot too an activation may start the unit: it then finds a guard at work.
leave_boot_unit() {
  mkdir -p "$control/multi-user.target.wants" || return
  put "$control/$boot_unit" << END || return
[Unit]
Description=orchestrator: finish or take back what a boot cut off
After=boot.mount efi.mount boot-efi.mount
[Service]
ExecStart=/bin/sh $lib/guard boot
Restart=on-failure
RestartSec=1
OOMPolicy=continue
OOMScoreAdjust=-900
SyslogIdentifier=orchestrator-guard
END
  ln -sfn "../$boot_unit" "$control/multi-user.target.wants/$boot_unit"
} 2> /dev/null
