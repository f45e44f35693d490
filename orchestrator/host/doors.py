"""Whether a system can be left again: it has what changes a system, and Nix."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.store import OutPath
from orchestrator.host.scripts import script

SWITCH, NIX = "bin/switch-to-configuration", "sw/bin/nix-env"

# Print which of a system's programs are missing; 3 where the system is not there.
# $1 the system  $2… the programs
MISSING = r"""
system=$1
shift
[ -e "$system" ] || exit 3
for program; do
  [ -e "$system/$program" ] || printf 'missing=%s\n' "$program"
done
echo end=
"""

_ABSENT = 3


def missing_here(system: OutPath) -> frozenset[str] | None:
    """Find which of the programs a system in the store of this machine lacks.

    Returns:
        ``None`` where the system is not here.
    """
    folder = Path(system.path)
    if not folder.exists():
        return None
    return frozenset(program for program in (SWITCH, NIX) if not (folder / program).exists())


async def missing_there(
    executor: Executor, system: OutPath, deadline: float
) -> frozenset[str] | None:
    """Find the same of a system on another machine.

    Raises:
        StepError: That machine did not say.
    """
    done = await executor.run(script(MISSING, system.path, SWITCH, NIX), deadline=deadline)
    if done.rc == _ABSENT:
        return None
    lines = done.out.split("\n")
    if done.rc != 0 or "end=" not in lines:
        raise StepError(
            f"it did not say whether {system} can be left again (exit {done.rc})",
            command=executor.repeat(("ls", "-l", f"{system}/{SWITCH}", f"{system}/{NIX}")),
            stderr=done.err,
        )
    return frozenset(program for program in (SWITCH, NIX) if f"missing={program}" in lines)
