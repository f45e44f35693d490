"""Ask a host what keeps a system from being switched to live, and what counts from a boot on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.json_text import parse_json
from orchestrator.core.lines import split_lines
from orchestrator.core.store import OutPath
from orchestrator.host.lock_lines import values_of
from orchestrator.host.reboot import BOOT_PARTS, parse_parts
from orchestrator.host.scripts import script

# Print what `system.switch.inhibitors` was for the running system and for another, as one line of
# JSON each; NixOS has it in the toplevel since 25.11, and its pre-switch check compares the two.
# Then what is printed of their parts.
# $1 the other  $2… the parts
SWITCHING = rf"""
inhibitors() {{
  printf '%s=' "$1"
  tr '\n' ' ' < "$2/switch-inhibitors"
  echo
}} 2>/dev/null
inhibitors running /run/current-system
inhibitors target "$1"
{BOOT_PARTS}
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """How a host stands towards one of its systems.

    Attributes:
        running: A version or the like of each component of the running system that is not to
            change live; nothing where it names none.
        target: Likewise of the other system.
        booted: What counts from a boot on, of the system that was booted, by the part's name.
        wanted: Likewise of the other system.
    """

    running: dict[str, str]
    target: dict[str, str]
    booted: dict[str, str]
    wanted: dict[str, str]


async def ask_standing(
    executor: Executor, target: OutPath, parts: Sequence[str], deadline: float
) -> Standing:
    """Ask; the system is there.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not say.
    """
    done = await executor.run(script(SWITCHING, target.path, *parts), deadline=deadline)
    lines = split_lines(done.out)
    if done.rc != 0 or "end=" not in lines:
        raise StepError(
            f"the host did not say whether it may switch live (exit {done.rc})",
            command=executor.repeat(("cat", f"{target}/switch-inhibitors")),
            stderr=done.err,
        )
    said = values_of(done.out)
    booted, wanted = parse_parts(lines, parts)
    running = _components(said.get("running", ""))
    return Standing(running, _components(said.get("target", "")), booted, wanted)


def _components(text: str) -> dict[str, str]:
    """Read the file's JSON; what is no such object names nothing, as for NixOS."""
    with contextlib.suppress(ValueError, AttributeError):
        return {str(name): str(version) for name, version in parse_json(text).items()}
    return {}
