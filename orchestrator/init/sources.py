"""What each source says of hosts: answers of Nix's, ``ssh_config``, ``known_hosts``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from orchestrator.core.machine import home
from orchestrator.init.model import (
    Evidence,
    Said,
    Source,
    Target,
    Way,
    parse_target,
    read_ssh_options,
)
from orchestrator.ssh.config import aliases
from orchestrator.ssh.known_hosts import KnownHosts, read_known_hosts
from orchestrator.ssh.settings import SshSettings

DEPLOY, COLMENA, CLAN = "deploy.nodes", "Colmena's hive", "clan's inventory"
SSH_CONFIG, KNOWN_HOSTS = "~/.ssh/config", "known_hosts"

OF_WAY: Mapping[Way, tuple[str, ...]] = {
    Way.AUTO: (DEPLOY, COLMENA, CLAN, SSH_CONFIG, KNOWN_HOSTS),
    Way.FLAKE: (),
    Way.COLMENA: (COLMENA,),
    Way.DEPLOY_RS: (DEPLOY,),
    Way.SSH_CONFIG: (SSH_CONFIG, KNOWN_HOSTS),
    Way.NIXOS_HOSTS: (SSH_CONFIG, KNOWN_HOSTS),
}
"""The sources that count, in the order of their weight."""

_SYSTEM_PROFILE = "/nix/var/nix/profiles/system"
_KNOWN_HOSTS = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2", "/etc/ssh/ssh_known_hosts")
_MOST_HASHES = 200_000
"""Hashes of names that are made to compare with hashed ones: about a second."""


def deploy_nodes(said: Mapping[str, Mapping[str, Any]]) -> Source:
    """What deploy-rs has: https://github.com/serokell/deploy-rs."""
    return Source(DEPLOY, {name: _deploy_node(name, node) for name, node in said.items()})


def _deploy_node(name: str, said: Mapping[str, Any]) -> Evidence:
    of = f"deploy.nodes.{name}"
    options, others = read_ssh_options(said["options"])
    values = _target(said["host"], f"{of}.hostname")
    for key, value in options.items():
        values[key] = Said(_port(value) if key == "port" else value, f"{of}.sshOpts")
    if said["user"] is not None:
        values["user"] = Said(said["user"], f"{of}.sshUser")
    if said["onTarget"]:
        values["build"] = Said("target", f"{of}.remoteBuild")
    notices: tuple[str, ...] = ()
    if others:
        left = " ".join(others)
        notices = (f"{name}: sshOpts that belong into ~/.ssh/config: {left}",)
    no_machine = ""
    if said["profile"] not in (None, _SYSTEM_PROFILE):
        no_machine = f"{of} puts it on {said['host']} as {said['profile']}, beside its system"
    return Evidence(values, notices, no_machine)


def colmena_nodes(said: Mapping[str, Mapping[str, Any]]) -> Source:
    """What Colmena's ``deployment`` has; who is not named is root there."""
    return Source(COLMENA, {name: _colmena_node(name, node) for name, node in said.items()})


def _colmena_node(name: str, said: Mapping[str, Any]) -> Evidence:
    of = f"{name}: deployment"
    values = _target(said["host"], f"{of}.targetHost")
    if said["port"] is not None:
        values["port"] = Said(_port(said["port"]), f"{of}.targetPort")
    if said["user"] is not None:
        values["user"] = Said(said["user"], f"{of}.targetUser")
    elif "targetUser" not in said["unknown"] and not said["local"] and not said["anybody"]:
        values.setdefault("user", Said("root", "Colmena's own default"))
    if said["tags"]:
        values["tags"] = Said(tuple(said["tags"]), f"{of}.tags")
    if said["onTarget"]:
        values["build"] = Said("target", f"{of}.buildOnTarget")
    notices = []
    if said["keys"]:
        notices.append(
            f"{name}: deployment.keys are not uploaded by this tool; see docs/secrets.md"
        )
    if said["local"]:
        notices.append(f"{name}: deployment.targetHost is null: Colmena deploys it locally only")
    if said["unknown"]:
        keys = ", ".join(f"deployment.{key}" for key in said["unknown"])
        notices.append(f"{name}: {keys} is known only once the host is evaluated; add it by hand")
    return Evidence(values, tuple(notices))


def clan_machines(said: Mapping[str, Mapping[str, Any]]) -> Source:
    """What clan's inventory has of machines: https://docs.clan.lol."""
    return Source(CLAN, {name: _clan_machine(name, one) for name, one in said.items()})


def _clan_machine(name: str, said: Mapping[str, Any]) -> Evidence:
    key = "deploy.targetHost" if said.get("of") is None else said["of"]
    values = _target(said["host"], f"clan: {name}.{key}")
    # All machines have these two.
    tags = tuple(tag for tag in said["tags"] if tag not in ("all", "nixos"))
    if tags:
        values["tags"] = Said(tags, f"clan: {name}.tags")
    return Evidence(values)


def _target(text: str | None, origin: str) -> dict[str, Said]:
    """Where a host answers, as user, address and port of their own."""
    if text is None:
        return {}
    target = parse_target(text)
    if target is None:
        return {"address": Said(text, origin)}
    parts = {"address": target.host, "user": target.user, "port": target.port}
    return {key: Said(part, origin) for key, part in parts.items() if part is not None}


def _port(text: str) -> int:
    """A port; what is none is 0, which no inventory takes."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0


def ssh_config(attrs: Iterable[str]) -> Source:
    """The configurations that are named in a ``Host`` line of ``ssh_config``."""
    known = aliases(SshSettings().config_files)
    found = {}
    for attr in attrs:
        alias = next((name for name in (attr, attr.lower()) if name in known), None)
        if alias is not None:
            origin = f"{_short(known[alias])}: Host {alias}"
            found[attr] = Evidence({"address": Said(alias, origin)})
    return Source(SSH_CONFIG, found)


def _short(file: str) -> str:
    return file.replace(f"{home()}/", "~/", 1)


def known_hosts(attrs: Sequence[str]) -> Source:
    """The configurations that ``known_hosts`` has by their name, alone or with one domain."""
    files = SshSettings().known_hosts_files(_KNOWN_HOSTS)
    try:
        known = read_known_hosts(files)
    except OSError:
        return Source(KNOWN_HOSTS, {})
    by_label: dict[str, set[Target]] = {}
    for written in known.named:
        place = _place(written.decode(errors="replace"))
        by_label.setdefault(place.host.partition(".")[0], set()).add(place)
    hashed = KnownHosts(hashed=known.hashed)
    if len(attrs) * len(hashed.hashed) > _MOST_HASHES:
        hashed = KnownHosts()
    found = {}
    for attr in attrs:
        if (one := _known(attr.lower(), by_label, hashed)) is not None:
            values = {"address": one.host, "port": one.port}
            found[attr] = Evidence(
                {key: Said(it, KNOWN_HOSTS) for key, it in values.items() if it is not None}
            )
    return Source(KNOWN_HOSTS, found)


def _place(written: str) -> Target:
    """A name as ``known_hosts`` writes it: in brackets where the port is not 22."""
    host, _, port = written.partition("]:")
    return Target(host.removeprefix("["), port=_port(port)) if port else Target(written)


def _known(name: str, by_label: Mapping[str, set[Target]], hashed: KnownHosts) -> Target | None:
    """The one place of a host of this name; of several none is better than another."""
    places = by_label.get(name, set())
    exact = {place for place in places if place.host == name}
    if Target(name) in exact or hashed.about(name):
        return Target(name)
    chosen = exact or places
    return next(iter(chosen)) if len(chosen) == 1 else None
