"""``secrets recipients``: each key that secrets are encrypted to, and whose it is."""

from __future__ import annotations

from orchestrator.secrets.gather import Context, gather
from orchestrator.secrets.model.status import RecipientStatus
from orchestrator.secrets.place import Place
from orchestrator.secrets.plan import overview


async def recipients(place: Place, context: Context) -> tuple[RecipientStatus, ...]:
    """List the recipients of a repository's secrets.

    Raises:
        UsageError: As :func:`gather`.
        RulesError: ``secrets.nix`` says nothing usable.
        StepError: git refused.
    """
    return overview.recipients(await gather(place, context))
