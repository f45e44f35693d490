"""Services that die and are started again: systemd counts that, and calls none of them failed."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from orchestrator.core.executor import Executor
from orchestrator.core.state import GUARD_UNITS
from orchestrator.core.units import split_lines, whole_number
from orchestrator.host.scripts import script

# Print `UNIT COUNT AGE SUBSTATE` of the services that systemd has started again, and of young ones
# that it would start again: NRestarts counts since somebody else started the unit; the
# age is of its process, in seconds; SubState is `auto-restart` between two starts, and here
# `pause` where the one before ended well, as a loop that sleeps by RestartSec= does.
# By the clock on the wall: /proc/uptime counts sleep, or since a container's start, and
# systemd's monotonic clock does neither. org.freedesktop.systemd1(5).
RESTARTS = r"""
properties=Id,NRestarts,Restart,SubState,Result,ExecMainStartTimestamp
timeout 20 systemctl show --timestamp=unix --property=$properties '*.service' |
  awk -v now="$(date +%s)" '
  function told(age) {
    age = now - began
    if (age < 0) age = 0
    if (how ~ /^auto-restart/ && result == "success") how = "pause"
    if (count > 0 || how ~ /^(auto-restart|pause)/ ||
      policy != "no" && how == "running" && age < 60)
      printf "%s %d %d %s\n", id, count, age, how
    id = how = result = ""
    policy = "no"
    count = began = 0
  }
  BEGIN { policy = "no" }
  /^$/ { told() }
  /^Id=/ { id = substr($0, 4) }
  /^NRestarts=/ { count = substr($0, 11) + 0 }
  /^Restart=/ { policy = substr($0, 9) }
  /^Result=/ { result = substr($0, 8) }
  /^SubState=/ { how = substr($0, 10) }
  /^ExecMainStartTimestamp=@/ { began = substr($0, 25) + 0 }
  END { told() }
' | head -n 1000
"""

_SECONDS = 30.0
_PAUSE = 1.0
WATCH_SECONDS = 10.0
"""A service that died, and then lives that long, is taken for one that stays."""
_OLD_SECONDS = 60
"""One that had died within that time before the host was changed was dying before."""
_AGE = re.compile(r"[0-9]{1,12}(\.[0-9])?")
_UNIT = re.compile(r"[A-Za-z0-9:_.\\@-]{1,247}\.service")
"""systemd.unit(5)."""


@dataclass(frozen=True, slots=True)
class Restarts:
    """How often systemd has started a service again.

    Attributes:
        times: Since somebody else started it.
        age: Of its last process, in seconds.
        waits: Whether it is down, and to be started again.
        well: Whether its last process ended well, where it waits.
        starts: Whether it is being started, as one is whose `ExecStartPre=` dies.
    """

    times: int
    age: float
    waits: bool
    well: bool = False
    starts: bool = False

    @property
    def dying(self) -> bool:
        """Whether it is down, or has died lately."""
        return self.waits or (self.times > 0 and (self.starts or self.age < _OLD_SECONDS))


Counts = Mapping[str, Restarts]


async def ask_restarts(executor: Executor) -> Counts:
    """Ask which services systemd has started again; nothing where it does not say.

    Raises:
        UnreachableError: The connection was lost.
    """
    done = await executor.run(script(RESTARTS), deadline=_SECONDS)
    return parse_restarts(split_lines(done.out))


def parse_restarts(lines: Iterable[str]) -> Counts:
    """Read what ``RESTARTS`` prints; a line of another form is somebody else's.

    The guard's own unit, which is at work while it is asked, is none of the host's services.
    """
    found = {}
    for line in lines:
        unit, *rest = line.split(" ")
        if len(rest) != 3 or not _UNIT.fullmatch(unit) or unit.startswith(GUARD_UNITS):
            continue
        times, age = whole_number(rest[0]), _AGE.fullmatch(rest[1])
        if times is not None and age is not None:
            well = rest[2] == "pause"
            waits = well or rest[2].startswith("auto-restart")
            starts = rest[2].startswith(("start", "condition"))
            found[unit] = Restarts(times, float(age[0]), waits, well, starts)
    return found


def died(now: Counts, before: Counts) -> frozenset[str]:
    """Which services died since ``before``, but for those that had just died then, too."""
    return frozenset(
        unit
        for unit, one in now.items()
        if (one.waits or _started_again(one, before.get(unit))) and not _was_dying(unit, before)
    )


def _started_again(one: Restarts, before: Restarts | None) -> bool:
    """Whether since then; the same count may be another one, of a process that is younger."""
    if before is None or one.times != before.times:
        return one.times > 0
    return one.times > 0 and one.age < before.age


def _was_dying(unit: str, before: Counts) -> bool:
    return unit in before and before[unit].dying


async def unsteady(
    ask: Callable[[], Awaitable[Counts]],
    before: Counts,
    *,
    steady: float,
    seconds: float = WATCH_SECONDS,
) -> Counts:
    """Find services that do not stay up since the host was changed.

    That is one question where none was started and none died. Those that systemd would start
    again come to an age first. What died is watched: whatever dies again, or is down at the end,
    does not stay. What died while it waited for another may be up since.

    Args:
        ask: Asks the host.
        before: What it answered before it was changed.
        steady: To which age of such a service to wait, in seconds.
        seconds: To watch those that died.
    """
    first = now = await ask()
    ages = [one.age for unit, one in now.items() if not _was_dying(unit, before)]
    if ages and (left := steady - min(ages)) > 0:
        await asyncio.sleep(left)
        first = now = await ask()
    watched = died(first, before)
    clock = asyncio.get_running_loop().time
    until = clock() + seconds
    while watched and clock() < until:
        await asyncio.sleep(_PAUSE)
        now = await ask()
        if all(_again(unit, now, first) for unit in watched):
            break  # There is nothing left to find.
    return {
        unit: now[unit]
        for unit in sorted(watched & now.keys())
        if (now[unit].waits and not now[unit].well) or _again(unit, now, first)
    }


def _again(unit: str, now: Counts, first: Counts) -> bool:
    """Whether it died again: one that waited is counted when it is started, and may stay then."""
    one = first[unit]
    return unit in now and now[unit].times not in (one.times, one.times + one.waits)
