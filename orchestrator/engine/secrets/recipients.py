"""``secrets recipients``: each key that secrets are encrypted to, and whose it is."""

from __future__ import annotations

from orchestrator.engine.secrets.gather import Context, gather
from orchestrator.engine.secrets.place import Place
from orchestrator.model.secrets.status import RecipientStatus
from orchestrator.plan.secrets import overview


async def recipients(place: Place, context: Context) -> tuple[RecipientStatus, ...]:
    """List the recipients of a repository's secrets.

    Raises:
        UsageError: As :func:`gather`.
        RulesError: ``secrets.nix`` says nothing usable.
        StepError: git refused.
    """
    return overview.recipients(await gather(place, context))
