"""Ask hosts what they run and boot; place and lift holds, break locks."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.core import git
from orchestrator.core.claims import Hold, Lock
from orchestrator.core.commit import Distance
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.executor import Executor
from orchestrator.core.generation import HostSystems
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult
from orchestrator.core.state import BootSource, HostState
from orchestrator.core.store import OutPath
from orchestrator.core.units import split_lines
from orchestrator.core.values import replace
from orchestrator.host import scripts
from orchestrator.host.guard.lines import parse_attempt, parse_record
from orchestrator.host.lock_scripts import parse_hold, parse_lock
from orchestrator.host.setup import Setup, ask_each, reach, whoami
from orchestrator.host.specialisations import parse_specialised

if TYPE_CHECKING:
    from orchestrator.host.lock import LockReply

_MOST_UNITS = 1000
_LONGEST_NOTE = 400
_MOST_NAMES = 100_000
"""Bytes of names: a command on Linux takes no argument of more than 128 KiB."""


async def ask_state(executor: Executor, host: Host) -> HostState:
    """Ask what runs, what the profile is, what boots, which units failed, who deployed last.

    Raises:
        StepError: The host did not answer, or not in this form.
        RefusedError: It is another machine than the inventory says.
    """
    argv = scripts.script(scripts.STATE)
    done = await executor.run(argv, deadline=host.deadlines.connect)
    if done.rc != 0:
        raise StepError(
            f"the host did not say what it runs (exit {done.rc})",
            command=executor.repeat(("readlink", "-f", "/run/current-system")),
            stderr=done.err,
        )
    return understood(done.out, host)


def understood(text: str, host: Host) -> HostState:
    """Read what a host says of itself, and refuse another machine. Raises as :func:`ask_state`."""
    state = parse_state(text)
    require_machine(host, state.machine_id)
    return state


def require_machine(host: Host, machine_id: str) -> None:
    """Refuse a machine that is another than the inventory says.

    Args:
        host: The host.
        machine_id: What it says itself.

    Raises:
        RefusedError: It is.
    """
    if host.machine_id is not None and machine_id != host.machine_id:
        raise RefusedError(
            f"another machine answered: its machine-id is {machine_id or 'empty'}, "
            f"the inventory says {host.machine_id}",
            hint="if it was reinstalled, put the new machine-id into the inventory",
        )


def require_end(executor: Executor, done: CommandResult, end: str, what: str, look: str) -> None:
    """Require that a question was answered to its last line.

    Args:
        executor: The way to the host.
        done: What it answered.
        end: That line.
        what: What it should have said, as in ``what it is made of``.
        look: A folder that a person lists to see what the login shell prints.

    Raises:
        StepError: It was not.
    """
    if end not in split_lines(done.out):
        raise StepError(
            f"the host did not say {what} (exit {done.rc})",
            hint="a login shell that prints text or replaces commands answers so; see what it "
            "says by hand",
            command=executor.repeat(("ls", look)),
            stderr=done.err,
        )


def parse_state(text: str) -> HostState:
    """Read what ``scripts.STATE`` prints.

    Raises:
        StepError: It is not of that form: an answer that says nothing is no state.
    """
    values: dict[str, str] = {}
    failed = []
    lines = split_lines(text)
    for line in lines:
        key, _, value = line.partition("=")
        if key == "failed":
            failed.append(value)
        else:
            values.setdefault(key, value)
    _refuse_many(failed)
    if not {"machine_id", "boot_id"} <= values.keys():
        raise StepError("the host's answer is not understood: its login shell may print text")
    profile = _path(values, "profile")
    boot_default = _path(values, "boot_default")
    source = _source(values) if boot_default else BootSource.PROFILE
    return HostState(
        machine_id=values["machine_id"],
        boot_id=values["boot_id"],
        running=_path(values, "running"),
        booted=_path(values, "booted"),
        profile=profile,
        boot_default=boot_default or profile,
        boot_source=source,
        boot_note=values.get("boot_note", "")[:_LONGEST_NOTE],
        running_as=parse_specialised(lines, "running"),
        booting_as=parse_specialised(lines, "booting"),
        failed_units=tuple(sorted(failed)),
        record=parse_record(values),
        attempt=parse_attempt(values),
        lock=parse_lock(values),
        hold=parse_hold(values),
    )


def _refuse_many(failed: Sequence[str]) -> None:
    """Refuse more failed units than can be written down with an attempt, in one argument."""
    if len(failed) > _MOST_UNITS or sum(map(len, failed)) + len(failed) > _MOST_NAMES:
        raise StepError(
            f"the host has more than {min(len(failed) - 1, _MOST_UNITS)} failed units: more than "
            "can be distinguished from those that fail next",
            hint="see which they are, fix them, then have systemd forget them: "
            "systemctl reset-failed",
        )


def _path(values: Mapping[str, str], key: str) -> OutPath | None:
    try:
        return OutPath.parse(values.get(key, ""))
    except ValueError:
        return None


def _source(values: Mapping[str, str]) -> BootSource:
    try:
        return BootSource(values.get("boot_source"))
    except ValueError:
        return BootSource.PROFILE


class HostAnswer(Struct, frozen=True):
    """What one host said: a state, or why there is none.

    Attributes:
        seconds: From the first packet to the answer.
    """

    host: Host
    state: HostState | None
    error: StepError | None
    seconds: float


class HoldAnswer(Struct, frozen=True):
    """What became of a hold that was to be placed on a host, or lifted there.

    Attributes:
        done: Whether something was changed there.
        hold: The hold that stands now; where one was lifted, that one.
        lock: The deployment that is at the host.
        error: Why the host could not be asked.
    """

    host: Host
    done: bool = False
    hold: Hold | None = None
    lock: Lock | None = None
    error: StepError | None = None


async def ask_all(setup: Setup, hosts: Sequence[Host]) -> tuple[HostAnswer, ...]:
    """Ask each host for its state; one that does not answer keeps nobody waiting."""
    answers = await ask_each(setup, hosts, lambda host, executor: ask_state(executor, host))
    return tuple(
        HostAnswer(each.host, None, each.said, each.seconds)
        if isinstance(each.said, StepError)
        else HostAnswer(each.host, each.said, None, each.seconds)
        for each in answers
    )


async def histories(folder: str, answers: Sequence[HostAnswer]) -> Mapping[str, str]:
    """Which hosts were deployed from commits that are not in what is checked out here.

    Args:
        folder: The fleet's.
        answers: What the hosts said.

    Returns:
        Host → what is to be said of it; none where its commit is checked out here, or before it,
        nor of a host that has a flake of its own.
    """
    told = {
        answer.host.name: answer.state.record.revision.removesuffix("-dirty")
        for answer in answers
        if answer.state and answer.state.record and answer.state.record.revision
        if answer.host.flake is None
    }
    revisions = sorted(set(told.values()))
    if not revisions or await git.revision(folder) is None:
        return {}
    distances = await asyncio.gather(*(git.distance(folder, each) for each in revisions))
    said = {
        revision: f"deployed from {revision[:12]}, {_elsewhere(found)}"
        for revision, found in zip(revisions, distances, strict=True)
        if found is None or found.ahead
    }
    return {name: said[revision] for name, revision in told.items() if revision in said}


def _elsewhere(found: Distance | None) -> str:
    if found is None:
        return "which is not in this repository: git fetch, or deploying may undo what it has"
    if found.ahead == 1:
        return "which has 1 commit that is not checked out here: deploying may undo it"
    return f"which has {found.ahead} commits that are not checked out here: deploying may undo them"


async def hold(setup: Setup, hosts: Sequence[Host], reason: str) -> tuple[HoldAnswer, ...]:
    """Place one hold on every host, unless another stands there."""
    from orchestrator.host import lock

    new = Hold(secrets.token_hex(2), whoami(), reason, datetime.now(UTC))

    async def place(executor: Executor) -> LockReply:
        return await lock.place_hold(executor, new)

    answers = await _on_all(setup, hosts, place)
    return tuple(replace(each, hold=new) if each.done else each for each in answers)


async def lift(setup: Setup, hosts: Sequence[Host]) -> tuple[HoldAnswer, ...]:
    """Lift whatever hold stands on every host."""
    from orchestrator.host import lock

    return await _on_all(setup, hosts, lock.lift_hold)


async def steal(setup: Setup, host: Host, agreed: Lock, reason: str) -> bool:
    """Take a host's lock from the holder that a person agreed on.

    Returns:
        Whether it was there to be taken; else nobody has it by now.

    Raises:
        StepError: The host could not be asked.
        RefusedError: Another deployment has it by now.
    """
    from orchestrator.host import lock

    now = datetime.now(UTC)
    async with reach(setup, host) as executor:
        told = await lock.steal(executor, agreed.token, whoami(), reason, now)
    if told.answer is lock.LockAnswer.LOCKED and told.lock:
        raise RefusedError(
            f"another deployment has its lock by now: {told.lock.in_words(now)}",
            hint="nothing was taken; look again: orchestrator status --locks",
        )
    return told.answer is lock.LockAnswer.DONE


async def _on_all(
    setup: Setup, hosts: Sequence[Host], ask: Callable[[Executor], Awaitable[LockReply]]
) -> tuple[HoldAnswer, ...]:
    answers = await ask_each(setup, hosts, lambda _, executor: ask(executor))
    return tuple(_hold_answer(each.host, each.said) for each in answers)


def _hold_answer(host: Host, told: LockReply | StepError) -> HoldAnswer:
    from orchestrator.host.lock import LockAnswer

    if isinstance(told, StepError):
        return HoldAnswer(host, error=told)
    live = told.lock if told.lock and told.lock.is_live else None
    return HoldAnswer(host, told.answer is LockAnswer.DONE, told.hold, live)


async def systems_of(setup: Setup, host: Host) -> HostSystems:
    """Ask a host for its generations, and what deployments recorded there.

    Raises:
        StepError: It did not answer.
    """
    async with reach(setup, host) as executor:
        return await ask_both(executor, host)


async def ask_both(executor: Executor, host: Host) -> HostSystems:
    """Ask what a host runs, then which systems it knows.

    Raises:
        StepError: It did not answer.
    """
    from orchestrator.host.generations import ask_systems

    state = await ask_state(executor, host)
    return await ask_systems(executor, state, host.deadlines.connect)
