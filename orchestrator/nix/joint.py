"""A system, and what else is wanted of its configuration, by one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.bounds import ANSWER
from orchestrator.core.errors import StepError
from orchestrator.core.store import DrvPath, Evaluated
from orchestrator.core.stored import DamagedError, decode, encode
from orchestrator.nix.failing import not_evaluated
from orchestrator.nix.verbs import Flake, OnLine, evaluated_to, nix_argv, run_on

_EVALUATED = b"orchestrator: the system is evaluated"
# Nix shows lines of an expression that fails: there it must not stand.
_SAID = '"orchestrator: the system" + " is evaluated"'


@dataclass(frozen=True, slots=True)
class Beside:
    """What else is wanted where a system is evaluated.

    Attributes:
        function: In Nix's language, of the configuration.
        take: Called with the system, and the answer as JSON.
    """

    function: str
    take: Callable[[Evaluated, bytes], None]


async def evaluate_with(
    beside: Beside,
    flake: Flake,
    attr: str,
    *,
    deadline: float,
    env: Mapping[str, str | None] | None = None,
    on_stderr: OnLine | None = None,
    on_start: Callable[[int], None] | None = None,
) -> Evaluated | None:
    """Evaluate a host's system and something beside it; arguments as of ``verbs.evaluate``.

    Returns:
        ``None`` where what is beside it does not evaluate: the system has to be evaluated alone.

    Raises:
        StepError: As ``verbs.evaluate``.
    """
    argv = (
        *nix_argv("eval", "--json", "--apply", _both(beside.function)),
        *flake.evaluating,
        flake.configuration(attr),
    )

    evaluated = False

    def tell(line: bytes) -> None:
        nonlocal evaluated
        if _EVALUATED in line:
            evaluated = True
        elif on_stderr is not None:
            on_stderr(line)

    how: dict[str, Any] = {"deadline": deadline, "env": env, "on_start": on_start}
    try:
        done = await run_on(flake, argv, on_stderr=tell, bound=ANSWER, **how)
    except StepError:  # it took too long, or said too much
        if evaluated:
            return None
        raise
    if done.rc != 0 and not evaluated:
        raise await not_evaluated(flake, attr, done, deadline)
    if done.rc != 0:
        return None
    try:
        said = decode(dict[str, Any], done.stdout)
        drv = DrvPath.parse(said["drv"])
    except (DamagedError, KeyError, ValueError, AttributeError):
        return None
    found = await evaluated_to(drv)
    beside.take(found, encode(said.get("beside")))
    return found


def _both(function: str) -> str:
    """The system first: an error after it is not its own."""
    return f"""config:
let system = config.system.build.toplevel; in
builtins.seq system.drvPath (builtins.trace ({_SAID}) {{
  drv = system.drvPath;
  beside = ({function}) config;
}})"""
