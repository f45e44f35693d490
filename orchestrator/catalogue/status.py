"""What a host has: features, their reasons and settings, whether they run; what it lacks."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, assert_never

from orchestrator.catalogue.plan import Fit, Machine, carried, host_fit, nearest_tier
from orchestrator.core import git
from orchestrator.core.changed import Note
from orchestrator.core.commit import Commit
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.host import Host
from orchestrator.core.units import parse_json
from orchestrator.facts import cache
from orchestrator.host.setup import Setup, ask_each
from orchestrator.inventory.containers import NAME_PATTERN
from orchestrator.inventory.load import Inventory
from orchestrator.inventory.tree import Resolved

SAYS = "/etc/fleet/host.json"
"""Where a host of the example's kind says which features it has."""

_SECONDS = 30.0
_MOST = 1 << 20
_NAMES = 4096


class State(Enum):
    """Where a feature stands on a host."""

    APPLIED = "applied"
    PENDING = "pending"
    CHANGED = "changed"
    """It runs with other settings."""
    TO_GO = "to be removed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class HasFeature:
    """A feature of a host.

    Attributes:
        reason: Where it comes from, with file and line; empty of one that is to be removed.
        settings: Those that it takes.
        changed: The commit that the line is from which gives it; ``None`` where git knows none.
    """

    name: str
    reason: str
    state: State
    settings: Mapping[str, Any] = field(default_factory=dict)
    changed: Commit | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """What a host says that it runs.

    Attributes:
        features: ``None`` where it did not say.
        settings: By feature; ``None`` where it is of before there were any.
        why: Why it is not known.
    """

    features: tuple[str, ...] | None
    settings: Mapping[str, Any] | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Status:
    """What is known of a host.

    Attributes:
        tier: Its tier, in the inventory.
        carries: The last tier that its machine is known to carry.
        nearest: Where it lacks something: the nearest tier below its own that fits.
        machine: What counts of its machine.
    """

    host: str
    tier: str | None
    carries: str | None
    nearest: str | None
    features: tuple[HasFeature, ...]
    fit: Fit
    machine: Machine
    running: Running


async def status_of(setup: Setup, inventory: Inventory, host: Host, *, ask: bool) -> Status:
    """Find what is known of a host.

    Args:
        setup: The fleet.
        inventory: As it was read, with where its values stand.
        host: The host.
        ask: Whether to ask the host what it runs.
    """
    fleet = setup.fleet
    reasons = [one for one in inventory.origins(host.name) if one.key == "features"]
    running, changes = await asyncio.gather(
        _running(setup, host) if ask else _not_asked(), _changes(fleet.root, reasons)
    )
    machine = Machine.of(cache.known_of(cache.folder_of(setup), host), host.hardware)
    found = host_fit(fleet, host, machine)
    carries = carried(fleet, machine)
    nearest = nearest_tier(fleet, host, machine) if found.lacks else None
    return Status(
        host=host.name,
        tier=host.tier,
        carries=carries.name if carries else None,
        nearest=nearest.name if nearest else None,
        features=_features(host, reasons, running, changes),
        fit=found,
        machine=machine,
        running=running,
    )


def _features(
    host: Host, reasons: Iterable[Resolved], running: Running, changes: Mapping[str, Commit]
) -> tuple[HasFeature, ...]:
    have = [
        HasFeature(
            name := str(one.value),
            str(one.origin),
            _state(host, name, running),
            host.settings.get(name, {}),
            changes.get(name),
        )
        for one in reasons
    ]
    names = {one.name for one in have}
    gone = (name for name in running.features or () if name not in names)
    return (*have, *(HasFeature(name, "", State.TO_GO) for name in gone))


def _state(host: Host, name: str, running: Running) -> State:
    if running.features is None:
        return State.UNKNOWN
    if name not in running.features:
        return State.PENDING
    if running.settings is None:
        return State.UNKNOWN if host.settings.get(name) else State.APPLIED
    return State.APPLIED if running.settings.get(name) == host.settings.get(name) else State.CHANGED


def changes_of(host: Host, origins: Iterable[Resolved], running: Running) -> tuple[Note, ...]:
    """Say which features a host would get, lose, or have with other settings; and why it has them.

    Args:
        host: The host.
        origins: All that holds for it, with where that is said.
        running: What it says that it runs; where it does not say, nothing is told.
    """
    if running.features is None:
        return ()
    reasons = [one for one in origins if one.key == "features"]
    told = []
    for one in _features(host, reasons, running, {}):
        match one.state:
            case State.PENDING:
                told.append(f"+ {one.name}: {one.reason}")
            case State.CHANGED:
                told.append(f"~ {one.name}: other settings")
            case State.TO_GO:
                told.append(f"- {one.name}")
            case State.APPLIED | State.UNKNOWN:
                pass
            case _:
                assert_never(one.state)
    return tuple(Note("features", text) for text in told)


async def _not_asked() -> Running:
    return Running(None, why="it was not asked")


async def _running(setup: Setup, host: Host) -> Running:
    (answer,) = await ask_each(setup, (host,), _ask)
    if isinstance(answer.said, StepError):
        return Running(None, why=answer.said.message)
    return answer.said


async def _ask(_: Host, executor: Executor) -> Running:
    return await ask_running(executor)


async def ask_running(executor: Executor) -> Running:
    """Ask a host which features it runs, and with which settings.

    Raises:
        StepError: It did not answer.
    """
    done = await executor.run(("head", "-c", str(_MOST), SAYS), deadline=_SECONDS, root=False)
    if done.rc != 0:
        return Running(None, why=f"it has no {SAYS}")
    try:
        said = parse_json(done.stdout)
    except ValueError:
        said = None
    match said:
        case {"features": [*names]} if len(names) <= _NAMES and all(map(_is_name, names)):
            settings = said.get("settings")
            return Running(tuple(names), settings if isinstance(settings, dict) else None)
        case _:
            return Running(None, why=f"its {SAYS} does not say which features it has")


def _is_name(said: object) -> bool:
    """Whether it is what a feature can be called: a host may say anything."""
    return isinstance(said, str) and re.fullmatch(NAME_PATTERN, said) is not None


async def _changes(root: str, reasons: Iterable[Resolved]) -> dict[str, Commit]:
    """Find from which commits the lines are that give the features."""
    places = {str(one.value): one.origin.place for one in reasons if one.origin.place}
    files = sorted({place.file for place in places.values()})
    blamed = await asyncio.gather(*(git.last_changes(root, file) for file in files))
    lines = dict(zip(files, blamed, strict=True))
    found = {name: lines[place.file].get(place.line) for name, place in places.items()}
    return {name: commit for name, commit in found.items() if commit}
