"""Passwords for sudo: for whom, and asking for them."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence

import click

from orchestrator.cli.options import Target
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet, Host
from orchestrator.ssh.local import is_this_machine
from orchestrator.ssh.sudo import Passwords

_MOST_IN_A_LINE = 5


def ask_passwords(fleet: Fleet, target: Target) -> Passwords:
    """Ask for the passwords that the options want. Whom each is given to is said before.

    Raises:
        UsageError: A host is named twice, or takes none; or there is no terminal.
    """
    passwords = Passwords()
    if not (target.ask_sudo_password or target.sudo_password_for):
        return passwords
    groups = recipients(fleet, target)
    if not groups:
        click.echo("none of these hosts is given a sudo password", err=True)
    elif not sys.stdin.isatty():
        option = "--ask-sudo-password" if target.ask_sudo_password else "--sudo-password-for"
        raise UsageError(
            f"{option} needs a terminal, and there is none",
            hint="in CI, let the deploy user use sudo without a password",
        )
    for hosts in groups:
        secret = click.prompt(_question(hosts), hide_input=True, err=True)
        for host in hosts:
            passwords.give(host, secret)
    return passwords


def recipients(fleet: Fleet, target: Target) -> list[tuple[Host, ...]]:
    """The hosts that are given a password: those that share one together.

    Raises:
        UsageError: A host is named twice, or takes none.
    """
    from orchestrator.inventory.select import select

    groups: list[tuple[Host, ...]] = []
    for selector in target.sudo_password_for:
        groups.append(_named(select(fleet, (selector,)), selector, groups))
    if target.ask_sudo_password:
        named = {host.name for group in groups for host in group}
        chosen = _this_machine(fleet) if target.this_machine else select(fleet, target.selectors)
        others = [host for host in _wanting(fleet, chosen) if host.name not in named]
        groups += [tuple(others)] if others else []
    return groups


def _named(
    hosts: Sequence[Host], selector: str, before: Iterable[Sequence[Host]]
) -> tuple[Host, ...]:
    """The hosts that a person named for a password.

    Raises:
        UsageError: One is named twice, or takes none.
    """
    earlier = {host.name for group in before for host in group}
    for host in hosts:
        if host.name in earlier:
            raise UsageError(f"--sudo-password-for names {host.name!r} twice")
        if not _takes(host) or host.connect.sudo_password is False:
            raise UsageError(
                f"--sudo-password-for {selector}: {host.name!r} takes no sudo password",
                hint="the inventory says that it logs in as root, that sudo is not used there, "
                "or `sudo_password: false`",
            )
    return tuple(hosts)


def _wanting(fleet: Fleet, hosts: Iterable[Host]) -> list[Host]:
    """The hosts that are given the one password of a run.

    Where the inventory says of any host that sudo asks there, it is those of which it says so.
    """
    marked = any(host.connect.sudo_password for host in fleet.hosts.values())
    wanted = (True,) if marked else (None,)
    return [host for host in hosts if _takes(host) and host.connect.sudo_password in wanted]


def _takes(host: Host) -> bool:
    return host.connect.user != "root" and host.connect.sudo


def _this_machine(fleet: Fleet) -> list[Host]:
    return [host for host in fleet.hosts.values() if is_this_machine(host)]


def _question(hosts: Sequence[Host]) -> str:
    names = ", ".join(host.name for host in hosts)
    if len(hosts) <= _MOST_IN_A_LINE:
        return f"sudo password for {names}"
    click.echo(f"the sudo password is given to {len(hosts)} hosts:", err=True)
    click.echo(textwrap.indent(textwrap.fill(names, 76), "  "), err=True)
    return f"sudo password for these {len(hosts)} hosts"
