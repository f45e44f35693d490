"""The guard's text: POSIX shell, in one piece as it lies on the host."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from orchestrator.host.scripts import SYSTEMS, script

_DOOR = tuple(f"door{part}" for part in ("", "_listener", "_account", "_files", "_network"))

PARTS = (
    *("places", "attempt", "prove", "act", "switch"),
    *_DOOR,
    *("door_firewall", "run", "back", "resort", "verbs"),
)
"""The files that make the program, in order; the last one ends it."""

_CARRY = 'program=$(cat) && eval "$program"'


@cache
def program() -> str:
    """The whole program; ``$1`` is the verb."""
    folder = Path(__file__).parent
    first, *rest = ((folder / f"{part}.sh").read_text() for part in PARTS)
    return "\n".join([first, SYSTEMS.strip(), *rest])


def carried(verb: str, *arguments: str) -> tuple[str, ...]:
    """The argv that runs a verb of the program that comes on standard input."""
    return script(_CARRY, verb, *arguments)
