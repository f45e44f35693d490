# The last resort: boot into the old default, where the host itself knows that the way in is shut.

# Only where the inventory allows it, where nobody can get in and the repair failed, where what boots was
# read and is the old system, and never twice for one attempt. That nobody comes is no reason, nor
# is that the link went with whoever came over it, which may keep sshd from its address.
resort_to_boot() {
  [ "$last_resort" = reboot ] && [ -n "$shut" ] && [ -n "$evidence" ] && [ -z "$resort" ] || return
  ! went_with_peer "$link" || return
  same_boot && [ "$boot_source" != profile ] && [ "$boot_default" = "$running" ] && is_before || return
  # The next boot alone may start another one.
  [ -z "${now_note-}" ] || return
  [ -e "$control/$boot_unit" ] || leave_boot_unit || return
  resort=1 why="$why; $shut, and could not be repaired: it is booted into $boot_default"
  save
  say 2 "THE WAY IN IS SHUT: $shut. Booting into $boot_default, as a last resort."
  sync
  timeout 30 systemctl reboot 9>&- || timeout 30 systemctl reboot --force 9>&-
  # A shutdown ends this shell.
  sleep 300
}
