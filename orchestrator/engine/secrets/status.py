"""``secrets status``: each secret, who can read it, and what is wrong with it."""

from __future__ import annotations

import asyncio
from datetime import datetime

from orchestrator.adapters.secrets import repository
from orchestrator.engine.secrets.gather import Context, gather
from orchestrator.engine.secrets.place import Place
from orchestrator.model.secrets.status import SecretStatus
from orchestrator.plan.secrets import overview
from orchestrator.plan.secrets.checks import check
from orchestrator.plan.secrets.targets import secrets_of


async def status(place: Place, context: Context) -> tuple[SecretStatus, ...]:
    """Look at all secrets, or at those of some hosts.

    Raises:
        UsageError: As :func:`gather`.
        RulesError: ``secrets.nix`` says nothing usable.
        StepError: git refused.
    """
    changing = repository.changed(place.root, place.folder) if place.in_git else _never()
    evidence, changed = await asyncio.gather(gather(place, context), changing)
    found = overview.secrets(evidence, check(evidence), changed)
    if not context.targets:
        return found
    theirs = frozenset().union(*(secrets_of(evidence, host) for host in context.targets))
    return tuple(one for one in found if one.path in theirs)


async def _never() -> dict[str, datetime]:
    return {}
