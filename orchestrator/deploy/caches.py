"""Binary caches: whether they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from orchestrator.core.errors import RefusedError
from orchestrator.core.host import Fleet
from orchestrator.host.setup import Setup
from orchestrator.inventory.select import select
from orchestrator.nix import verbs as nix
from orchestrator.ssh.said import nix_environment


async def require_caches(setup: Setup, selectors: Sequence[str]) -> None:
    """Refuse unless every cache answers: those that Nix would ask, and those of the inventory.

    Args:
        setup: The fleet, and how it is reached.
        selectors: The hosts that are meant; a cache counts where one of them fetches from it.

    Raises:
        UsageError: A selector matches nothing.
        RefusedError: A cache does not answer, or there is none.
    """
    stores = dict.fromkeys([*await nix.substituters(), *_stores(setup.fleet, selectors)])
    if not stores:
        raise RefusedError(
            "no binary cache is configured",
            hint="set `substituters` in nix.conf, or leave --check-caches out",
        )
    env = await nix_environment(setup.ssh)
    answers = await asyncio.gather(*(nix.answers(store, env) for store in stores))
    silent = [store for store, answer in zip(stores, answers, strict=True) if not answer]
    if silent:
        raise RefusedError(
            f"these binary caches do not answer: {', '.join(silent)}",
            hint="is the cache host up? deploy without it: leave --check-caches out",
            command=f"nix store info --store {silent[0]}",
        )


def _stores(fleet: Fleet, selectors: Sequence[str]) -> list[str]:
    """As this machine sees them: where it copies to, else where hosts fetch."""
    names = {host.substitute for host in select(fleet, selectors)}
    return [cache.push or cache.url for name, cache in fleet.caches.items() if name in names]
