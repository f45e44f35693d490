"""The shell that runs on hosts. Constants only: what varies is an argument, ``$1`` and up.

They need what every NixOS has on its path: a POSIX shell, coreutils, grep, sed, systemd and Nix.
"""

from __future__ import annotations

from orchestrator.adapters.host.lock_scripts import TELL

# What the host runs, what its profile is and what it boots. The guard proves by the same shell.
#
# The boot default is read from the boot loader's own files:
#   systemd-boot  loader.conf `default`, then that entry's `init=`   (loader.conf(5))
#   GRUB          the first menu entry's `init=`
#   extlinux      the `DEFAULT` label's `init=`
# A pattern as `default` (systemd-boot allows globs) is matched by the shell.
SYSTEMS = r"""
# A link that leads nowhere is nothing to return to.
link() { cd -P -- "$2" && printf '%s=%s\n' "$1" "$PWD"; } 2>/dev/null
init() {
  sed -n '\|init=/nix/store/[^/ ]*/init|{s|.*init=\(/nix/store/[^/ ]*\)/init.*|\1|p;q;}' "$1"
}
systemd_boot() {
  for esp in /boot /efi /boot/efi; do
    conf=$esp/loader/loader.conf
    [ -e "$conf" ] || continue
    default=
    while read -r key value || [ -n "$key" ]; do
      [ "$key" = default ] && { default=$value; break; }
    done < "$conf"
    for entry in $esp/loader/entries/$default $esp/loader/entries/$default.conf; do
      [ -f "$entry" ] || continue
      printf 'boot_default=%s\nboot_source=systemd-boot\n' "$(init "$entry")"; return
    done
  done
}
extlinux() {
  label=$(sed -n 's/^DEFAULT[[:space:]]\{1,\}//p' "$1" | head -n 1)
  system=$(sed -n "/^LABEL $label\$/,/^LABEL /s|.*init=\(/nix/store/[^/ ]*\)/init.*|\1|p" "$1" |
    head -n 1)
  printf 'boot_default=%s\nboot_source=extlinux\n' "$system"
}
systems() {
  link running /run/current-system
  link booted /run/booted-system
  link profile /nix/var/nix/profiles/system
  systemd_boot
  if [ -e /boot/grub/grub.cfg ]; then
    printf 'boot_default=%s\nboot_source=grub\n' "$(init /boot/grub/grub.cfg)"
  elif [ -e /boot/extlinux/extlinux.conf ]; then
    extlinux /boot/extlinux/extlinux.conf
  fi
}
"""

# Ask everything that a decision needs in one round trip: `key=value` lines.
STATE = rf"""
# The slowest answer is asked for first, and comes while the rest is read.
systemctl list-units --state=failed --plain --no-legend --no-pager 2>/dev/null |
  while read -r unit _; do printf 'failed=%s\n' "$unit"; done &
id() {{
  value=
  {{ read -r value < "$2"; }} 2>/dev/null
  printf '%s=%s\n' "$1" "$value"
}}
id machine_id /etc/machine-id
id boot_id /proc/sys/kernel/random/boot_id
{SYSTEMS}
systems
{TELL}
tell record /var/lib/orchestrator/record
# The copy in /run is the newer one; the other one outlives a boot.
if [ -e /run/orchestrator/attempt ]; then
  tell attempt /run/orchestrator/attempt
else
  tell attempt /var/lib/orchestrator/attempt
fi
wait
"""

# Start work in a unit of its own, so that a connection that drops cannot kill it.
# $1 unit  $2 action  $3 toplevel to root against garbage collection  $4… the action's arguments
START = r"""
set -eu
unit=$1 action=$2 toplevel=$3
shift 3
dir=/run/orchestrator/$unit
mkdir -p -m 0700 /run/orchestrator
mkdir "$dir"
mkdir -p /nix/var/nix/gcroots/orchestrator
# Roots of a run that was left in the middle; no activation takes days.
find /nix/var/nix/gcroots/orchestrator -type l -mtime +1 -exec rm -f {} + 2>/dev/null || :
ln -sfn "$toplevel" "/nix/var/nix/gcroots/orchestrator/$unit"
cat > "$dir/action"
exec systemd-run --quiet --collect --no-ask-password --service-type=exec --unit="$unit" \
  --description="orchestrator: $action ${toplevel##*/}" \
  --setenv=PATH="$PATH" --setenv=LOCALE_ARCHIVE="${LOCALE_ARCHIVE-}" \
  -- /bin/sh -c '
    dir=$1; shift
    [ ! -e "$dir/never" ] || exit 0
    /bin/sh "$dir/action" "$@" > "$dir/log" 2>&1 < /dev/null
    rc=$?
    echo "$rc" > "$dir/exit.new" && mv "$dir/exit.new" "$dir/exit"
  ' sh "$dir" "$@"
"""

ENDED = "orchestrator-unit-ended"
"""Opens the line that says how a unit's work ended: a login shell may print lines before it."""

# Wait for a unit's work and print how it ended: the exit code, then the end of what it said.
# May be asked again on another connection, for as long as the host is up.
# $1 unit
WAIT = rf"""
dir=/run/orchestrator/$1
ended() {{ printf '\n{ENDED} %s\n' "$1"; tail -c 1000000 "$dir/log" 2>/dev/null; exit 0; }}
mkdir -p -m 0700 /run/orchestrator
# What was not begun yet is never begun: its folder is taken.
mkdir "$dir" 2>/dev/null && ended unknown
tries=0
while [ ! -e "$dir/exit" ]; do
  tries=$((tries + 1))
  if [ $((tries % 10)) -eq 0 ] && ! systemctl is-active --quiet "$1.service"; then
    # A start that is slow comes to nothing from here on; it may have been in time.
    : > "$dir/never"
    systemctl is-active --quiet "$1.service" || [ -e "$dir/exit" ] || ended killed
  fi
  sleep 0.1
done
ended "$(cat "$dir/exit")"
"""

# Forget a unit's work: its folder and its root.
# $1 unit
FORGET = r"""
rm -rf "/run/orchestrator/$1"
rm -f "/nix/var/nix/gcroots/orchestrator/$1"
"""

# End a unit that did not end by itself, or was not begun yet; fail where it goes on.
# $1 unit
STOP = r"""
mkdir -p -m 0700 /run/orchestrator "/run/orchestrator/$1"
: > "/run/orchestrator/$1/never"
systemctl stop "$1.service" 2>/dev/null
case $(systemctl show --property ActiveState --value "$1.service") in
inactive | failed) systemctl reset-failed "$1.service" 2>/dev/null; exit 0 ;;
esac
systemctl status --no-pager "$1.service" >&2
exit 1
"""

# $1 toplevel  $2 test | dry-activate
ACTIVATE = r"""
exec "$1/bin/switch-to-configuration" "$2"
"""

# Make a system the profile and the boot default. The profile goes first: the boot loader's
# installer lists the profile's generations and makes the one that is $2 the default.
# $1 the profile's system  $2 the boot default's system
COMMIT = r"""
set -eu
nix-env --profile /nix/var/nix/profiles/system --set "$1"
exec "$2/bin/switch-to-configuration" boot
"""

LOADER_FAILED = 75
"""How RETURN ends where all but the boot loader's installer went well: the proof then decides."""

# Go back to the recorded systems: what boots first, so that a power cut now ends right too.
# An empty argument is left as it is. What the profile and the boot default are is read afterwards;
# whether an activation went well is known here only.
# $1 the profile's system  $2 the boot default's system  $3 the running system
RETURN = rf"""
rc=0
[ -z "$1" ] || nix-env --profile /nix/var/nix/profiles/system --set "$1" || rc={LOADER_FAILED}
[ -z "$2" ] || "$2/bin/switch-to-configuration" boot || rc={LOADER_FAILED}
[ -z "$3" ] && exit $rc
"$3/bin/switch-to-configuration" test || {{ code=$?; [ $code = 4 ] || exit $code; }}
exit $rc
"""

# Replace the record by what comes on standard input.
RECORD = r"""
set -eu
mkdir -p /var/lib/orchestrator
cat > /var/lib/orchestrator/record.new
sync /var/lib/orchestrator/record.new
mv /var/lib/orchestrator/record.new /var/lib/orchestrator/record
"""

UNDOES = "orchestrator-undoes"
"""Opens a line that names a program for unpacking: a login shell may print lines before it."""

# Of a closure on standard input, print the paths that are not valid here; none where its root is.
# $1 the root
LACKING = rf"""
for program in zstd gzip; do
  command -v $program > /dev/null && echo "{UNDOES} $program"
done
nix-store --check-validity "$1" 2> /dev/null && exit 0
exec xargs nix-store --check-validity --print-invalid
"""

# Register what comes as a compressed export; say nothing but what goes wrong.
# $1 the program that unpacks it
TAKE_IN = r"""
exec 2>&1
"$1" -d -c | nix-store --import > /dev/null
"""

# Write paths as a compressed export; end as the export ended.
# $1 the program that packs  $2… paths
GIVE_OUT = r"""
program=$1; shift
exec 3>&1
code=$({ { nix-store --export "$@"; echo $? >&4; } | "$program" -1 -c >&3; } 4>&1)
exit "$code"
"""

# Read a number and so many bytes, say so, and begin again.
SWALLOW = r"""
while read -r count; do
  head -c "$count" > /dev/null
  printf .
done
"""

# Fetch a system and what it lacks of its closure; all that Nix says comes as it is said.
# What Nix remembers of a cache may be old: a memory of its own. Root's own store, not the daemon's:
# that one has its settings, and its memory.
# $1 the system  $2… Nix's options
FETCH = r"""
exec 2>&1
unset NIX_REMOTE NIX_CACHE_HOME
XDG_CACHE_HOME=$(mktemp -d) || exit
export XDG_CACHE_HOME
trap 'rm -rf "$XDG_CACHE_HOME"' EXIT
nix-store --log-format internal-json -v --realise "$@"
"""

# Names of all paths in the running system's closure.
CLOSURE = r"""
exec nix-store --query --requisites /run/current-system
"""


def script(text: str, *arguments: str) -> tuple[str, ...]:
    """The argv that runs one of these scripts with arguments."""
    return ("/bin/sh", "-c", text, "orchestrator", *arguments)
