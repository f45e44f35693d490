"""Bring to hosts, now that they answer, what waited for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.core.event import Notice
from orchestrator.core.host import BuildOn, Host, WhenUnreachable
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.rollout import RolloutPolicy
from orchestrator.core.run import DeployRequest, Report
from orchestrator.core.units import ago
from orchestrator.deploy.run import deploy
from orchestrator.host.setup import Emit, Setup
from orchestrator.inventory.select import select
from orchestrator.nix import verbs as nix
from orchestrator.runs.pending import Pending, PendingSystems


def waiting(setup: Setup, selectors: Sequence[str], emit: Emit) -> tuple[Pending, ...]:
    """Find what waits for hosts that are selected; what has expired is dropped, and that is told.

    Raises:
        UsageError: A selector matches nothing.
        StepError: What has expired cannot be removed.
    """
    hosts = {host.name for host in select(setup.fleet, selectors)}
    return tuple(one for one in all_waiting(setup.state, emit) if one.host in hosts)


def all_waiting(state: Path, emit: Emit) -> tuple[Pending, ...]:
    """Find all that waits, be the host of the fleet still or not; as :func:`waiting`.

    Raises:
        StepError: What has expired cannot be removed.
    """
    pending, now = pending_systems(state, emit), datetime.now(UTC)
    for one in pending.drop_expired(now):
        text = f"what began to wait for it {ago(one.since, now)}, in run {one.run}, has expired"
        emit(Notice(f"{text} and is dropped", one.host, warning=True))
    return pending.all()


def pending_systems(state: Path, emit: Emit) -> PendingSystems:
    """A fleet's systems that wait; what is wrong with one is told as a warning."""
    return PendingSystems(state, lambda text: emit(Notice(text, warning=True)))


async def catch_up(
    setup: Setup, entries: Sequence[Pending], emit: Emit, interrupt: Interrupt | None = None
) -> tuple[Report, ...]:
    """Try each host once: those that answer get exactly what waited, by the ordinary way.

    Args:
        setup: The fleet.
        entries: What waits for hosts of the fleet.
        emit: Takes what happens.
        interrupt: The wish to stop, of whoever catches up again and again.

    Returns:
        A report for each way in which hosts were to be deployed: nearly always one.

    Raises:
        OrchestratorError: As :func:`~orchestrator.deploy.run.deploy`.
    """
    reports = []
    for request in _requests(setup, entries, emit):
        reports.append(await deploy(setup, request, emit, interrupt))
        if reports[-1].interrupted:
            break
    return tuple(reports)


def _requests(setup: Setup, entries: Sequence[Pending], emit: Emit) -> Iterator[DeployRequest]:
    """One for all hosts that are to be deployed in the same way."""
    fleet = setup.fleet.hosts
    there = [(_is_there(one, fleet[one.host], emit), one) for one in entries]
    left = [((given, _way(one, given=given)), one) for given, one in there]
    while left:
        first = given, way = left[0][0]
        those = [one for other, one in left if other == first]
        left = [(other, one) for other, one in left if other != first]
        yield replace(
            way,
            selectors=tuple(one.host for one in those),
            systems={one.host: one.system for one in those} if given else {},
        )


def _way(entry: Pending, *, given: bool) -> DeployRequest:
    """How a host is deployed: as it was to be when it was unreachable."""
    return DeployRequest(
        goal=entry.goal,
        verify=entry.verify,
        skip_preflight=entry.skip_preflight,
        reboot=entry.reboot,
        unreachable=WhenUnreachable.DEFER,
        revision=entry.revision if given else None,
        catch_up=True,
        rollout=RolloutPolicy(at_once=True),
        title=f"catch-up {entry.goal.value}",
    )


def _is_there(entry: Pending, host: Host, emit: Emit) -> bool:
    """Whether what waits is still to be had without an evaluation; what is not so is told."""
    built = Path(entry.system.out.path).exists()
    if nix.is_here(entry.system.drv):
        if host.build.on is BuildOn.HERE and not built:
            emit(Notice("what waited was collected as garbage: it is built again", entry.host))
        return True
    if host.build.on is BuildOn.HERE and built:
        return True
    lost = "what waited was collected as garbage, and what it is built from"
    emit(Notice(f"{lost}: it is evaluated again, as the fleet is now", entry.host, warning=True))
    return False
