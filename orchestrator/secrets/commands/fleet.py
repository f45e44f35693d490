"""The secrets of a fleet, within checks of the whole fleet: ``validate`` and ``ci``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from orchestrator.core.host import Host
from orchestrator.host.setup import Setup


async def check_fleet(setup: Setup, hosts: Sequence[Host] = (), *, configurations: bool) -> bool:
    """Check a fleet's secrets and draw what is wrong; without a ``secrets.nix`` there is nothing.

    A configuration that does not evaluate is left out: whoever evaluates the hosts tells of it.

    Args:
        setup: The fleet.
        hosts: Whose secrets; none means every one.
        configurations: Whether to ask the hosts' configurations, too.

    Returns:
        Whether an error was found.

    Raises:
        UsageError: There is no Nix, or ``secrets.lock.json`` cannot be used.
        StepError: git refused.
    """
    from orchestrator.secrets.place import find

    file = find(Path(setup.fleet.root))
    if file is None:
        return False
    from orchestrator.cli.output import words
    from orchestrator.secrets.check import check_secrets
    from orchestrator.secrets.configurations import with_configurations
    from orchestrator.secrets.draw.findings import draw_findings
    from orchestrator.secrets.gather import Context
    from orchestrator.secrets.place import place_of

    names = tuple(host.name for host in hosts)
    context = Context(setup.fleet, setup.ssh, names, setup=setup)
    if configurations:
        context, _ = await with_configurations(context)
    found = await check_secrets(await place_of(file), context)
    draw_findings(found.findings, found.count, words(), as_json=False)
    return found.failed
