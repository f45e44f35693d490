"""``host``: trust a host's key at first contact; log in by the way that deployments take."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import Target, host_argument, target_options
from orchestrator.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from orchestrator.engine.setup import Setup
    from orchestrator.model.host import Host


@click.group()
def host() -> None:
    """Trust a host's key; log in."""


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
    from orchestrator.cli.secrets.needs import tell_needs

    setup = open_setup(target)
    found = one_host(setup.fleet, host)
    _trust(setup, found, fingerprint)
    tell_needs(setup, found.name)


def _trust(setup: Setup, found: Host, fingerprint: str | None) -> None:
    """Have a host's key known, unless it is already."""
    from orchestrator.adapters.ssh.trust import offered_key, remember

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
        raise RefusedError("the key is not trusted; nothing was written")


@host.command(context_settings={"ignore_unknown_options": True})
@host_argument
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@target_options
def ssh(host: str, command: tuple[str, ...], target: Target) -> None:
    """Log in to HOST by the way that deployments take, or run COMMAND there."""
    from orchestrator.adapters.ssh.connect import ssh_argv
    from orchestrator.cli.fleet import one_host, open_setup

    setup = open_setup(target)
    found = one_host(setup.fleet, host)
    argv = ssh_argv(setup.ssh.connect_for(found.name, found.connect), setup.ssh)
    os.execvp(argv[0], (*argv, *command))  # noqa: S606
