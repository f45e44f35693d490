"""What a person wants of a rollout: pause, resume, abort, go on, retry."""

from __future__ import annotations

import contextlib
import secrets
import time
from datetime import UTC, datetime

from orchestrator.core.errors import OrchestratorError, UsageError, cause_of
from orchestrator.core.outcome import Completed, Deferred, Deployed, Unchanged, outcome_names
from orchestrator.core.rollout import Order, Wave, Word
from orchestrator.core.run import DeployRequest, Reboot, left_out
from orchestrator.core.units import MOST_NAMED, listing
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.runs.folder import RunFolder
from orchestrator.runs.model import NothingAskedError, is_deployment
from orchestrator.runs.store import Runs

ANSWER_SECONDS = 10.0
"""For a run to say that it has heard: it looks twice a second, and may be at something."""


def newest(runs: Runs) -> int:
    """The newest run that tells where it is; plans have no rollout.

    Raises:
        UsageError: There is none.
    """
    for number in runs.numbers():
        if runs.folder(number).status() is not None:
            return number
    raise UsageError("there was no rollout of this fleet on this machine yet")


def order(run: RunFolder, word: Word, who: str) -> None:
    """Send a run a word, and wait until it acknowledges it.

    Raises:
        UsageError: It does not live any more.
        OrchestratorError: It cannot be reached, or does not answer.
    """
    number = run.number
    if not run.is_alive:
        raise UsageError(
            f"run {number} has ended",
            hint=f"to go on with what it left: orchestrator run resume {number}",
        )
    given = Order(secrets.token_hex(8), word, who)
    try:
        run.put_order(given)
    except OSError as error:
        raise OrchestratorError(
            f"run {number} cannot be reached: {run.path} cannot be written: {cause_of(error)}",
            hint="is the disk full, or the run another user's?",
        ) from error
    until = time.monotonic() + ANSWER_SECONDS
    while not _has_heard(run, given):
        if not run.is_alive:
            raise UsageError(f"run {number} ended before it read this", hint=_WHICH)
        if time.monotonic() > until:
            raise OrchestratorError(
                f"run {number} has not answered within {ANSWER_SECONDS:.0f} s; it may yet",
                hint=f"orchestrator run show {number}; its terminal takes Ctrl-C",
            )
        time.sleep(0.1)


_WHICH = "which there are: orchestrator run list"


def _has_heard(run: RunFolder, given: Order) -> bool:
    found = run.status()
    return found is not None and found.answered == given.id


_WELL = outcome_names(Unchanged, Deployed, Completed, Deferred)
"""How hosts ended that are not taken again."""

_DONE = outcome_names(Unchanged, Deployed, Completed)


def again(setup: Setup, number: int) -> tuple[DeployRequest, tuple[str, ...]]:
    """Find what a run was asked for, so that it goes on where it was.

    Returns:
        The request, with that run's waves; and what a person should know first.

    Raises:
        UsageError: There is no such run, it lives still, or it was no deployment of the fleet.
    """
    run = Runs(setup.state).run(number)
    if run.is_alive:
        raise UsageError(
            f"run {number} is still at work: it needs no second one",
            hint=f"orchestrator run show {number}",
        )
    request = _deployment(run)
    notices = []
    gone = [name for wave in request.waves for name in wave.hosts if name not in setup.fleet.hosts]
    if gone:
        notices.append(left_out(gone))
    found = run.status()
    if found and found.until and found.until > datetime.now(UTC):
        until = f"{found.until.astimezone():%H:%M:%S}"
        notices.append(f"the pause that it was in, until {until}, is not waited for")
    # What is done although a host is at its target is not done a second time.
    anew = request.force or request.reboot is Reboot.ALWAYS
    done = {name for name, at in found.hosts.items() if at in _DONE} if found and anew else set()
    waves = _without(request.waves, {*gone, *done})
    if not waves:
        raise UsageError(f"run {number} has no host left to go on with")
    title = f"{request.goal.value}, going on with run {number}"
    names = tuple(name for wave in waves for name in wave.hosts)
    return replace(request, selectors=names, waves=waves, title=title), tuple(notices)


def failed_again(setup: Setup, number: int | None) -> tuple[DeployRequest | None, tuple[str, ...]]:
    """Find what a run was asked for, for those of its hosts that failed or were skipped.

    Args:
        setup: The fleet.
        number: The run's; ``None`` is the last deployment.

    Returns:
        The request, with that run's waves, or ``None`` where no host is to be tried again; and
        what a person should know first.

    Raises:
        UsageError: There is no such run, it lives still, or it was no deployment of the fleet.
    """
    number = _last_deployment(setup) if number is None else number
    run = Runs(setup.state).run(number)
    if run.is_alive:
        raise UsageError(f"run {number} is still at work", hint=f"orchestrator run show {number}")
    asked, ended = _deployment(run), run.record().outcomes
    names = [name for wave in asked.waves for name in wave.hosts]
    well = {name for name in names if ended.get(name) in _WELL}
    gone = [name for name in names if name not in well and name not in setup.fleet.hosts]
    waves = _without(asked.waves, {*well, *gone})
    left = tuple(name for wave in waves for name in wave.hosts)
    notices = [f"run {number}: {left_out(gone)}"] if gone else []
    if not names:
        raise UsageError(
            f"run {number} was cut off before it divided its hosts into waves",
            hint="give the command again: hosts at their target are unchanged",
        )
    if not left:
        return None, tuple(notices or [f"run {number}: no failed hosts to retry"])
    notices.append(f"run {number}: retrying {listing(left, MOST_NAMED)}")
    title = f"{asked.goal.value}, retrying run {number}"
    return replace(asked, selectors=left, waves=waves, title=title), tuple(notices)


def _last_deployment(setup: Setup) -> int:
    runs = Runs(setup.state)
    for number in runs.numbers():
        with contextlib.suppress(NothingAskedError):
            if is_deployment(runs.folder(number).asked().request):
                return number
    raise UsageError("there was no deployment of this fleet on this machine yet")


def _deployment(run: RunFolder) -> DeployRequest:
    """What a run was asked for.

    Raises:
        UsageError: It was no deployment of the fleet, or that cannot be read.
    """
    request = run.asked().request
    if request.back is not None:
        what, hint = "rollback", "give the command again: orchestrator rollback"
    elif request.catch_up:
        what, hint = "delivery", "what still waits is delivered by: orchestrator pending deliver"
    elif request.plan_only:
        what, hint = "plan", "what it planned is done by: orchestrator deploy"
    else:
        return request
    raise UsageError(f"run {run.number} was a {what}, no deployment", hint=hint)


def _without(waves: tuple[Wave, ...], names: set[str]) -> tuple[Wave, ...]:
    left = (
        replace(wave, hosts=tuple(name for name in wave.hosts if name not in names))
        for wave in waves
    )
    return tuple(wave for wave in left if wave.hosts)
