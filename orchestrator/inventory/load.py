"""Fold each host's layers: YAML goes in, a fleet comes out, or every mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.errors import UsageError
from orchestrator.core.host import (
    Cache,
    Fleet,
    Limits,
    User,
)
from orchestrator.core.members import Hosts
from orchestrator.core.rollout import RolloutPolicy, Stage, WhenSpent
from orchestrator.inventory.classes import Classes
from orchestrator.inventory.declaration import HOST
from orchestrator.inventory.features import (
    Features,
    catalogue_of,
    check_catalogue,
    tiers_of,
)
from orchestrator.inventory.kinds import Reading
from orchestrator.inventory.made import hosts_of
from orchestrator.inventory.nix_keys import check_flakes, check_rules, flake_of, settings_of
from orchestrator.inventory.references import (
    SECTION,
    Suites,
    check_extends,
    check_references,
    check_suites,
)
from orchestrator.inventory.resolver import Resolver
from orchestrator.inventory.sections import read_sections
from orchestrator.inventory.settings import Schemas
from orchestrator.inventory.tree import (
    Fields,
    Mistakes,
    Position,
    Resolved,
    flatten,
    nearest,
    plain,
    quoted,
)


@dataclass(frozen=True, slots=True)
class Inventory:
    """A fleet, and where all that is said of its hosts was said.

    Attributes:
        declared_name: The fleet's name as the files say it, whatever its folder is called.
        resolved: Each host's values with their origins; of many equal ones, their class's.
        suites: What is named as a verification suite; all of it exists.
        places: Where each entry is, by its name.
    """

    fleet: Fleet
    declared_name: str | None
    resolved: Mapping[str, Fields]
    classes: Classes
    suites: tuple[str, ...] = ()
    places: Mapping[str, Position] = field(default_factory=dict)

    def origins(self, host: str) -> tuple[Resolved, ...]:
        """Each value of a host and where it came from, in the order of the declaration.

        Raises:
            UsageError: There is no such host.
        """
        tree, hosts = self.resolved.get(host), self.fleet.hosts
        if isinstance(hosts, Hosts) and (member := hosts.member(host)) is not None:
            of = hosts[host].of or host
            tree = self.classes.by_name[of].resolved(member, self.resolved[of])
        if tree is None:
            near = nearest(host, self.resolved)
            meant = f"; did you mean {near!r}?" if near else ""
            hint = f"hosts: {', '.join(self.resolved)}"
            raise UsageError(f"there is no host {quoted(host)}{meant}", hint=hint)
        order = {key.name: index for index, key in enumerate(HOST.keys)}
        order["settings"] = order["features"]
        values = flatten(tree)
        return tuple(sorted(values, key=lambda value: order[value.key.partition(".")[0]]))


def load(root: Path, drafts: Mapping[str, str] | None = None) -> Inventory:
    """Read the inventory of the fleet at ``root``.

    Args:
        root: The fleet's root.
        drafts: Texts to read in the place of files, or beside them, by their names relative to
            ``root``.

    Raises:
        InventoryError: It has mistakes; all of them are told.
    """
    root = root.absolute()
    reading = Reading(Mistakes())
    sections, complete = read_sections(root, reading, drafts or {})
    hosts = sections.get("hosts")
    classes = Classes.read(root, hosts, reading.mistakes)
    if complete:
        # Names may stand in a file that could not be read: only then would these be noise.
        check_references(sections, reading, classes.class_of)
        check_suites(root, reading)
    check_extends(sections, reading.mistakes)
    reading.mistakes.settle()
    catalogue = catalogue_of(sections)
    check_catalogue(sections, catalogue, reading.mistakes)
    reading.mistakes.settle()
    schemas = Schemas.find(root, classes.names(hosts), reading.mistakes)
    features = Features(sections, schemas, reading.mistakes, catalogue)
    resolver = Resolver(sections, Suites.find(root), features)
    resolved = {name: resolver.resolve(name) for name in hosts.keys}
    classes.check(hosts, resolved, reading)
    check_flakes(root, sections, reading.mistakes)
    check_rules(root, sections, reading.mistakes)
    reading.mistakes.settle()
    name = sections.get("fleet").leaf("name")
    declared = str(name.value) if name else None
    suites = sorted({one.name for one in reading.references if one.section == SECTION})
    values: dict[str, Any] = plain(sections)
    caches = {name: _cache(root, name, cache) for name, cache in values.get("caches", {}).items()}
    entries = hosts_of(resolved, root, caches)
    joined, tiers = classes.joined(entries, resolver.suites), tiers_of(sections)
    fleet = _fleet(root, values, joined, caches=caches, features=catalogue, tiers=tiers)
    return Inventory(fleet, declared, resolved, classes, tuple(suites), hosts.keys)


def _fleet(root: Path, values: Mapping[str, Any], hosts: Hosts, **declared: Any) -> Fleet:
    """The fleet of these hosts; ``declared`` are fields whose values are made already."""
    said: dict[str, Any] = values.get("fleet", {})
    return Fleet(
        name=said.get("name", _name(root)),
        root=str(root),
        flake=flake_of(root, said.get("flake", ".")),
        hosts=hosts,
        users={name: _user(name, user) for name, user in values.get("users", {}).items()},
        limits=Limits(**values.get("limits", {})),
        builders=values.get("builders", ()),
        rollout=_rollout(values.get("rollout", {})),
        lab_nixpkgs=values.get("lab", {}).get("nixpkgs"),
        nix=settings_of(root, values.get("defaults", {}).get("nix", {})),
        secrets_fetch=values.get("secrets", {}).get("fetch", ()),
        lab_secrets=values.get("lab", {}).get("secrets"),
        secrets_rules=values.get("secrets", {}).get("rules", ()),
        **declared,
    )


def _name(root: Path) -> str:
    """The folder's name, as far as a fleet's name may have such characters."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", root.name).strip("-") or "fleet"


def _cache(root: Path, name: str, values: Mapping[str, Any]) -> Cache:
    said = {key: values[key] for key in values if key != "description"}
    if "secret_key" in said:
        said["secret_key"] = str(root / Path(said["secret_key"]).expanduser())
    return Cache(name, **said)


def _rollout(values: dict[str, Any]) -> RolloutPolicy:
    said = dict(values)
    if "when_spent" in said:
        said["when_spent"] = WhenSpent(said["when_spent"])
    if "stages" in said:
        said["stages"] = tuple(_stage(name, stage) for name, stage in said["stages"].items())
    return RolloutPolicy(**said)


def _stage(name: str, values: Mapping[str, Any]) -> Stage:
    return Stage(name, **{key: values[key] for key in values if key != "description"})


def _user(name: str, values: Mapping[str, Any]) -> User:
    return User(name, **{key: values[key] for key in values if key != "description"})
