"""From a command's options to a setup: find the fleet, read it, enter its lab where one is up."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.options import Target
from orchestrator.cli.sudo_passwords import ask_passwords
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet, Host
from orchestrator.host.setup import Setup, state_folder
from orchestrator.inventory.remembered import key_of, recall, remember
from orchestrator.inventory.root import find_root
from orchestrator.lab.enter import ActiveLab, enter, find_active
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.settings import SshSettings

if TYPE_CHECKING:
    from orchestrator.inventory.load import Inventory


def open_inventory(target: Target) -> Inventory:
    """Read the fleet's inventory and keep ``fleet.json`` fresh.

    Raises:
        UsageError: There is no fleet, it has mistakes, or ``fleet.json`` is stale and frozen.
    """
    from orchestrator.inventory.fleet_json import PATH, refresh
    from orchestrator.inventory.load import load

    root = find_root(Path.cwd(), target.fleet)
    inventory = load(root)
    if refresh(root, inventory, frozen=target.frozen):
        click.echo(f"{PATH} was stale and is written anew; commit it", err=True)
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
    remember(root, inventory, key)
    return inventory.fleet


def open_setup(target: Target) -> Setup:
    """Make the setup of a run. Where the fleet's lab is up, this process moves into it.

    Raises:
        UsageError: As :func:`open_inventory`; or a password is wanted and there is no terminal.
        LabError: A lab should be up and is not: never the real hosts instead.
    """
    fleet = open_fleet(target)
    passwords = ask_passwords(fleet, target)
    lab = find_active(Path(fleet.root)) if target.lab else None
    if lab is None:
        flake = Flake.at(fleet.flake, fleet.root)
        return Setup(fleet, flake, SshSettings(), state_folder(fleet), passwords)
    click.echo("lab: these hosts are the lab's (orchestrator lab down ends it)", err=True)
    enter(lab)
    flake = Flake.at(fleet.flake, fleet.root, _stand_ins(fleet, lab))
    setup = Setup(fleet, flake, _lab_ssh(lab), state_folder(fleet), passwords)
    return replace(setup, fleet=in_lab(fleet, lab.machine_ids))


def _stand_ins(fleet: Fleet, lab: ActiveLab) -> tuple[tuple[str, str], ...]:
    """What a fleet's inputs are in its lab: nixpkgs' stand-in has agenix's module in it.

    To override an input that a flake has not is no error, so its text need not be understood.
    """
    stand_in = f"path:{lab.nixpkgs}"
    try:
        named = re.search(r"\bagenix\b", Path(fleet.flake, "flake.nix").read_text())
    except OSError:
        named = None
    return (("nixpkgs", stand_in), *([("agenix", stand_in)] if named else []))


def in_lab(fleet: Fleet, machine_ids: Mapping[str, str]) -> Fleet:
    """The fleet as its lab has it: each host is the lab's machine, and never this one.

    Args:
        fleet: The fleet.
        machine_ids: Of the lab's hosts, by name.
    """
    hosts = {
        name: replace(host, machine_id=machine_ids.get(name)) for name, host in fleet.hosts.items()
    }
    return replace(fleet, hosts=hosts)


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
    from orchestrator.inventory.select import select

    hosts = select(fleet, (name,))
    if len(hosts) != 1:
        names = ", ".join(host.name for host in hosts)
        raise UsageError(f"{name!r} means several hosts: {names}", hint="name one of them")
    return hosts[0]
