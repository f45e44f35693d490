"""A system that could not be left again is refused before it is copied anywhere."""

from __future__ import annotations

from contextlib import AsyncExitStack

from orchestrator.core.check import Check
from orchestrator.core.errors import RefusedError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.store import OutPath
from orchestrator.deploy.delivering.delivery import builder_of
from orchestrator.deploy.work import HostWork
from orchestrator.host import doors


async def refuse_one_way(work: HostWork, out: OutPath, executor: Executor) -> tuple[str, ...]:
    """Look at a system where it was built, before the host gets it.

    Returns:
        What a person should know nevertheless.

    Raises:
        RefusedError: Nothing could change it: it has no ``switch-to-configuration``, or no Nix.
        StepError: Who has it did not say.
    """
    with work.step(Phase.PREFLIGHT):
        missing = await _missing(work, out, executor)
        if doors.SWITCH in missing:
            raise RefusedError(
                f"{out.short} could never be changed again, nor taken back: it has no "
                f"{doors.SWITCH}",
                hint="set `system.switch.enable = true` in its configuration",
                checks=(Check.WAY_BACK.value,),
            )
        if doors.NIX not in missing:
            return ()
        text = f"{out.short} could never be changed again by a deployment: it has no Nix"
        if Check.WAY_BACK.value in work.session.request.skip_preflight:
            warning = f"preflight: {Check.WAY_BACK.value} was skipped: {text}"
            work.notice(warning, warning=True)
            return (warning,)
        raise RefusedError(
            f"{Check.WAY_BACK.value}: {text}",
            hint="set `nix.enable = true` in its configuration\nto deploy nevertheless, which is "
            f"recorded: --skip-preflight {Check.WAY_BACK.value}",
            checks=(Check.WAY_BACK.value,),
        )


async def _missing(work: HostWork, out: OutPath, executor: Executor) -> frozenset[str]:
    """Ask this machine, then the host, then the builder; the first that has the system tells."""
    seconds = work.host.deadlines.connect
    missing = doors.missing_here(out)
    if missing is None:
        missing = await doors.missing_there(executor, out, seconds)
    if missing is None:
        async with AsyncExitStack() as stack:
            if (builder := await builder_of(work, stack)) is not None:
                missing = await doors.missing_there(builder, out, seconds)
    return missing or frozenset()
