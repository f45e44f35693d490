"""The shell of a host's lock and hold, and what it answers."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime

from orchestrator.core.claims import UNREADABLE, Hold, Lock
from orchestrator.core.units import split_lines, whole_number

LONGEST_SECONDS = 3600
"""A lock that says it counts for longer than this was not written by us: it is nobody's."""

# Print what the lock and the hold say: `lock.KEY=…`, `hold.KEY=…`, and the clock that `expires`
# is by. That a file is there is told even where it says nothing.
TELL = r"""
tell() {
  [ -e "$2" ] || return 0
  printf '%s=\n' "$1"
  while IFS= read -r line || [ -n "${line-}" ]; do printf '%s.%s\n' "$1" "$line"; done < "$2"
}
IFS='. ' read -r now _ < /proc/uptime
printf 'uptime=%s\n' "$now"
tell lock /run/orchestrator/lock
tell hold /var/lib/orchestrator/hold
"""

# Alone from here to the script's end: what is told is what is then changed.
_ALONE = rf"""
set -u
lock=/run/orchestrator/lock hold=/var/lib/orchestrator/hold
mkdir -p -m 0700 /run/orchestrator || exit
exec 9> /run/orchestrator/mutex || exit
flock -w 20 9 || {{
  [ $? != 1 ] || echo 'another program keeps /run/orchestrator/mutex locked' >&2
  exit 1
}}
read -r boot < /proc/sys/kernel/random/boot_id
printf 'boot_id=%s\n' "$boot"
{TELL}
answer() {{ printf 'answer=%s\n' "$1"; exit 0; }}
# $1 file  $2 key
field() {{
  while IFS= read -r line || [ -n "${{line-}}" ]; do
    case $line in "$2="*) printf '%s' "${{line#*=}}"; return ;; esac
  done < "$1"
}} 2> /dev/null
holder=$(field "$lock" token)
live() {{
  expires=$(field "$lock" expires)
  [ -n "$holder" ] && [ "$expires" -gt "$now" ] && [ "$expires" -le $((now + {LONGEST_SECONDS})) ]
}} 2> /dev/null
# Whether no hold stands but the one named. $1 its id
free() {{
  [ -e "$hold" ] || return 0
  id=$(field "$hold" id)
  [ "${{id:-{UNREADABLE}}}" = "$1" ]
}}
# Replace a file, or a folder that is in its place, by standard input and a line, whole.
# $1 file  $2 the line
write() {{
  [ ! -d "$1" ] || rm -rf "$1"
  {{ cat && printf '%s\n' "$2" && sync "$1.new"; }} > "$1.new" && mv -f "$1.new" "$1" && return
  rm -f "$1.new"
  exit 1
}}
"""

# Take the lock, or take it again.
# $1 token  $2 seconds  $3 the id of a hold that does not count  $4 the token of a holder that is
# gone, or nothing; standard input: the lock's lines
TAKE = rf"""{_ALONE}
free "$3" || answer held
[ "$holder" = "$1" ] || [ "$holder" = "$4" ] || ! live || answer locked
write "$lock" "expires=$((now + $2))"
answer done
"""

# Have our lock count for longer; one that a boot cleared away is rewritten.
# $1 token  $2 seconds  $3 the id of a hold that does not count  $4 the boot in which it was taken
# standard input: the lock's lines
RENEW = rf"""{_ALONE}
free "$3" || answer held
[ "$holder" = "$1" ] || {{ [ ! -e "$lock" ] && [ "$boot" != "$4" ]; }} || answer locked
write "$lock" "expires=$((now + $2))"
answer done
"""

# $1 token
RELEASE = rf"""{_ALONE}
[ "$holder" = "$1" ] || answer locked
rm -f "$lock" || exit
answer done
"""

# Take the lock from its holder, who finds the thief's name in its place; it counts for nobody.
# $1 the token that it must have; standard input: the lines that replace it
STEAL = rf"""{_ALONE}
live || answer free
[ "$holder" = "$1" ] || answer locked
write "$lock" "expires=$now"
answer done
"""

# Place a hold, where none stands. Standard input: its lines, but for the last, $1
HOLD = rf"""{_ALONE}
[ ! -e "$hold" ] || answer held
mkdir -p /var/lib/orchestrator || exit
write "$hold" "$1"
answer done
"""

# Lift the hold.
LIFT = rf"""{_ALONE}
[ -e "$hold" ] || answer free
rm -rf "$hold" && [ ! -e "$hold" ] || exit 1
answer done
"""


def parse_lock(values: Mapping[str, str]) -> Lock | None:
    """Read what ``TELL`` prints of the lock; ``None`` where there is none that can be read.

    Args:
        values: The answer's lines; of those with one key, the first.
    """
    expires, now = (whole_number(values.get(key, "")) for key in ("lock.expires", "uptime"))
    token = values.get("lock.token")
    if not token or expires is None or now is None or expires - now > LONGEST_SECONDS:
        return None
    return Lock(
        token=token,
        who=values.get("lock.who") or "somebody",
        run=whole_number(values.get("lock.run", "")),
        reason=values.get("lock.reason") or "no reason given",
        since=_time(values.get("lock.since", "")),
        expires_in=expires - now,
    )


def parse_hold(values: Mapping[str, str]) -> Hold | None:
    """Read what ``TELL`` prints of the hold; one that cannot be read is one nevertheless.

    Args:
        values: The answer's lines; of those with one key, the first.
    """
    if "hold" not in values:
        return None
    return Hold(
        id=values.get("hold.id") or UNREADABLE,
        who=values.get("hold.who") or "somebody",
        reason=values.get("hold.reason") or "no reason given",
        since=_time(values.get("hold.since", "")),
    )


def values_of(text: str) -> dict[str, str]:
    """Read `key=value` lines; of those with one key, the first."""
    values: dict[str, str] = {}
    for line in split_lines(text):
        key, _, value = line.partition("=")
        values.setdefault(key, value)
    return values


def _time(seconds: str) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(int(seconds), UTC)
    return None
