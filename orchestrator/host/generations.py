"""Ask a host which systems it knows: its profile's generations, and what it recorded."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.foreign import split_lines, whole_number
from orchestrator.core.generation import Generation, HostSystems
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.host.guard.orders import parse_attempt
from orchestrator.host.scripts import script

# Print `generation=NUMBER SECONDS SYSTEM VERSION` of each, the lines of the last attempt that was
# committed as `attempt.KEY=…`, and `gone=SYSTEM` of each system whose files are there no more.
GENERATIONS = r"""
systems=
for link in /nix/var/nix/profiles/system-*-link; do
  [ -L "$link" ] || continue
  number=${link##*/system-} number=${number%-link}
  system=$(readlink "$link")
  version=
  { read -r version < "$link/nixos-version"; } 2>/dev/null
  printf 'generation=%s %s %s %s\n' "$number" "$(stat -c %Y "$link")" "$system" "$version"
  systems="$systems $system"
done
record=/var/lib/orchestrator/record
sed 's/^/attempt./' "$record" 2>/dev/null
for file in /run/orchestrator/attempt /var/lib/orchestrator/attempt "$record"; do
  systems="$systems $(sed -n 's/^target=//p; s/^running=//p' "$file" 2>/dev/null)"
done
# A name of the store may have a question mark in it.
set -f
set -- $systems
# What runs may have no Nix of its own.
for system; do PATH=$PATH:$system/sw/bin; done
[ $# = 0 ] || nix-store --check-validity --print-invalid "$@" 2>/dev/null |
  while read -r system; do printf 'gone=%s\n' "$system"; done
echo end=
"""

# Whether a system can be gone back to: 3 where its files are not there, 4 where it is no system.
# $1 the system
IS_THERE = r"""
# What runs may have no Nix of its own.
PATH=$PATH:$1/sw/bin
nix-store --check-validity "$1" 2>/dev/null || exit 3
[ -x "$1/bin/switch-to-configuration" ] || exit 4
"""

NOT_THERE, NO_SYSTEM = 3, 4

_MOST = 10_000
"""Generations: NixOS itself keeps fewer, as its boot loader lists each."""


async def ask_systems(executor: Executor, state: HostState, deadline: float) -> HostSystems:
    """Ask which systems a host knows; ``state`` is its answer of the same moment.

    Raises:
        StepError: It did not answer, or not in this form.
    """
    done = await executor.run(script(GENERATIONS), deadline=deadline)
    if done.rc != 0 or "end=" not in split_lines(done.out):
        raise StepError(
            f"the host did not say which generations it has (exit {done.rc})",
            command=executor.repeat(("ls", "-l", "/nix/var/nix/profiles")),
            stderr=done.err,
        )
    found = parse_systems(done.out, state)
    if len(found.generations) > _MOST:
        raise StepError(
            f"the host has {len(found.generations)} generations; more than {_MOST} are not read",
            hint="remove old ones: nix-collect-garbage --delete-older-than 30d",
            command=executor.repeat(("ls", "/nix/var/nix/profiles")),
        )
    return found


async def is_there(executor: Executor, system: OutPath, deadline: float) -> bool:
    """Whether a system's files are all on the host.

    Raises:
        StepError: They are, and it is no NixOS system; or the host did not say.
    """
    done = await executor.run(script(IS_THERE, system.path), deadline=deadline)
    if done.rc == NOT_THERE:
        return False
    if done.rc == NO_SYSTEM:
        raise StepError(f"{system} is no NixOS system: it has no bin/switch-to-configuration")
    if done.rc != 0:
        raise StepError(f"the host did not say whether it has {system}", stderr=done.err)
    return True


def parse_systems(text: str, state: HostState) -> HostSystems:
    """Read what ``GENERATIONS`` prints; what is not understood of it is left out."""
    generations: list[Generation] = []
    gone: set[OutPath] = set()
    recorded: dict[str, str] = {}
    for line in split_lines(text):
        key, _, value = line.partition("=")
        if key == "generation":
            generations += _generation(value)
        elif key == "gone":
            gone |= {path} if (path := _path(value)) else set()
        else:
            recorded.setdefault(key, value)
    generations.sort(key=lambda generation: generation.number, reverse=True)
    return HostSystems(
        state=state,
        generations=tuple(generations),
        committed=parse_attempt(recorded),
        gone=frozenset(gone),
    )


def _generation(value: str) -> list[Generation]:
    number, made, system, version = [*value.split(" ", 3), "", "", ""][:4]
    if (count := whole_number(number)) is None:
        return []
    return [Generation(count, _time(made), _path(system), version or None)]


def _path(text: str) -> OutPath | None:
    with contextlib.suppress(ValueError):
        return OutPath.parse(text)
    return None


def _time(seconds: str) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(int(seconds), UTC)
    return None
