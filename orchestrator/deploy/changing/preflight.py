"""Before anything is copied to a host: does it have what a deployment takes?"""

from __future__ import annotations

import time
from pathlib import Path

from orchestrator.core.check import Check
from orchestrator.core.copying import Load
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.plan import HostPlan
from orchestrator.core.preflight import BootFiles, Shortfall, Wanted, boot_name
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.deploy.changing.line import Line
from orchestrator.deploy.changing.secrets import wanting
from orchestrator.deploy.copy import closure as closures
from orchestrator.deploy.machines import Machines
from orchestrator.deploy.plan.preflight import examine
from orchestrator.deploy.work import HostWork
from orchestrator.host.preflight import Answer, ask_facts


async def preflight(
    work: HostWork, plan: HostPlan, state: HostState, line: Line
) -> tuple[str, ...]:
    """Check a host, in one question; what it lacks of the system is known afterwards too.

    Returns:
        What a person should know nevertheless.

    Raises:
        RefusedError: Checks refuse, all of which are told.
        StepError: The host did not answer.
    """
    with work.step(Phase.PREFLIGHT):
        found = await line.ask(lambda executor: _look(work, plan, state, executor))
        if refusing := [one for one in found if one.refuses]:
            raise _refusal(refusing, line.executor)
    _machines(work).remember(work.host.name, state.machine_id)
    return _warnings(work, found)


async def foresee(
    work: HostWork, plan: HostPlan, state: HostState, executor: Executor
) -> tuple[str, ...]:
    """Say what preflight would find, for a plan.

    Raises:
        StepError: The host did not answer.
    """
    with work.step(Phase.PREFLIGHT):
        found = await _look(work, plan, state, executor)
    return tuple(
        f"preflight would refuse: {one.text}" if one.refuses else f"preflight: {one.text}"
        for one in found
    )


async def _look(
    work: HostWork, plan: HostPlan, state: HostState, executor: Executor
) -> tuple[Shortfall, ...]:
    request, out = work.session.request, plan.target.out
    closure = await _closure(out)
    sent = time.time()
    answer = await ask_facts(executor, out, closure, boots=request.reboots)
    came = time.time()
    others = await wanting(work, plan, executor)
    wanted = Wanted(
        machine_id=state.machine_id,
        seen=_machines(work).seen(work.host.name),
        load=await _load(work, answer, closure),
        boot_files=_boot_files(out),
        asked=(sent, came),
        store_margin=work.host.preflight.store_margin,
        clock_skew=work.host.preflight.clock_skew,
        changes=plan.goal.changes_host,
        commits=plan.goal.commits,
        boots=request.reboots,
        emergency=request.emergency is not None,
        skipped=frozenset(check for check in Check if check.value in request.skip_preflight),
    )
    return examine(answer.facts, wanted, others)


async def _closure(out: OutPath) -> list[str]:
    """The target's paths, where it is in the store here; a builder's is not."""
    if not Path(out.path).exists():
        return []
    try:
        return await closures.closure_of(out)
    except StepError:
        return []


async def _load(work: HostWork, answer: Answer, closure: list[str]) -> Load | None:
    """How much will be copied; what was asked is kept for the copy."""
    if answer.has_target:
        work.lacks = closures.Lacking((), ())
        return work.lacks.load
    if not closure or not answer.complete:
        return None
    work.lacks = await closures.sized(*closures.understood(answer.lines, closure))
    return work.lacks.load


def _boot_files(out: OutPath) -> BootFiles | None:
    """The target's kernel and initrd, where it is in the store here."""
    sizes = {}
    for part in ("kernel", "initrd"):
        file = Path(out.path, part)
        if file.exists():
            sizes[boot_name(str(file.resolve()))] = file.stat().st_size
    return BootFiles(sizes) if sizes or Path(out.path).exists() else None


def _refusal(found: list[Shortfall], executor: Executor) -> RefusedError:
    """Put all that refuses into one error."""
    names = tuple(dict.fromkeys(one.check.value for one in found))
    past = " ".join(f"--skip-preflight {name}" for name in names)
    alone = found[0] if len(found) == 1 else None
    hints = [alone.remedy] if alone else [_remedy(one, executor) for one in found]
    return RefusedError(
        "; ".join(f"{one.check.value}: {one.text}" for one in found),
        hint="\n".join((*hints, f"to deploy nevertheless, which is recorded: {past}")),
        command=executor.repeat(alone.command) if alone and alone.command else None,
        checks=names,
    )


def _remedy(found: Shortfall, executor: Executor) -> str:
    by_hand = f" (by hand: {executor.repeat(found.command)})" if found.command else ""
    return f"{found.check.value}: {found.remedy}{by_hand}"


def _warnings(work: HostWork, found: tuple[Shortfall, ...]) -> tuple[str, ...]:
    """Tell now what was skipped, and what else does not refuse."""
    skipped = work.session.request.skip_preflight
    # Secrets are looked at once more, when the host has them; the way back where the system is.
    later = {Check.SECRETS.value, Check.WAY_BACK.value}
    idle = set(skipped) - {one.check.value for one in found} - later
    warnings = (
        *(_warning(one, skipped) for one in found),
        *(f"preflight: {name} was skipped, and found nothing" for name in sorted(idle)),
    )
    for text in warnings:
        work.notice(text, warning=True)
    return warnings


def _warning(found: Shortfall, skipped: tuple[str, ...]) -> str:
    name = found.check.value
    return f"preflight: {name}{' was skipped' if name in skipped else ''}: {found.text}"


def _machines(work: HostWork) -> Machines:
    return Machines(work.session.setup.state / "machines")
