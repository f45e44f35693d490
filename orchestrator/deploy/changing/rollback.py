"""Take hosts back to systems that were built before: deployments without a build."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime

from orchestrator.core.errors import RefusedError, StepError, UsageError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.generation import BeforeRun, WayBack
from orchestrator.core.host import BuildOn, BuildSite
from orchestrator.core.outcome import Deployed, Failed, Outcome, Problem, RolledBack, Unchanged
from orchestrator.core.run import Before, PastRun
from orchestrator.core.state import HostState, came_from
from orchestrator.core.store import OutPath
from orchestrator.core.token import BACK
from orchestrator.core.values import replace
from orchestrator.deploy.changing.activation import require_return
from orchestrator.deploy.changing.carry_out import carry_out, change
from orchestrator.deploy.changing.lock import refuse_if_taken
from orchestrator.deploy.changing.reboot import reboot_unchanged
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.identity import recognise
from orchestrator.deploy.plan.attempts import in_words
from orchestrator.deploy.plan.rollback import plan_back, target_of
from orchestrator.deploy.work import HostWork, problem_of
from orchestrator.host.generations import is_there
from orchestrator.host.setup import Setup
from orchestrator.host.status import ask_both
from orchestrator.nix import verbs as nix
from orchestrator.runs.store import Runs

Hosts = tuple[str, ...]
"""Selectors."""


def before_run(
    setup: Setup, number: int, named: tuple[str, ...]
) -> tuple[BeforeRun, Hosts, tuple[str, ...]]:
    """Find what hosts ran before a run.

    Args:
        setup: The fleet.
        number: The run's.
        named: Selectors of the hosts that go back; none means all that it began to change.

    Returns:
        The way back, selectors of who goes it, and hosts that the fleet does not have any more.

    Raises:
        UsageError: There is no such run, or it changed no host that is in the fleet.
    """
    folder = Runs(setup.state).run(number)
    record = folder.record()
    run = folder.past(record)
    changed = {
        host: system
        for host, result in record.results.items()
        if (before := result.before) and (system := _led_from(result.out_path, before))
    }
    systems = {host: ran for host, ran in changed.items() if host in setup.fleet.hosts}
    gone = tuple(host for host in changed if host not in systems)
    if not named and not systems:
        raise UsageError(
            f"run {number} changed no host of this fleet, as far as is known",
            hint=_which_else(run),
        )
    way = BeforeRun(number, run.who, systems)
    return (way, named, ()) if named else (way, tuple(systems), gone)


def _led_from(deployed: OutPath | None, before: Before) -> OutPath | None:
    if before.staged and before.boot_default is not None:
        return before.boot_default
    return came_from(deployed, before.running, before.boot_default)


def _which_else(run: PastRun) -> str | None:
    """How to go back before a run that told nothing of its end."""
    if run.alive:
        return f"it is still at work: orchestrator run abort {run.number} ends it"
    if run.exit_code is None:
        return "if it was cut off, name the hosts: they may have recorded what it did"
    return None


async def go_back(work: HostWork, way: WayBack, stack: AsyncExitStack) -> Outcome:
    """Take a host back, as its whole share of a run.

    Raises:
        StepError: A step failed, and the host was not changed.
    """
    async with work.turn(Phase.ASK, work.session.gates.connections):
        executor = await work.connect(stack)
        known = await ask_both(executor, work.host)
        recognise(work, known.state)
    with work.step(Phase.ROLL_BACK):
        to, which = target_of(way, work.host, known)
        to, name = known.named(to, known.before(to))
        copy = await _comes_from_here(work, executor, to)
    plan = plan_back(
        work.host,
        to,
        known.state,
        now=datetime.now(UTC),
        verify=work.session.request.verify,
        copy=copy,
        specialisation=name,
    )
    if isinstance(plan, Unchanged):
        unchanged = replace(plan, reason=f"{plan.reason}: that is {which}")
        if work.session.request.reboots:
            return await reboot_unchanged(work, unchanged, known.state, executor, stack)
        return unchanged
    of = f"specialisation {name!r} of " if name else ""
    work.notice(f"back to {of}{to.short}: {which}")
    outcome = await carry_out(work, stack, plan, executor, known.state)
    return _in_words(outcome, f"back to {which}")


async def roll_back(work: HostWork, deployed: OutPath, to: OutPath, why: str) -> Outcome:
    """Take a host back within the run that deployed it; its turn is over by then.

    It is a deployment of its own, with a token of its own: locked, guarded, proved, committed and
    recorded. It is not verified: the suites are those of what is rolled back.

    Args:
        work: The host's share of the run; its lock is released.
        deployed: What the run brought it; what somebody else did since is left alone.
        to: What the host ran before; it is still there.
        why: For the outcome's reason.

    Returns:
        ``Deployed`` ("rolled back …") or ``Unchanged`` where the host runs ``to``, proved and
        committed; anything else says what it runs instead.
    """
    request = replace(work.session.request, verify=False, build=BuildSite(BuildOn.HERE))
    session = replace(work.session, request=request, token=f"{work.session.token}{BACK}")
    again = HostWork(session, work.host)
    words = f"rolled back ({why})"
    try:
        with session.interrupt.cancellable():
            return _in_words(_live(await _within(again, deployed, to), deployed), words)
    except StepError as error:
        return Failed(error.message, problem_of(error, "not rolled back"))
    except asyncio.CancelledError:
        if again.ended is not None:
            return _in_words(_live(again.ended, deployed), words)
        if not session.interrupt.wished:
            raise
        message = "interrupted before it was rolled back"
        return Failed(message, Problem("roll back", message, host_state="not rolled back"))


async def _within(work: HostWork, deployed: OutPath, to: OutPath) -> Outcome:
    async with AsyncExitStack() as stack:
        with work.step(Phase.ASK):
            executor = await work.connect(stack)
            known = await ask_both(executor, work.host)
            state, (to, name) = known.state, known.named(to, known.before(to))
            copy = await _comes_from_here(work, executor, to)
        now = datetime.now(UTC)
        plan = plan_back(
            work.host, to, state, now=now, verify=False, copy=copy, specialisation=name
        )
        if isinstance(plan, Unchanged):
            return plan
        at_it = deployed in (state.running, state.profile) or state.running_of(deployed)
        if not at_it:
            return _superseded(deployed, state)
        require_return(plan, state)
        refuse_if_taken(work, state)
        return await change(work, plan, state, HostSession(work, executor, stack))


def _live(outcome: Outcome, deployed: OutPath) -> Outcome:
    """Tell a host as failed that NixOS did not let switch live, and that was not booted since."""
    if not isinstance(outcome, Deployed) or outcome.goal.activates or not outcome.reboot_required:
        return outcome
    message = f"it runs {deployed.short} until it reboots: {', '.join(outcome.reboot_required)}"
    state = f"it runs {deployed.short}, it will boot {outcome.out_path.short}"
    problem = Problem("roll back", message, hint="reboot it", host_state=state)
    return Failed(message, problem, outcome.out_path)


def _superseded(deployed: OutPath, state: HostState) -> Failed:
    message = f"not rolled back: it is not at {deployed.short} any more; somebody deployed it since"
    problem = Problem(
        step="roll back",
        message=message,
        hint="orchestrator status says who; to roll back nevertheless: orchestrator rollback",
        host_state=in_words(state),
    )
    return Failed(message, problem, state.running)


async def _comes_from_here(work: HostWork, executor: Executor, to: OutPath) -> bool:
    """Whether the host has the system no more, and this machine does.

    Which one it is the host itself may have said, and the store here has other hosts' systems too:
    it is given what it was given before, and nothing else.

    Raises:
        RefusedError: Neither has it, or it never was the host's.
    """
    if await is_there(executor, to, work.host.deadlines.connect):
        return False
    gone = f"{to.short} is not on the host any more: it was collected as garbage"
    hint = (
        f"what is there: orchestrator host generations {work.host.name}; what is not is deployed "
        "again from the fleet's revision of that time"
    )
    if not Runs(work.session.setup.state).has_deployed(work.host.name, to):
        why = "it is not copied from here, as no run of this machine deployed it there"
        raise RefusedError(f"{gone}; {why}", hint=hint)
    if not nix.is_here(to):
        raise RefusedError(gone, hint=hint)
    work.notice(f"{to.short} was collected as garbage there; it is copied from here")
    return True


def _in_words(outcome: Outcome, words: str) -> Outcome:
    """Say of a host that it is back; or what may help where its checks keep it."""
    if isinstance(outcome, Deployed):
        return replace(outcome, reason=f"{words}: {outcome.reason}")
    if isinstance(outcome, RolledBack) and outcome.problem.step == "verify":
        hint = "the suites are those of the fleet as it is now; without them: --no-verify"
        return replace(outcome, problem=replace(outcome.problem, hint=hint))
    return outcome
