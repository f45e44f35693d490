"""A run over all hosts, to one report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.changes.turns import stop_learning
from orchestrator.core import git
from orchestrator.core.errors import BugError
from orchestrator.core.event import HostFinished, Notice, RunFinished, RunStarted
from orchestrator.core.host import Host
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.outcome import (
    Deployed,
    Failed,
    Outcome,
    Problem,
    RolledBack,
    Unchanged,
    Unreached,
)
from orchestrator.core.rollout import Wave
from orchestrator.core.run import DeployRequest, HostResult, Report
from orchestrator.core.store import OutPath
from orchestrator.core.units import listing
from orchestrator.core.values import replace
from orchestrator.deploy.all_built import AllBuilt
from orchestrator.deploy.host import deploy_host
from orchestrator.deploy.unreachable import withdraw
from orchestrator.deploy.work import HostWork, Session, step_name
from orchestrator.host.setup import Emit, Gates, Setup, warm_up, whoami
from orchestrator.inventory.select import select
from orchestrator.nix import verbs as nix
from orchestrator.rollout.lead import Undo
from orchestrator.rollout.run import RolloutRun, divide
from orchestrator.runs.journal import Journal
from orchestrator.runs.store import Runs


async def _roll_back(work: HostWork, out: OutPath, why: str) -> Outcome:
    # What goes back takes long to import; a run that goes well does without.
    from orchestrator.deploy.changing.rollback import roll_back

    before = work.before.running if work.before else None
    if before is None:
        message = f"to be rolled back, but what it ran before is not known ({why})"
        problem = Problem("roll back", message, host_state=f"it runs {out.short}, deployed")
        return Failed(message, problem, out)
    outcome = await roll_back(work, out, before, why)
    match outcome:
        case Deployed() | Unchanged():
            problem = Problem(
                step="rollout",
                message=f"it was deployed, and rolled back with others: {why}",
                hint=f"orchestrator run retry {work.session.run.number}",
                host_state=f"it runs {before.short} again, as before the run",
            )
            return RolledBack(f"rolled back to {before.short}: {why}", before, problem)
        case (
            RolledBack(reason=reason, problem=problem) | Unreached(reason=reason, problem=problem)
        ):  # from the way back: it runs `out` again
            return Failed(f"not rolled back: {reason}", problem, out)
        case _:
            return outcome


UNDO = Undo(withdraw, _roll_back)


async def _begin(setup: Setup, request: DeployRequest, known: KnownSystems) -> Journal:
    """Give a run its number and its folder."""
    if await known.all_known():
        nix.require()
    else:
        from orchestrator.nix.memory import limit_of

        limit_of(setup.fleet.limits)
        stop_learning(setup.state)
        await nix.version()
    revision = request.revision
    if not request.systems:
        revision = await known.revision() or await git.revision(setup.fleet.root)
    return Runs(setup.state).begin(whoami(), revision, request)


async def deploy(
    setup: Setup, request: DeployRequest, emit: Emit, interrupt: Interrupt | None = None
) -> Report:
    """Bring every selected host to the goal.

    Args:
        setup: The fleet.
        request: What is wanted.
        emit: Takes what happens.
        interrupt: The wish to stop, of whoever makes several runs; by default the run's own.

    Returns:
        The report; every selected host is in it, whatever happened.

    Raises:
        UsageError: A selector matches nothing; there is no Nix, or too old a one; or the
            environment limits evaluations to what is no size.
        OrchestratorError: There is no place for the run's folder.
        Exception: A bug. Every host has come to its end, and the report was emitted, before it
            is raised.
    """
    lock = not request.plan_only
    async with Source(setup.flake, cache=request.cache, lock=lock) as source:
        return await _deploy(setup, request, emit, interrupt, source)


async def _deploy(
    setup: Setup,
    request: DeployRequest,
    emit: Emit,
    interrupt: Interrupt | None,
    source: Source,
) -> Report:
    began = time.monotonic()
    hosts = select(setup.fleet, request.selectors)
    policy, waves = divide(setup.fleet, hosts, request)
    known = KnownSystems(setup, hosts, source, use=request.cache)
    if hosts and request.goal.contacts_host:
        await warm_up(setup, hosts[0])
    asked = replace(request, rollout=policy, waves=waves)
    with await _begin(setup, asked, known) as journal:
        emit = journal.recording(emit)
        interrupt = interrupt or Interrupt(lambda text: emit(Notice(text, warning=True)))
        led = RolloutRun(journal, request, policy, waves, UNDO, interrupt, emit)
        gates = Gates.of(setup.fleet.limits)
        waits = request.all_must_build and request.goal.contacts_host
        session = Session(
            setup=setup,
            request=request,
            run=journal.run,
            gates=gates,
            known=known,
            source=source,
            interrupt=interrupt,
            emit=emit,
            token=journal.token,
            rollout=led.rollout,
            all_built=AllBuilt(host.name for host in hosts if waits),
        )
        return await _to_the_end(session, hosts, led, waves, began)


async def _to_the_end(
    session: Session, hosts: Sequence[Host], led: RolloutRun, waves: tuple[Wave, ...], began: float
) -> Report:
    run, request, interrupt = session.run, session.request, session.interrupt
    names = tuple(host.name for host in hosts)
    session.emit(RunStarted(run, request.goal, names, request.plan_only, waves))
    bugs: list[Exception] = []
    try:
        with interrupt.listening():
            async with led.led(bugs):
                results = await _all(session, hosts, bugs)
    finally:
        await session.close()
    report = Report(
        run=run,
        goal=request.goal,
        plan_only=request.plan_only,
        hosts=led.final(results),
        seconds=time.monotonic() - began,
        interrupted=interrupt.wished,
        evaluated=session.known.evaluated,
        waves=waves,
    )
    if not interrupt.wished and (never := await session.known.keep(run.number)):
        session.emit(Notice(never))
    if impure := [host.name for host in hosts if host.nix.impure]:
        session.emit(Notice(f"{listing(impure)}: evaluated in every run (nix: {{impure: true}})"))
    if unseen := await session.known.unseen():
        text = f"git does not track {listing(unseen)}: Nix does not see what it does not track"
        session.emit(Notice(f"{text} (git add)", warning=True))
    _merge_junit(report, session.emit)
    session.emit(RunFinished(report))
    if bugs:
        raise bugs[0]
    return report


async def _all(
    session: Session, hosts: Sequence[Host], bugs: list[Exception]
) -> dict[str, HostResult]:
    async with asyncio.TaskGroup() as group:
        tasks = {
            host.name: group.create_task(_one(session, host, bugs), name=host.name)
            for host in hosts
        }
    return {name: task.result() for name, task in tasks.items()}


async def _one(session: Session, host: Host, bugs: list[Exception]) -> HostResult:
    """One host to its end. Its bug must not cut off siblings that are being changed."""
    outcome: Outcome
    work = HostWork(session, host)
    session.rollout.joins(work)
    try:
        outcome = await deploy_host(work)
    except Exception as bug:
        bugs.append(bug)
        message = BugError(bug).message
        outcome = Failed(message, Problem(step_name(work.phase), message))
    work.seconds = time.monotonic() - work.began
    session.emit(HostFinished(host.name, outcome, work.seconds))
    session.all_built.ended(host.name, outcome)
    session.rollout.finished(host.name, outcome)
    return HostResult(outcome, work.seconds, work.before, host.of)


def _merge_junit(report: Report, emit: Emit) -> None:
    """Put the hosts' JUnit files into one for the run: ``junit.xml`` in its folder."""
    folder = Path(report.run.folder)
    parts = [file for name in report.hosts if (file := folder / f"junit-{name}.xml").exists()]
    if not parts:
        return
    from orchestrator.verify import result as verify_result

    try:
        verify_result.merge(parts, folder / "junit.xml")
        for part in parts:
            part.unlink()
    except OSError as error:  # such as a full disk
        emit(Notice(f"{folder}/junit.xml could not be written: {error.strerror}", warning=True))
