"""``host``: add one, trust its key at first contact, log in by the way that deployments take."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import Target, fleet_option, host_argument, target_options
from orchestrator.core.errors import RefusedError, UsageError
from orchestrator.render.text import clean

if TYPE_CHECKING:
    from orchestrator.core.host import Host
    from orchestrator.host.setup import Setup


@click.group()
def host() -> None:
    """Add a host; trust its key; log in."""


@host.command()
@click.argument("name")
@click.option("--address", help="A host name, an IP address or an alias of ~/.ssh/config.")
@click.option("--template", help="The kind of machine it is.")
@click.option("--profile", "profiles", multiple=True, help="What it is for. May be repeated.")
@click.option("--user", help="Whom to log in as.")
@click.option("--port", type=click.IntRange(1, 65535), help="SSH's port.")
@click.option("--fingerprint", help="Trust its key if it has this fingerprint, and do not ask.")
@fleet_option
def add(
    name: str,
    address: str | None,
    template: str | None,
    profiles: tuple[str, ...],
    user: str | None,
    port: int | None,
    fingerprint: str | None,
    fleet: Path | None,
) -> None:
    """Add the host NAME to the inventory, then show its key and ask whether to trust it.

    Lines are put below `hosts:`; all else in the file stays, comments too. It is done only if the
    inventory is then read as exactly what it was, and the host. Else the lines are printed.

    \b
      orchestrator host add web1 --address 10.0.0.5 --template server
    """  # noqa: D301 (click reads the mark)
    from orchestrator.cli.fleet import open_inventory
    from orchestrator.inventory.add_host import draft, write
    from orchestrator.inventory.host_lines import NewHost
    from orchestrator.inventory.root import find_root

    root = find_root(Path.cwd(), fleet)
    made = draft(root, NewHost(name, address, template, profiles, user, port))
    write(root, made)
    click.echo(f"{name}: added to {made.file}", err=True)
    # A host that was added is in no lab.
    target = Target(root, lab=False)
    open_inventory(target)
    _offer_trust(name, fingerprint, target)


def _offer_trust(name: str, fingerprint: str | None, target: Target) -> None:
    """Trust a new host's key where somebody can vouch for it; a host that is off may come later."""
    from orchestrator.cli.fleet import one_host, open_setup
    from orchestrator.core.errors import UnreachableError
    from orchestrator.secrets.commands.check import tell_needs

    later = f"next: orchestrator host trust {name}"
    if fingerprint is None and not sys.stdin.isatty():
        click.echo(later, err=True)
        return
    setup = open_setup(target)
    try:
        _trust(setup, one_host(setup.fleet, name), fingerprint)
    except UnreachableError as error:
        if fingerprint is not None:
            raise
        click.echo(f"{clean(error.message)}\n{later}", err=True)
        return
    tell_needs(setup, name)


@host.command()
@host_argument
@click.option("--fingerprint", help="Trust the key if it has this fingerprint, and do not ask.")
@target_options
def trust(host: str, fingerprint: str | None, target: Target) -> None:
    """Show the fingerprint of HOST's key and ask whether to trust it.

    Compare it with what the host's own console says:
    ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub

    Where the fleet has a secrets.nix, it then tells which secrets the host cannot open with that
    key, what to add to secrets.nix, and which rekey that takes.
    """
    from orchestrator.cli.fleet import one_host, open_setup
    from orchestrator.secrets.commands.check import tell_needs

    setup = open_setup(target)
    found = one_host(setup.fleet, host)
    _trust(setup, found, fingerprint)
    tell_needs(setup, found.name)


def _trust(setup: Setup, found: Host, fingerprint: str | None) -> None:
    """Have a host's key known, unless it is already."""
    from orchestrator.ssh.trust import offered_key, remember

    host = found.name
    key = asyncio.run(offered_key(found, setup.ssh))
    if key.known:
        click.echo(f"{host}: {key.algorithm} {key.fingerprint} is known already", err=True)
        return
    click.echo(f"{host} shows {key.algorithm} {key.fingerprint}", err=True)
    if key.conflicts:
        raise RefusedError(
            f"another key is known for {key.name}: {', '.join(key.conflicts)}. "
            "Either the host was reinstalled, or someone stands between",
            hint=f"if it was reinstalled: ssh-keygen -R {key.name!r} -f {key.file}",
        )
    _agree(key.fingerprint, fingerprint)
    remember(key)
    click.echo(f"{host}: trusted; added to {key.file}", err=True)


def _agree(shown: str, expected: str | None) -> None:
    """Have a person, or the fingerprint given, vouch for the key."""
    if expected is not None:
        if expected != shown:
            raise RefusedError(f"the fingerprint is not the one given, {expected}")
    elif not sys.stdin.isatty():
        raise UsageError(
            "a person must compare the fingerprint, and there is no terminal",
            hint=f"give it: --fingerprint {shown}",
        )
    elif not click.confirm("Is that the host's key?", err=True):
        raise RefusedError("the key is not trusted; known_hosts is as it was")


@host.command(context_settings={"ignore_unknown_options": True})
@host_argument
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@target_options
def ssh(host: str, command: tuple[str, ...], target: Target) -> None:
    """Log in to HOST by the way that deployments take, or run COMMAND there."""
    from orchestrator.cli.fleet import one_host, open_setup
    from orchestrator.ssh.connect import ssh_argv

    setup = open_setup(target)
    found = one_host(setup.fleet, host)
    argv = ssh_argv(setup.ssh.connect_for(found.name, found.connect), setup.ssh)
    os.execvp(argv[0], (*argv, *command))  # noqa: S606
