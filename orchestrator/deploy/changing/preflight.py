"""Has the host what it takes, can it open its secrets, is it a step forwards."""

from __future__ import annotations

import time
from collections.abc import Awaitable

from orchestrator.core.checks import Check, Shortfall, Wanted
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.event import Phase
from orchestrator.core.executor import Executor
from orchestrator.core.plan import HostPlan
from orchestrator.core.state import HostState
from orchestrator.core.store import Existing
from orchestrator.core.together import together
from orchestrator.deploy.changing import hardware
from orchestrator.deploy.changing.changed import budget_of, size_of
from orchestrator.deploy.changing.forwards import Offer, backwards, in_words
from orchestrator.deploy.changing.load import boot_files_here, closure_here, load_of
from orchestrator.deploy.changing.session import HostSession
from orchestrator.deploy.changing.wanting import wanting
from orchestrator.deploy.names import Machines
from orchestrator.deploy.plan.accounts import judged_login
from orchestrator.deploy.plan.preflight import examine
from orchestrator.deploy.work import HostWork
from orchestrator.host.accounts import ask_next_login
from orchestrator.host.preflight import PreflightAnswer, ask_facts
from orchestrator.secrets.model.repository import HostSecrets
from orchestrator.secrets.on_host import try_to_open
from orchestrator.secrets.plan.hosts import opened, shortfalls


async def check_secrets(work: HostWork, line: HostSession) -> tuple[str, ...]:
    """Have a host that has its new system open the secrets of it, for nothing.

    Returns:
        What a person should know nevertheless.

    Raises:
        RefusedError: It cannot, and nobody said that it does not matter.
        StepError: The host did not answer to the end.
    """
    secrets = work.secrets
    if secrets is None or secrets.program is None or not any(secrets.sources):
        return ()
    with work.step(Phase.PREFLIGHT):
        work.doing("its secrets are opened for trial")
        found = await line.ask(lambda executor: _try(executor, secrets))
        past = Check.SECRETS.value in work.session.request.skip_preflight
        if found and not past and work.session.request.emergency is None:
            raise _secrets_refusal(found)
    return _noticed(work, tuple(f"preflight: {one.check.value}: {one.text}" for one in found))


async def check_login(work: HostWork, plan: HostPlan, line: HostSession) -> tuple[str, ...]:
    """Have a host that has its new system say whether that lets this deployer in again.

    Returns:
        What a person should know nevertheless.

    Raises:
        RefusedError: It does not, and nobody said that it does not matter.
        StepError: The host did not answer to the end.
    """
    login = line.executor.login
    if not login.key:
        return ()
    with work.step(Phase.PREFLIGHT):
        found = await line.ask(lambda one: ask_next_login(one, plan.activated, login))
        short, skipped = judged_login(login, found), work.session.request.skip_preflight
        refusing = [one for one in short if one.refuses]
        if refusing and Check.ACCOUNTS.value not in skipped:
            raise _refusal(refusing, line.executor)
    return _noticed(work, tuple(_warning(one, skipped) for one in short))


async def _try(executor: Executor, secrets: HostSecrets) -> tuple[Shortfall, ...]:
    assert secrets.program is not None
    files = [source for source in secrets.sources if source is not None]
    trials = await try_to_open(executor, secrets.program, secrets.identity_paths, files)
    return tuple(shortfalls(tuple(opened(secrets, trials))))


def _secrets_refusal(found: tuple[Shortfall, ...]) -> StepError:
    past = f"to deploy nevertheless, which is recorded: --skip-preflight {Check.SECRETS.value}"
    return RefusedError(
        "; ".join(f"{one.check.value}: {one.text}" for one in found),
        hint="\n".join((*(one.remedy for one in found), past)),
        checks=(Check.SECRETS.value,),
    )


async def preflight(
    work: HostWork,
    plan: HostPlan,
    state: HostState,
    line: HostSession,
    closure: Awaitable[list[str]] | None = None,
) -> tuple[str, ...]:
    """Check a host, in one question; what it lacks of the system is known afterwards too.

    Args:
        work: The host's share of the run.
        plan: What is to become of it.
        state: What it runs.
        line: The way to it.
        closure: The target's paths, where they are being read already.

    Returns:
        What a person should know nevertheless.

    Raises:
        RefusedError: Checks refuse, all of which are told.
        StepError: The host did not answer.
    """
    with work.step(Phase.PREFLIGHT):
        paths = await (closure or closure_here(plan.target.out))
        found = await line.ask(lambda executor: _look(work, plan, state, executor, paths))
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
        paths = await closure_here(plan.target.out)
        found = await _look(work, plan, state, executor, paths)
    return in_words(found)


async def _look(
    work: HostWork, plan: HostPlan, state: HostState, executor: Executor, closure: list[str]
) -> tuple[Shortfall, ...]:
    request, out = work.session.request, plan.target.out

    async def asked() -> tuple[PreflightAnswer, tuple[float, float]]:
        sent = time.time()
        answer = await ask_facts(executor, out, closure, boots=request.reboots)
        return answer, (sent, time.time())

    async with together() as group:
        asking = group.create_task(asked())
        looking = group.create_task(hardware.look(work, executor))
    (answer, between), (now, drifted) = asking.result(), looking.result()
    lacking = await wanting(work, plan, state, executor, now)
    others = (*await _backwards(work, plan, state), *lacking, *drifted)
    wanted = Wanted(
        machine_id=state.machine_id,
        seen=_machines(work).seen(work.host.name),
        load=await load_of(work, answer, closure),
        boot_files=boot_files_here(out),
        asked=between,
        store_margin=work.host.preflight.store_margin,
        clock_skew=work.host.preflight.clock_skew,
        changes=plan.goal.changes_host,
        commits=plan.goal.commits,
        boots=request.reboots,
        emergency=request.emergency is not None,
        skipped=frozenset(check for check in Check if check.value in request.skip_preflight),
        closure_budget=budget_of(work, plan),
        closure_size=await size_of(work, plan, executor, there=answer.has_target),
    )
    return examine(answer.facts, wanted, others)


async def _backwards(work: HostWork, plan: HostPlan, state: HostState) -> tuple[Shortfall, ...]:
    """Find whether a host would get something older than it has; a rollback is meant to."""
    if isinstance(plan.target, Existing) or not plan.goal.changes_host:
        return ()
    session, revision = work.session, await work.revision()
    offer = Offer(session.setup, work.host, state, plan.target.out, revision, session.run.who)
    return await backwards(offer, session.history)


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
    # Looked at when the host has the system, and the way back where the system is.
    later = {Check.SECRETS.value, Check.ACCOUNTS.value, Check.WAY_BACK.value}
    idle = set(skipped) - {one.check.value for one in found} - later
    nothing = (f"preflight: {name} was skipped, and found nothing" for name in sorted(idle))
    return _noticed(work, (*(_warning(one, skipped) for one in found), *nothing))


def _noticed(work: HostWork, warnings: tuple[str, ...]) -> tuple[str, ...]:
    for text in warnings:
        work.notice(text, warning=True)
    return warnings


def _warning(found: Shortfall, skipped: tuple[str, ...]) -> str:
    name = found.check.value
    return f"preflight: {name}{' was skipped' if name in skipped else ''}: {found.text}"


def _machines(work: HostWork) -> Machines:
    return Machines(work.session.setup.state / "machines")
