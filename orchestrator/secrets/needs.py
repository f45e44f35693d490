"""What a host whose key became known needs before it can open its secrets."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.errors import StepError
from orchestrator.host.setup import Setup
from orchestrator.secrets.configurations import with_configurations
from orchestrator.secrets.gather import Context, gather
from orchestrator.secrets.model.need import Needs
from orchestrator.secrets.place import Place
from orchestrator.secrets.plan.needs import needs


@dataclass(frozen=True, slots=True)
class FoundNeeds:
    """What a host needs.

    Attributes:
        needs: As far as it is known.
        failed: Why it is not known what its configuration uses.
    """

    needs: Needs
    failed: StepError | None = None


async def needs_of(place: Place, setup: Setup, host: str) -> FoundNeeds:
    """Find out what a host needs; its configuration is evaluated where it is not known already.

    Raises:
        UsageError: As :func:`gather`.
        RulesError: ``secrets.nix`` says nothing usable.
        StepError: git refused.
    """
    context = Context(setup.fleet, setup.ssh, (host,), setup=setup)
    asked, failed = await with_configurations(context)
    return FoundNeeds(needs(await gather(place, asked), host), failed.get(host))
