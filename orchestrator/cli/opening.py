"""Find the fleet, read it, enter its lab; who is asked for a sudo password."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.group import say
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import Target
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet, Host
from orchestrator.core.machine import allow_files, home
from orchestrator.core.members import as_machines
from orchestrator.core.units import MOST_NAMED, listing
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup, state_folder
from orchestrator.inventory.root import find_root, key_of, recall, remember
from orchestrator.lab.network import ActiveLab, enter, find_active
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.become import become_by
from orchestrator.ssh.local import is_this_machine
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.sudo import Passwords

with lazily():
    from orchestrator.inventory import fleet_json, load, select


if TYPE_CHECKING:
    from orchestrator.inventory.load import Inventory

_MOST_IN_A_LINE = 5
# Inputs that nixpkgs' stand-in has within, and where.
_WITHIN = {"agenix": "", "home-manager": "/home-manager"}


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
    groups: list[tuple[Host, ...]] = []
    for selector in target.sudo_password_for:
        groups.append(_named(select.select(fleet, (selector,)), selector, groups))
    if target.ask_sudo_password:
        named = {host.name for group in groups for host in group}
        chosen = (
            _this_machine(fleet) if target.this_machine else select.select(fleet, target.selectors)
        )
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
                hint="the inventory says that it logs in as root, that sudo is not used there "
                "or reads none, or `sudo_password: false`",
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
    connect = host.connect
    asks = become_by(connect.become).asking is not None
    return connect.user != "root" and connect.sudo and asks


def _this_machine(fleet: Fleet) -> list[Host]:
    return [host for host in fleet.hosts.values() if is_this_machine(host)]


def _question(hosts: Sequence[Host]) -> str:
    names = ", ".join(host.name for host in hosts)
    if len(hosts) <= _MOST_IN_A_LINE:
        return f"sudo password for {names}"
    click.echo(f"the sudo password is given to {len(hosts)} hosts:", err=True)
    click.echo(textwrap.indent(textwrap.fill(names, 76), "  "), err=True)
    return f"sudo password for these {len(hosts)} hosts"


def open_inventory(target: Target) -> Inventory:
    """Read the fleet's inventory and keep ``fleet.json`` fresh.

    Raises:
        UsageError: There is no fleet, it has mistakes, or ``fleet.json`` is stale and frozen.
    """
    root = find_root(Path.cwd(), target.fleet)
    inventory = load.load(root)
    if not target.dry and fleet_json.refresh(root, inventory, frozen=target.frozen):
        say(f"{fleet_json.PATH} was stale and has been rewritten; commit it")
    return inventory


def open_fleet(target: Target) -> Fleet:
    """Give the fleet: as it was read last, where nothing changed since.

    Raises:
        UsageError: As :func:`open_inventory`.
    """
    root = find_root(Path.cwd(), target.fleet)
    if fleet := recall(root):
        return fleet
    key = key_of(root)
    inventory = open_inventory(target)
    if not target.dry:
        remember(root, inventory, key)
    return inventory.fleet


def open_setup(target: Target) -> Setup:
    """Make the setup of a run. Where the fleet's lab is up, this process moves into it.

    Raises:
        UsageError: As :func:`open_inventory`; or a password is wanted and there is no terminal.
        LabError: A lab should be up and is not: never the real hosts instead.
    """
    home()  # where there is none, that is said here, and not of each host
    fleet = affordable(open_fleet(target))
    passwords = ask_passwords(fleet, target)
    lab = find_active(Path(fleet.root)) if target.lab else None
    if lab is None:
        flake = Flake.at(fleet.flake, fleet.root, settings=fleet.nix)
        return Setup(fleet, flake, SshSettings(), state_folder(fleet), passwords)
    say("lab: these hosts are the lab's (orchestrator lab down ends it)")
    enter(lab)
    inputs = stand_ins(fleet, lab.nixpkgs, own=bool(lab.record.nixpkgs))
    flake = Flake.at(fleet.flake, fleet.root, inputs, fleet.nix)
    setup = Setup(fleet, flake, _lab_ssh(lab), state_folder(fleet), passwords)
    return replace(
        setup,
        fleet=in_lab(fleet, lab.machine_ids),
        in_lab=True,
        placeholders=lab.record.placeholders,
    )


_OWN_FILES, _FILES_OF_A_HOST = 32, 4


def affordable(fleet: Fleet) -> Fleet:
    """Have no more hosts under way than there are file descriptors for, and say so.

    Args:
        fleet: The fleet; each of its hosts takes a connection, and pipes to what runs for it here.
    """
    allowed, limits = allow_files(), fleet.limits
    most = max(1, (allowed - _OWN_FILES) // _FILES_OF_A_HOST)
    if most >= min(limits.hosts, len(fleet.hosts)):
        return fleet
    say(
        f"this process may have {allowed} files open (ulimit -n): no more than {most} "
        f"host{'s' if most > 1 else ''} at the same time"
    )
    lowered = {
        name: min(most, getattr(limits, name))
        for name in ("hosts", "builds", "copies", "activations", "connections", "verifications")
    }
    return replace(fleet, limits=replace(limits, **lowered))


def stand_ins(fleet: Fleet, nixpkgs: Path, *, own: bool = False) -> tuple[tuple[str, str], ...]:
    """What a fleet's inputs are in its lab: nixpkgs' stand-in, and what is in it of others.

    Where the lab has a nixpkgs of the fleet's own, that one alone is replaced, by the same in the
    lab's profile.

    To override an input that a flake has not is no error, so its text need not be understood.
    """
    stand_in = f"path:{nixpkgs}"
    if own:
        return (("nixpkgs", stand_in),)
    try:
        text = Path(fleet.flake, "flake.nix").read_text()
    except OSError:
        text = ""
    named = [name for name in _WITHIN if re.search(rf"\b{name}\b", text)]
    return (("nixpkgs", stand_in), *((name, stand_in + _WITHIN[name]) for name in named))


def in_lab(fleet: Fleet, machine_ids: Mapping[str, str]) -> Fleet:
    """The fleet as its lab has it: each host is the lab's machine, and never this one.

    Args:
        fleet: The fleet.
        machine_ids: Of the lab's hosts, by name.
    """
    return replace(fleet, hosts=as_machines(fleet.hosts, machine_ids))


def _lab_ssh(lab: ActiveLab) -> SshSettings:
    return SshSettings(
        config=str(lab.ssh_config),
        known_hosts=str(lab.known_hosts),
        addresses=tuple(lab.hosts.items()),
    )


def one_host(fleet: Fleet, name: str) -> Host:
    """The one host that a name or selector means.

    Raises:
        UsageError: It means none, or several.
    """
    hosts = select.select(fleet, (name,))
    if len(hosts) != 1:
        names = listing([host.name for host in hosts], MOST_NAMED)
        raise UsageError(f"{name!r} means several hosts: {names}", hint="name one of them")
    return hosts[0]
