"""Fold a host's layers into one: built-in, defaults, template, profiles, features, own entry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

from orchestrator.core.host import (
    Absent,
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
)
from orchestrator.inventory.references import chain
from orchestrator.inventory.suites import Suites
from orchestrator.inventory.tree import Fields, Leaf, Origin, Tree, overlay, plain

_BUILT_IN = Origin(None, "built-in")


def built_in(name: str) -> Fields:
    """What holds for a host where the inventory says nothing, taken from the model."""
    host = Host(name=name, attr=name, connect=Connect(address=name))
    seconds = {f.name: getattr(host.deadlines, f.name) for f in fields(Deadlines)}
    verify = {key: getattr(host.verify, key) for key in ("settle", "retries", "interval")}
    return Fields(
        {
            "address": Leaf(name, _BUILT_IN),
            "attr": Leaf(name, _BUILT_IN),
            "connect": Fields({"sudo": Leaf(host.connect.sudo, _BUILT_IN)}),
            "build": Leaf(str(host.build), _BUILT_IN),
            "unsigned_builds": Leaf(host.unsigned_builds.value, _BUILT_IN),
            "system": Leaf(host.system, _BUILT_IN),
            "verify": Fields({key: Leaf(value, _BUILT_IN) for key, value in verify.items()}),
            "deadlines": Fields({key: Leaf(value, _BUILT_IN) for key, value in seconds.items()}),
            "guard": Fields(
                {
                    "confirm": Leaf(host.guard.confirm, _BUILT_IN),
                    "health": Leaf(host.guard.health, _BUILT_IN),
                    "failed_units": Leaf(host.guard.failed_units.value, _BUILT_IN),
                    "last_resort": Leaf(host.guard.last_resort.value, _BUILT_IN),
                }
            ),
            "preflight": Fields(
                {
                    "store_margin": Leaf(host.preflight.store_margin, _BUILT_IN),
                    "clock_skew": Leaf(host.preflight.clock_skew, _BUILT_IN),
                }
            ),
            "absent": Leaf(host.absent.value, _BUILT_IN),
            "absent_expiry": Leaf(host.absent_expiry, _BUILT_IN),
        }
    )


@dataclass(slots=True)
class Resolver:
    """Resolves the hosts of one inventory; hosts of one make share what is below their entry.

    Attributes:
        sections: The inventory's sections, free of mistakes.
        suites: The verification suites on disk.
    """

    sections: Fields
    suites: Suites
    _below: dict[tuple[tuple[str, ...], ...], Fields] = field(default_factory=dict)

    def resolve(self, name: str) -> Fields:
        """Everything that holds for the host ``name``, each value with its origin."""
        entry = self.sections.get("hosts").get(name)
        template = entry.leaf("template")
        templates = self._chain("templates", [str(template.value)] if template else [])
        with_templates = _fold([*self._layers("templates", templates), entry])
        profiles = self._chain("profiles", with_templates.texts("profiles"))
        named = _fold(
            [
                self.sections.get("defaults"),
                *self._layers("templates", templates),
                *self._layers("profiles", profiles),
                entry,
            ]
        )
        features = list(named.texts("features"))
        return _fold(
            [
                built_in(name),
                self.suites.layer(name, templates, profiles, features),
                self._shared(tuple(templates), tuple(profiles), tuple(features)),
                entry,
            ]
        )

    def _shared(self, *names: tuple[str, ...]) -> Fields:
        """The layers between what is built in and a host's entry."""
        if names not in self._below:
            sections = ("templates", "profiles", "features")
            layers = [self.sections.get("defaults")]
            for section, wanted in zip(sections, names, strict=True):
                layers += self._layers(section, wanted)
            self._below[names] = _fold(layers)
        return self._below[names]

    def _layers(self, section: str, names: Iterable[str]) -> list[Fields]:
        return [_settings(self.sections.get(section).get(name)) for name in names]

    def _chain(self, section: str, names: Iterable[str]) -> list[str]:
        entries = self.sections.get(section).entries
        return list(dict.fromkeys(n for name in names for n in chain(name, entries)))


def _settings(layer: Fields) -> Fields:
    """A layer without what is said of the layer itself."""
    about = ("extends", "description")
    return Fields({key: tree for key, tree in layer.entries.items() if key not in about})


def _fold(layers: Iterable[Fields]) -> Fields:
    folded: Tree = Fields()
    for layer in layers:
        folded = overlay(folded, layer)
    assert isinstance(folded, Fields)
    return folded


def to_host(name: str, tree: Fields, caches: Iterable[str] = ()) -> Host:
    """The model's host of a resolved tree."""
    values: dict[str, Any] = plain(tree)
    taken = ("attr", "system", "template", "state_version", "machine_id", "hardware")
    listed = ("profiles", "features", "roles", "tags", "users")
    verify = values["verify"]
    return Host(
        name=name,
        connect=Connect(address=values["address"], **values["connect"]),
        build=_build_site(name, values["build"]),
        substitute=_cache(values.get("substitute", False), caches),
        verify=Verify(**verify),
        deadlines=Deadlines(**values["deadlines"]),
        guard=_guard(values["guard"]),
        preflight=Preflight(**values["preflight"]),
        unsigned_builds=UnsignedBuilds(values["unsigned_builds"]),
        absent=Absent(values["absent"]),
        absent_expiry=values["absent_expiry"],
        **{key: values[key] for key in (*taken, *listed) if key in values},
    )


def _guard(values: dict[str, Any]) -> Guard:
    words = {
        "failed_units": NewlyFailed(values["failed_units"]),
        "last_resort": LastResort(values["last_resort"]),
    }
    return Guard(**{**values, **words})


def _cache(said: bool | str, caches: Iterable[str]) -> str | None:
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
