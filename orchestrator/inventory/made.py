"""The model's hosts, made of what holds for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.core.host import (
    BuildOn,
    BuildSite,
    Connect,
    Deadlines,
    Guard,
    Host,
    LastResort,
    NewlyFailed,
    Preflight,
    UnsignedBuilds,
    Verify,
    WhenUnreachable,
)
from orchestrator.core.members import like
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.inventory.nix_keys import flake_of, settings_of
from orchestrator.inventory.risk_keys import risk_of
from orchestrator.inventory.security_keys import accepted_of
from orchestrator.inventory.tree import Fields, as_json, plain

_SINGLE = ("attr", "template", "machine_id")
_LISTED = ("profiles", "features", "roles", "tags", "users")
_OWN = frozenset((*_SINGLE, *_LISTED, "address", "hardware"))
"""What is cheaply put into a host that is otherwise like another one."""


def hosts_of(
    resolved: Mapping[str, Fields], root: Path, caches: Iterable[str] = ()
) -> dict[str, Host]:
    """The model's hosts of resolved trees, whose paths are relative to ``root``.

    Hosts of one make have the very same trees where their entries say nothing: what these come to
    is made once.
    """
    alike: dict[tuple[tuple[str, int], ...], Host] = {}
    made: dict[str, Host] = {}
    for name, tree in resolved.items():
        entries = tree.entries
        key = tuple((key, id(below)) for key, below in entries.items() if key not in _OWN)
        build = tree.leaf("build")
        if build is None or build.value == name:
            made[name] = _to_host(name, tree, root, caches)
            continue
        if (first := alike.get(key)) is None:
            first = alike[key] = _to_host(name, tree, root, caches)
        made[name] = like(first, _own(name, tree), _address(tree), first.connect.port)
    return made


def _own(name: str, tree: Fields) -> dict[str, Any]:
    single = {key: leaf.value if (leaf := tree.leaf(key)) else None for key in _SINGLE}
    listed = {key: tree.texts(key) for key in _LISTED}
    return {"name": name, "hardware": as_json(plain(tree.get("hardware"))), **single, **listed}


def _address(tree: Fields) -> str:
    address = tree.leaf("address")
    return str(address.value) if address else ""


def _to_host(name: str, tree: Fields, root: Path, caches: Iterable[str]) -> Host:
    values: dict[str, Any] = plain(tree)
    taken = ("attr", "system", "template", "tier", "state_version", "machine_id")
    listed = ("profiles", "features", "roles", "tags", "users")
    verify = values["verify"]
    return Host(
        name=name,
        connect=Connect(address=values["address"], **values["connect"]),
        build=_build_site(name, values["build"]),
        substitute=_substitute(values.get("substitute", False), caches),
        flake=flake_of(root, values["flake"]) if "flake" in values else None,
        verify=Verify(**verify),
        deadlines=Deadlines(**values["deadlines"]),
        guard=_guard(values["guard"]),
        preflight=Preflight(**values["preflight"]),
        unsigned_builds=UnsignedBuilds(values["unsigned_builds"]),
        specialisation=SpecialisePolicy.parse(values["specialisation"]),
        unreachable=WhenUnreachable(values["unreachable"]),
        pending_expiry=values["pending_expiry"],
        hardware=as_json(values.get("hardware", {})),
        settings=as_json(values.get("settings", {})),
        nix=settings_of(root, values.get("nix", {})),
        **risk_of(values),
        **accepted_of(values),
        **{key: values[key] for key in (*taken, *listed) if key in values},
    )


def _guard(values: dict[str, Any]) -> Guard:
    words = {
        "failed_units": NewlyFailed(values["failed_units"]),
        "last_resort": LastResort(values["last_resort"]),
    }
    return Guard(**{**values, **words})


def _substitute(said: bool | str, caches: Iterable[str]) -> str | None:
    if said is True:
        (only,) = caches
        return only
    return said or None


def _build_site(host: str, build: str) -> BuildSite:
    match build:
        case BuildOn.HERE.value:
            return BuildSite(BuildOn.HERE)
        case BuildOn.TARGET.value:
            return BuildSite(BuildOn.TARGET)
        case _ if build == host:
            # Where all hosts build on one of them, that one builds on itself.
            return BuildSite(BuildOn.TARGET)
        case _:
            return BuildSite(BuildOn.BUILDER, build)
