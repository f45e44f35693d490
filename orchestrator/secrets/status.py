"""``secrets status``: each secret, who can read it, and what is wrong with it."""

from __future__ import annotations

import asyncio
from datetime import datetime

from orchestrator.secrets.files import repository
from orchestrator.secrets.gather import Context, gather
from orchestrator.secrets.model.status import SecretStatus
from orchestrator.secrets.place import Place
from orchestrator.secrets.plan import overview
from orchestrator.secrets.plan.checks import check
from orchestrator.secrets.plan.targets import secrets_of


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
