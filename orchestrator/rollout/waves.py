"""Divide the hosts of a run into waves."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet, Host
from orchestrator.core.rollout import Amount, RolloutPolicy, Stage, Wave
from orchestrator.inventory.select import select

EVERYBODY = "all hosts"
CANARY = "canary"
REST = "the rest"
"""The stage of hosts that are in no stage."""


def waves(fleet: Fleet, hosts: Sequence[Host], policy: RolloutPolicy) -> tuple[Wave, ...]:
    """Divide the selected hosts: each is in exactly one wave, and no wave is empty.

    Args:
        fleet: Which selectors are of.
        hosts: Those selected, in the inventory's order, which is kept within a wave.
        policy: Who goes first, and how many at a time.

    Raises:
        UsageError: A selector of the policy means no host of the fleet.
    """
    names = tuple(host.name for host in hosts)
    if policy.at_once:
        return (Wave(EVERYBODY, names),) if names else ()
    stages = _stages(fleet, names, policy.stages or ())
    in_order = tuple(name for _, members in stages for name in members)
    canary = _canary(fleet, in_order, policy.canary)
    made = [Wave(CANARY, canary, policy.pause or 0.0)] if canary else []
    for stage, members in stages:
        left = tuple(name for name in members if name not in set(canary))
        made += _batches(stage, left, policy)
    return tuple(made)


def _stages(
    fleet: Fleet, names: tuple[str, ...], stages: Sequence[Stage]
) -> list[tuple[Stage | None, tuple[str, ...]]]:
    """Each stage's hosts: one that several stages mean is of the first; then those of none."""
    left = names
    divided: list[tuple[Stage | None, tuple[str, ...]]] = []
    for stage in stages:
        meant = _meant(fleet, stage.hosts, f"stage {stage.name}")
        divided.append((stage, tuple(name for name in left if name in meant)))
        left = tuple(name for name in left if name not in meant)
    rest = Stage(REST, "*") if stages else None
    return [*divided, (rest, left)]


def _canary(fleet: Fleet, names: tuple[str, ...], canary: Amount | str | None) -> tuple[str, ...]:
    match canary:
        case None:
            return ()
        case Amount():
            return names[: canary.of(len(names))]
        case selector:
            meant = _meant(fleet, selector, CANARY)
            return tuple(name for name in names if name in meant)


def _meant(fleet: Fleet, selector: str, whose: str) -> set[str]:
    try:
        return {host.name for host in select(fleet, (selector,))}
    except UsageError as error:
        raise UsageError(f"rollout: {whose}: {error.message}", hint=error.hint) from error


def _batches(stage: Stage | None, names: tuple[str, ...], policy: RolloutPolicy) -> list[Wave]:
    batch = (stage.batch if stage else None) or policy.batch
    pause = stage.pause if stage and stage.pause is not None else policy.pause or 0.0
    size = batch.of(len(names)) if batch else len(names)
    parts = [names[at : at + size] for at in range(0, len(names), size)] if names else []
    return [
        Wave(_name(stage, number, len(parts)), part, pause) for number, part in enumerate(parts, 1)
    ]


def _name(stage: Stage | None, number: int, of: int) -> str:
    which = f"{number} of {of}" if of > 1 else ""
    if stage is None:
        return f"batch {which}" if which else EVERYBODY
    return f"{stage.name} {which}".strip()
