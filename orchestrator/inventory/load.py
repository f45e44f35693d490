"""Fold each host's layers: YAML goes in, a fleet comes out, or every mistake."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.errors import UsageError
from orchestrator.core.host import (
    BuildOn,
    BuildSite,
    Cache,
    Connect,
    Deadlines,
    Fleet,
    Guard,
    Host,
    LastResort,
    Limits,
    NewlyFailed,
    Preflight,
    UnsignedBuilds,
    User,
    Verify,
    WhenUnreachable,
)
from orchestrator.core.members import Hosts
from orchestrator.core.rollout import RolloutPolicy, Stage, WhenSpent
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.inventory.built_in import built_in
from orchestrator.inventory.classes import Classes
from orchestrator.inventory.declaration import HOST
from orchestrator.inventory.features import (
    ABOUT,
    Choice,
    Features,
    catalogue_of,
    check_catalogue,
    tier_layers,
    tiers_of,
)
from orchestrator.inventory.kinds import Reading
from orchestrator.inventory.nix_keys import check_flakes, check_rules, flake_of, settings_of
from orchestrator.inventory.references import (
    SECTION,
    Suites,
    check_extends,
    check_references,
    check_suites,
)
from orchestrator.inventory.risk_keys import risk_of
from orchestrator.inventory.sections import read_sections
from orchestrator.inventory.settings import Schemas
from orchestrator.inventory.tree import (
    Fields,
    Mistakes,
    Position,
    Resolved,
    Tree,
    as_json,
    chain,
    flatten,
    nearest,
    overlay,
    plain,
    quoted,
)


@dataclass(slots=True)
class Resolver:
    """Resolves the hosts of one inventory; hosts of one make share what is below their entry.

    Attributes:
        sections: The inventory's sections, free of mistakes.
        suites: The verification suites on disk.
        features: Resolves the features.
    """

    sections: Fields
    suites: Suites
    features: Features
    _below: dict[tuple[tuple[str, ...], ...], Fields] = field(default_factory=dict)

    def resolve(self, name: str) -> Fields:
        """Everything that holds for the host ``name``, each value with its origin."""
        entry = self.sections.get("hosts").get(name)
        template = entry.leaf("template")
        templates = self._chain("templates", [str(template.value)] if template else [])
        with_templates = _fold([*self._layers("templates", templates), entry])
        profiles = self._chain("profiles", with_templates.texts("profiles"))
        layers = self._named(templates, profiles)
        chosen = self.features.resolve(self._choice([*layers, entry]))
        features = list(chosen.texts("features"))
        return _fold(
            [
                built_in(name),
                self.suites.layer(name, templates, profiles, features),
                self._shared(tuple(templates), tuple(profiles), tuple(features)),
                _settings(entry),
                chosen,
            ]
        )

    def _named(self, templates: Iterable[str], profiles: Iterable[str]) -> list[Fields]:
        """The layers that may choose features, below a host's entry."""
        entries = self.sections.get
        return [
            entries("defaults"),
            *(entries("templates").get(name) for name in templates),
            *(entries("profiles").get(name) for name in profiles),
        ]

    def _choice(self, layers: Sequence[Fields]) -> Choice:
        """What the layers choose: the tier first that the uppermost of them names."""
        tiers = [leaf for layer in layers if (leaf := layer.leaf("tier"))]
        first, *others = layers
        bundle = tier_layers(str(tiers[-1].value), self.sections) if tiers else []
        return Choice.of([first, *bundle, *others])

    def _shared(self, *names: tuple[str, ...]) -> Fields:
        """The layers between what is built in and a host's entry."""
        if names not in self._below:
            sections = ("templates", "profiles", "features")
            layers = [_settings(self.sections.get("defaults"))]
            for section, wanted in zip(sections, names, strict=True):
                layers += self._layers(section, wanted)
            self._below[names] = _fold(layers)
        return self._below[names]

    def _layers(self, section: str, names: Iterable[str]) -> list[Fields]:
        return [_settings(self.sections.get(section).get(name)) for name in names]

    def _chain(self, section: str, names: Iterable[str]) -> list[str]:
        entries = self.sections.get(section).entries
        return list(dict.fromkeys(n for name in names for n in chain(name, entries)))


_ABOUT = frozenset(("extends", "description", "features")) | ABOUT


def _settings(layer: Fields) -> Fields:
    """A layer without what is said of the layer itself."""
    return Fields({key: tree for key, tree in layer.entries.items() if key not in _ABOUT})


def _fold(layers: Iterable[Fields]) -> Fields:
    folded: Tree = Fields()
    for layer in layers:
        folded = overlay(folded, layer)
    assert isinstance(folded, Fields)
    return folded


def to_host(name: str, tree: Fields, root: Path, caches: Iterable[str] = ()) -> Host:
    """The model's host of a resolved tree, whose paths are relative to ``root``."""
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
    entries = {name: to_host(name, tree, root, caches) for name, tree in resolved.items()}
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
