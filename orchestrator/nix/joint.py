"""A system, and what else is wanted of its configuration, by one evaluation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core.bounds import ANSWER
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.stored import DamagedError, decode, encode
from orchestrator.nix.verbs import Flake, OnLine, nix_argv, not_evaluated, run_on

_EVALUATED = "orchestrator: the system is evaluated"
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

    def tell(line: bytes) -> None:
        if on_stderr is not None and _EVALUATED.encode() not in line:
            on_stderr(line)

    done = await run_on(
        flake, argv, deadline=deadline, env=env, on_stderr=tell, on_start=on_start, bound=ANSWER
    )
    if done.rc != 0 and _EVALUATED not in done.err:
        raise await not_evaluated(flake, attr, done, deadline)
    try:
        said = decode(dict[str, Any], done.stdout)
        found = Evaluated(DrvPath.parse(said["drv"]), OutPath.parse(said["out"]))
    except (DamagedError, KeyError, ValueError, AttributeError):
        return None
    beside.take(found, encode(said.get("beside")))
    return found


def _both(function: str) -> str:
    """The system first: an error after it is not its own."""
    return f"""config:
let system = config.system.build.toplevel; in
builtins.seq system.drvPath (builtins.seq system.outPath (builtins.trace ({_SAID}) {{
  drv = system.drvPath;
  out = system.outPath;
  beside = ({function}) config;
}}))"""
