"""Which repository of secrets a command means: the fleet's, or that of ``--rules FILE``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.cli.options import Target

if TYPE_CHECKING:
    from orchestrator.secrets.gather import Context

F = TypeVar("F", bound=Callable[..., Any])


def rules_option(command: F) -> F:
    """``--rules FILE``: another ``secrets.nix``, with or without a fleet."""
    return click.option(
        "--rules",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        help="This secrets.nix, of any repository; without --fleet, of no fleet. Where there is no "
        "fleet, the nearest one is taken.",
    )(command)


def open_rules(
    rules: Path | None, target: Target, selectors: tuple[str, ...] = ()
) -> tuple[Path, Context]:
    """Find the ``secrets.nix``, and what is known beside it.

    Args:
        rules: The file of ``--rules``.
        target: Which fleet.
        selectors: Hosts whose secrets matter; none means every one.

    Raises:
        UsageError: There is neither a fleet nor a file; or hosts are named and there is no fleet.
    """
    from orchestrator.cli.fleet import open_setup
    from orchestrator.core.errors import UsageError
    from orchestrator.inventory.select import select
    from orchestrator.secrets.commands.rules_file import lone_rules
    from orchestrator.secrets.gather import Context
    from orchestrator.secrets.place import USUAL, find

    alone = lone_rules(target.fleet) if rules is None else rules
    if alone is not None and target.fleet is None:
        if selectors:
            raise UsageError("no fleet: there are no hosts to select", hint="add --fleet DIR")
        return alone, Context()
    setup = open_setup(target)
    root = Path(setup.fleet.root)
    hosts = tuple(host.name for host in select(setup.fleet, selectors)) if selectors else ()
    context = Context(setup.fleet, setup.ssh, hosts, setup=setup)
    return rules or find(root) or root / USUAL[0], context
