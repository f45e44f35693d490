"""What hosts' configurations do with secrets, put beside what else is known."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.engine.secrets.gather import Context
from orchestrator.engine.secrets.uses import secrets_of_hosts
from orchestrator.errors import StepError


async def with_configurations(context: Context) -> tuple[Context, dict[str, StepError]]:
    """Ask the configurations of a fleet's hosts, or of the targets: as known, else evaluated.

    Returns:
        What is known then, and by host why nothing is: its configuration does not evaluate.
    """
    setup = context.setup
    if setup is None:
        return context, {}
    names = context.targets or tuple(setup.fleet.hosts)
    found = await secrets_of_hosts(setup, [setup.fleet.hosts[name] for name in names])
    failed = {name: one for name, one in found.items() if isinstance(one, StepError)}
    known = {name: one for name, one in found.items() if not isinstance(one, StepError)}
    uses = tuple(use for one in known.values() for use in one.uses)
    return replace(context, uses=uses, evaluated=frozenset(known)), failed
