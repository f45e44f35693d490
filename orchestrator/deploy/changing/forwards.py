"""Whether what a host is to get is older than what it has, and whether its machine carries it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from orchestrator.catalogue.plan import Machine, host_fit, nearest_tier
from orchestrator.core.checks import Check, Shortfall
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.facts import Facts
from orchestrator.core.host import Host
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath
from orchestrator.deploy.history import History
from orchestrator.deploy.plan.older import Here, older_commit, older_nixpkgs, origin_of
from orchestrator.facts import cache
from orchestrator.facts.ask import ask_facts
from orchestrator.host.setup import Setup, checkout_of

FACTS_SECONDS = 30.0
"""How long a host is asked what it is made of: none waits longer for what it can do without."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What a host is to get of the fleet's own files, and what it has.

    Attributes:
        out: The system.
        revision: The commit that it is of, with ``-dirty``; ``None`` where there is none.
        who: Whose deployment it is or would be: ``user@machine``.
    """

    setup: Setup
    host: Host
    state: HostState
    out: OutPath
    revision: str | None
    who: str


async def backwards(offer: Offer, history: History) -> tuple[Shortfall, ...]:
    """Find whether a host would get something older than it has."""
    setup, state = offer.setup, offer.state
    found, there = [*older_nixpkgs(state, offer.out)], origin_of(state)
    here = Here(offer.revision, offer.who, checkout_of(setup.fleet))
    if there is not None and there.may_differ(here):
        kin = await history.kin(setup, offer.host, there.commit, here.commit)
        found += older_commit(there, here, kin, datetime.now(UTC))
    return tuple(found)


def needs(
    setup: Setup, host: Host, state: HostState, now: Facts | None, *, planned: bool
) -> tuple[Shortfall, ...]:
    """Compare what a host's features need with what is known of its machine.

    The lab's hosts are this machine: of them nothing is said.

    Args:
        setup: The fleet.
        host: The host.
        state: What it said of itself.
        now: What it said just now that it is made of; ``None`` where it did not.
        planned: Whether nothing is changed: then it is also said of a guest that nothing is known.
    """
    if setup.in_lab or not setup.fleet.features:
        return ()
    facts = now or cache.known(cache.folder_of(setup), host.name)
    if facts and facts.machine_id not in ("", state.machine_id):
        facts = None  # another machine's
    machine = Machine.of(facts, host.hardware)
    found = host_fit(setup.fleet, host, machine)
    if found.skipped and planned:
        text = f"it is a guest ({found.skipped}): what its features need was not compared"
        return (Shortfall(Check.NEEDS, text, refuses=False),)
    tier = nearest_tier(setup.fleet, host, machine) if found.lacks else None
    remedy = (f"the nearest tier that fits is {tier.name}; " if tier else "") + (
        f"`hardware:` in the inventory stands before what was asked; ask again: "
        f"orchestrator host facts {host.name} --refresh"
    )
    return tuple(Shortfall(Check.NEEDS, gap.text, remedy) for gap in found.lacks)


async def look_ahead(offer: Offer, executor: Executor) -> tuple[str, ...]:
    """Say what a deployment's preflight would find of both, where nothing is deployed."""
    facts, host = None, offer.host
    if offer.setup.fleet.features:
        with contextlib.suppress(StepError):
            facts = await ask_facts(executor, host, FACTS_SECONDS)
    lacks = needs(offer.setup, host, offer.state, facts, planned=True)
    return in_words((*await backwards(offer, History()), *lacks))


def in_words(found: Iterable[Shortfall]) -> tuple[str, ...]:
    """Say what preflight would find, for who only looks."""
    return tuple(
        f"preflight would refuse: {one.text}" if one.refuses else f"preflight: {one.text}"
        for one in found
    )
