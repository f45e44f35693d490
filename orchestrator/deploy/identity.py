"""Whether the machine that answers is the one that is meant."""

from __future__ import annotations

from contextlib import AsyncExitStack

from orchestrator.core.checks import Check
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.host import Host
from orchestrator.core.state import Attempt, AttemptState, HostState
from orchestrator.core.token import host_of, run_of
from orchestrator.core.values import replace
from orchestrator.deploy.names import Machines
from orchestrator.deploy.work import HostWork
from orchestrator.host.status import ask_state


def marks_of(state: HostState, run: str) -> tuple[tuple[str, str], ...]:
    """What one run has left on a machine: tokens that name a host, and what is done there by each.

    Args:
        state: The machine's answer.
        run: Names the run.
    """
    found: dict[str, str] = {}
    if state.record is not None:
        found[state.record.token] = "deployed it"
    if state.attempt is not None:
        found[state.attempt.token] = _did(state.attempt)
    if state.lock is not None:
        found.setdefault(state.lock.token, "is at it")
    return tuple(
        (token, did) for token, did in found.items() if run_of(token) == run and host_of(token)
    )


def _did(attempt: Attempt) -> str:
    match attempt.state:
        case AttemptState.DONE:
            return "deployed it"
        case AttemptState.RETURNED:
            return "tried to deploy it, and took that back"
        case AttemptState.STUCK:
            return "tried to deploy it, and could not take that back"
        case _:
            return "is deploying it"


MOST_LOOKS = 8
"""At how many machines with the same ids it is looked for a host's lock."""

STEP = "connect"


def recognise(work: HostWork, state: HostState) -> None:
    """Refuse a machine that is another host.

    Raises:
        RefusedError: It is another host of this run; or it was deployed as another host, and nobody
            said that it is this one now.
    """
    names, mine = work.session.names, work.host.name
    names.answered(mine, state)
    for token, did in marks_of(state, work.session.token):
        if host_of(token) != mine:
            raise one_machine(work, token, did)
    if name := state.another_than(mine):
        _refuse_or_tell(work, f"this machine was deployed as {name}", name)
    elif not state.deployed_as and (twins := names.twins(mine)):
        same = f"its machine-id and boot id are those of {', '.join(twins[:MOST_LOOKS])}"
        work.notice(f"{same}: a clone, or one machine under two names", warning=True)


def one_machine(work: HostWork, token: str, did: str = "is at it") -> RefusedError:
    """Say that another host of this run was found at the machine; no check that is skipped helps.

    Args:
        work: The share of the run that found it.
        token: What is on the machine. Where it is the other's very token the other is told too: no
            machine can know it that does not have it.
        did: What this run does there.
    """
    mine, other = work.host.name, host_of(token)
    theirs = work.session.rollout.works.get(other)
    if theirs is not None and theirs.token == token:
        work.session.names.same(mine, other)
    return _refusal(mine, other, f"this run {did} as {other}")


async def set_apart(work: HostWork, state: HostState) -> None:
    """Make sure, with the lock held, that no other host's address leads to this machine.

    A machine that bears the host's name already needs no proof: whoever comes under another name
    finds that there.

    Raises:
        RefusedError: Another host of this run does; or one that is known from before does, or may,
            and nobody said that it is meant.
    """
    names, mine = work.session.names, work.host.name
    if other := names.one_with(mine):
        raise _refusal(mine, other, "each found the other's lock there")
    if state.deployed_as == mine:
        return
    for name in names.twins(mine)[:MOST_LOOKS]:
        await _look(work, name)
    if Check.IDENTITY.value not in work.session.request.skip_preflight:
        machines = Machines(work.session.setup.state / "machines")
        for name in names.known_as(mine, machines)[:MOST_LOOKS]:
            await _look(work, name)


async def _look(work: HostWork, name: str) -> None:
    """Look through another host's address whether this host's lock is there.

    Raises:
        RefusedError: It is; or that cannot be seen, and nobody said that they are two.
    """
    same_id = f"its machine-id is that of {name}"
    other = work.session.setup.fleet.hosts.get(name)
    if other is None:
        _refuse_or_tell(work, f"{same_id}, which the fleet does not have any more", name)
        return
    try:
        found = await _lock_at(work, other)
    except StepError as error:
        _refuse_or_tell(work, f"{same_id}, which says no more: {error.message}", name)
        return
    if not found:
        work.session.names.apart(work.host.name, name)
    elif name in work.session.rollout.works:
        work.session.names.same(work.host.name, name)
        raise _refusal(work.host.name, name, "each found the other's lock there")
    else:
        _refuse_or_tell(work, f"the address of {name} leads to this machine", name)


async def _lock_at(work: HostWork, other: Host) -> bool:
    async with AsyncExitStack() as stack:
        executor = await HostWork(work.session, other).connect(stack)
        state = await ask_state(executor, replace(other, machine_id=None))
    return state.lock is not None and state.lock.token == work.token


def _refuse_or_tell(work: HostWork, what: str, other: str) -> None:
    check, mine = Check.IDENTITY.value, work.host.name
    if check in work.session.request.skip_preflight:
        work.notice(f"{what}; {check} is skipped: it is {mine} from now on", warning=True)
        return
    error = RefusedError(
        f"{what}, and is not to become {mine} without a word",
        hint=f"is an address wrong? Where {other} was renamed, or this is a clone of it, say so "
        f"once, which is recorded: --skip-preflight {check}",
        checks=(check,),
    )
    error.step = STEP
    raise error


def _refusal(mine: str, other: str, how: str) -> RefusedError:
    error = RefusedError(
        f"{mine} and {other} lead to one machine: {how}",
        hint="one of the two addresses is wrong: see the inventory, ~/.ssh/config and DNS",
    )
    error.step = STEP
    return error
