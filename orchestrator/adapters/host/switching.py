"""Ask a host which components keep one of its systems from being switched to live."""

from __future__ import annotations

import contextlib
import json

from orchestrator.adapters.executor import Executor
from orchestrator.adapters.host.scripts import script
from orchestrator.errors import StepError
from orchestrator.model.store import OutPath

# Print what `system.switch.inhibitors` was for the running system and for another, as one line of
# JSON each; NixOS has it in the toplevel since 25.11, and its pre-switch check compares the two.
# $1 the other
INHIBITORS = r"""
tell() {
  printf '%s=' "$1"
  tr '\n' ' ' < "$2/switch-inhibitors"
  echo
} 2>/dev/null
tell running /run/current-system
tell target "$1"
echo end=
"""


async def ask_inhibitors(
    executor: Executor, target: OutPath, deadline: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Ask for the components of the running system and of another, which is there.

    Returns:
        A version or the like of each component; nothing of a system that names none.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not say.
    """
    done = await executor.run(script(INHIBITORS, target.path), deadline=deadline)
    lines = done.out.splitlines()
    if done.rc != 0 or "end=" not in lines:
        raise StepError(
            f"the host did not say whether it may switch live (exit {done.rc})",
            command=executor.repeat(("cat", f"{target}/switch-inhibitors")),
            stderr=done.err,
        )
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    return _components(said.get("running", "")), _components(said.get("target", ""))


def _components(text: str) -> dict[str, str]:
    """Read the file's JSON; what is no such object names nothing, as for NixOS."""
    with contextlib.suppress(ValueError, AttributeError):
        return {str(name): str(version) for name, version in json.loads(text).items()}
    return {}
