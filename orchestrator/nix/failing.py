"""Why a host's system did not evaluate."""

from __future__ import annotations

from orchestrator.core.errors import StepError
from orchestrator.core.process import CommandResult
from orchestrator.core.units import parse_json
from orchestrator.nix import reasons
from orchestrator.nix.log import ran_out_of_memory
from orchestrator.nix.verbs import Flake, OutOfMemoryError, failed, nix_argv, run_on


async def not_evaluated(flake: Flake, attr: str, done: CommandResult, deadline: float) -> StepError:
    """Say why a host's system did not evaluate; arguments as of :func:`evaluate`."""
    argv = (*nix_argv("path-info", "--derivation"), *flake.evaluating, flake.toplevel(attr))
    shown = tuple(map(flake.by_hand, argv))
    if ran_out_of_memory(done.rc, done.err):
        return failed(done, shown, "evaluation failed", flake.folder, OutOfMemoryError)
    why = reasons.untracked(flake, done.err)
    if reasons.is_missing(done.err):
        why = await _missing(flake, attr, deadline)
    return failed(done, shown, "evaluation failed", flake.folder, why=why)


async def _missing(flake: Flake, attr: str, deadline: float) -> reasons.Reason | None:
    """Say that a flake has no such configuration, and which it has."""
    there = await _names(flake, "nixosConfigurations", deadline)
    hive = None
    if there is None:
        found = [name for name in _HIVES if await _names(flake, name, deadline) is not None]
        hive = next(iter(found), None)
    return reasons.missing(attr, there, hive)


_HIVES = ("colmenaHive", "colmena")


async def _names(flake: Flake, output: str, deadline: float) -> list[str] | None:
    """The names in one of a flake's outputs; ``None`` where it has no such one."""
    words = ("eval", "--json", *flake.evaluating, "--apply", "builtins.attrNames")
    argv = (*nix_argv(*words), f"{flake.reference}#{output}")
    done = await run_on(flake, argv, deadline=deadline)
    return [str(name) for name in parse_json(done.out)] if done.rc == 0 else None
