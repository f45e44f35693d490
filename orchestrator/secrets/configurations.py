"""What hosts' configurations do with secrets, put beside what else is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from orchestrator.core.errors import StepError
from orchestrator.secrets.gather import Context
from orchestrator.secrets.systems import systems_of_hosts
from orchestrator.secrets.uses import secrets_of_hosts

T = TypeVar("T")


async def with_configurations(context: Context) -> tuple[Context, dict[str, StepError]]:
    """Ask the configurations of a fleet's hosts, or of the targets: as known, else evaluated.

    With a private key at hand their systems are asked for, too: values are looked for in them.

    Returns:
        What is known then, and by host why nothing is: its configuration does not evaluate.
    """
    setup = context.setup
    if setup is None:
        return context, {}
    names = context.targets or tuple(setup.fleet.hosts)
    found = await secrets_of_hosts(setup, [setup.fleet.hosts[name] for name in names])
    known, failed = _apart(found)
    uses = tuple(use for one in known.values() for use in one.uses)
    context = replace(context, uses=uses, evaluated=frozenset(known))
    if context.keyring is None:
        return context, failed
    asked = await systems_of_hosts(setup, [setup.fleet.hosts[name] for name in known])
    systems, without = _apart(asked)
    return replace(context, systems=tuple(systems.values())), failed | without


def _apart(found: Mapping[str, T | StepError]) -> tuple[dict[str, T], dict[str, StepError]]:
    failed = {name: one for name, one in found.items() if isinstance(one, StepError)}
    return {name: one for name, one in found.items() if not isinstance(one, StepError)}, failed
