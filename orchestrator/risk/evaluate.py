"""A configuration's surface: evaluated once for each system, and kept."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from orchestrator.core.errors import StepError
from orchestrator.core.stored import DamagedError, decode, encode
from orchestrator.nix.configuration import ask, quoted
from orchestrator.nix.verbs import Flake, OnLine
from orchestrator.risk.model import Surface

T = TypeVar("T")


async def evaluate(
    flake: Flake,
    attr: str,
    host: str,
    *,
    deadline: float,
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
    on_start: Callable[[int], None] | None = None,
    specialisation: str = "",
) -> Surface:
    """Evaluate what of a host's configuration its risk is derived from.

    Args:
        flake: Where the host's configuration is.
        attr: The attribute below ``nixosConfigurations``.
        host: The host's name.
        deadline: Seconds after which Nix is stopped.
        env: Set on top of this process's environment.
        on_stderr: Called with each line that Nix says.
        on_start: Called with the process id.
        specialisation: The one that the host is to run, where the system has it; empty for itself.

    Raises:
        StepError: Nothing of it evaluates.
    """
    said = await ask(
        flake,
        attr,
        f"({_function()}) {quoted(specialisation)}",
        f"what the risk of {host} is derived from does not evaluate",
        deadline=deadline,
        env=env,
        on_stderr=on_stderr,
        on_start=on_start,
    )
    return parse(said)


@functools.cache
def _function() -> str:
    return Path(__file__).with_name("read.nix").read_text()


def parse(said: bytes) -> Surface:
    """Read the answer; a part that is not what NixOS has is not known, and the others are.

    Raises:
        StepError: It is no answer at all.
    """
    try:
        parts = decode(dict[str, Any], said)
    except DamagedError as error:
        raise StepError(f"what its risk is derived from is not understood: {error}") from None
    kinds = get_type_hints(Surface)
    return Surface(**{name: _part(kind, parts.get(name)) for name, kind in kinds.items()})


def _part(kind: type[T], said: object) -> T | None:
    try:
        return decode(kind, encode(said))
    except DamagedError:
        return None
