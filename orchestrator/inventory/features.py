"""Features in an inventory: how they are declared, chosen with settings, and resolved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.catalogue import Feature, Needs, Tier
from orchestrator.core.resolution import Chain, Conflict, Resolution, cycles, resolve
from orchestrator.core.risk import Risk
from orchestrator.inventory import compose
from orchestrator.inventory.compose import Node, Scalar
from orchestrator.inventory.containers import (
    MAX_ITEMS,
    NAME_PATTERN,
    Key,
    ListOf,
    Record,
    reference,
)
from orchestrator.inventory.kinds import Facts, Integer, JsonSchema, Reading, Size, Text, Word
from orchestrator.inventory.settings import Schemas
from orchestrator.inventory.tree import (
    Fields,
    Items,
    Leaf,
    Mistakes,
    Origin,
    Position,
    Tree,
    chain,
    overlay,
    plain,
    quoted,
)

REMOVE = "remove"
FEATURE_NAME = Text("a feature's name", NAME_PATTERN, reserved=(REMOVE,))
_FEATURES = ListOf(reference("features"))
_TEXT = Text("a text", r"[^\x00-\x08\x0b-\x1f\x7f]*")
_WORD = r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which features a layer has: their names, or a mapping from them to their settings.

    As a tree: ``named`` is a list, ``settings`` a mapping, ``remove`` a list.
    """

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a list or a mapping."""
        if not isinstance(node, compose.Mapping):
            named = _FEATURES.read(node, reading)
            return None if named is None else Fields({"named": named})
        if len(node.entries) > MAX_ITEMS:
            reading.wrong(node, f"at most {MAX_ITEMS} features", f"{len(node.entries)} features")
            return None
        names = {name: below for name, below in node.entries.items() if name != REMOVE}
        said = tuple(Scalar(name, name, node.keys[name]) for name in names)
        settings = {name: Facts().read(below, reading) for name, below in names.items()}
        trees = {
            "named": _FEATURES.read(compose.Sequence(said, node.place), reading),
            "settings": _known(settings),
            REMOVE: _FEATURES.read(node.entries[REMOVE], reading) if REMOVE in node.keys else None,
        }
        chosen = _known(trees)
        for leaf in chosen.items(REMOVE):
            if (name := str(leaf.value)) in names and leaf.origin.place is not None:
                reading.mistakes.add(
                    leaf.origin.place,
                    f"the feature {quoted(name)} is given and removed by one and the same entry",
                    "one of both",
                    also=node.keys[name],
                )
        return chosen

    def schema(self) -> JsonSchema:
        """An array of names, or an object of settings."""
        settings = {
            "type": "object",
            "propertyNames": {"type": "string", "pattern": f"^(?:{NAME_PATTERN})$"},
            "properties": {REMOVE: _FEATURES.schema()},
            "additionalProperties": {"type": ["object", "null"]},
            "maxProperties": MAX_ITEMS,
        }
        return {"anyOf": [_FEATURES.schema(), settings]}


def _known(trees: Mapping[str, Tree | None]) -> Fields:
    """Leave out what is a mistake, which is noted already."""
    return Fields({name: tree for name, tree in trees.items() if tree is not None})


_NEEDS = Key(
    "needs",
    Record(
        "needs",
        (
            Key("memory", Size(), "Memory, an estimate; summed over what a host has."),
            Key("cpus", Integer(1, 4096), "Logical CPUs."),
            Key("disk", Size(), "The size of the largest disk, an estimate; summed likewise."),
            Key("gpu", Text("a vendor such as nvidia, or any", _WORD), "A GPU of that vendor."),
            Key(
                "capability",
                ListOf(Text("a capability such as kvm", _WORD)),
                "What the machine can do, such as kvm, iommu, avx2, ecc or tpm2.",
            ),
        ),
    ),
    "What a machine must have for it.",
)
CATALOGUED = (
    Key("requires", _FEATURES, "Features that come with it."),
    Key("conflicts", _FEATURES, "Features that no host can have beside it."),
    Key("one_of", Text("a group's name", NAME_PATTERN), "A group of which a host has one."),
    _NEEDS,
    Key("risk", Word(tuple(risk.value for risk in Risk)), "How risky it is, at least."),
    Key("because", _TEXT, "Why it is so risky."),
    Key("mitigations", ListOf(_TEXT), "What makes it less risky."),
    Key("settings", Facts(), "Its settings on every host that has it, where no layer says more."),
)
ABOUT = frozenset(key.name for key in CATALOGUED)
"""What is said of a feature itself, and is no setting of a host's."""

TIER = Record(
    "a tier",
    (
        Key(
            "extends", reference("tiers", "another tier"), "Another one whose features it has too."
        ),
        Key("features", Chosen(), "Its features."),
        _NEEDS,
        Key("description", _TEXT, "For people."),
    ),
)


def catalogue_of(sections: Fields) -> dict[str, Feature]:
    """The features that an inventory declares."""
    entries: dict[str, Any] = plain(sections.get("features"))
    return {name: _feature(name, entries.get(name, {})) for name in sections.get("features").keys}


def _feature(name: str, said: Mapping[str, Any]) -> Feature:
    keys = ("description", "requires", "conflicts", "one_of", "because", "mitigations")
    return Feature(
        name,
        needs=Needs(**said.get("needs", {})),
        risk=Risk(said["risk"]) if "risk" in said else None,
        **{key: said[key] for key in keys if key in said},
    )


def tiers_of(sections: Fields) -> dict[str, Tier]:
    """The tiers that an inventory declares, in their order."""
    entries = sections.get("tiers").entries
    return {name: _tier(name, sections) for name in entries}


def _tier(name: str, sections: Fields) -> Tier:
    entry = sections.get("tiers").get(name)
    choice = Choice.of(tier_layers(name, sections))
    description = entry.leaf("description")
    return Tier(
        name,
        description=str(description.value) if description else "",
        features=tuple(choice.named),
        needs=Needs(**plain(entry.get("needs"))),
    )


def tier_layers(name: str, sections: Fields) -> list[Fields]:
    """A tier's layer, after those of what it extends."""
    entries = sections.get("tiers").entries
    return [sections.get("tiers").get(one) for one in chain(name, entries)]


@dataclass(slots=True)
class Choice:
    """Which features the layers give, so far.

    Attributes:
        named: By name, in order.
        settings: By feature.
        removed: Those that a layer takes away, and none above it gives again.
    """

    named: dict[str, Leaf] = field(default_factory=dict)
    settings: dict[str, Tree] = field(default_factory=dict)
    removed: dict[str, Leaf] = field(default_factory=dict)

    @classmethod
    def of(cls, layers: Iterable[Fields]) -> Choice:
        """What layers give, the lowest first."""
        choice = cls()
        for layer in layers:
            choice.add(layer.get("features"))
        return choice

    def add(self, chosen: Fields) -> None:
        """Take what a layer chooses, as :class:`Chosen` has read it."""
        for leaf in chosen.items(REMOVE):
            self.removed[str(leaf.value)] = leaf
            self.named.pop(str(leaf.value), None)
            self.settings.pop(str(leaf.value), None)
        for leaf in chosen.items("named"):
            self.removed.pop(str(leaf.value), None)
            self.named.setdefault(str(leaf.value), leaf)
        for name, tree in chosen.get("settings").entries.items():
            self.settings[name] = overlay(self.settings.get(name), tree)


@dataclass(slots=True)
class Features:
    """Resolves what hosts have; hosts that choose the same share the work.

    Attributes:
        sections: The inventory's sections, free of mistakes.
    """

    sections: Fields
    schemas: Schemas
    mistakes: Mistakes
    catalogue: Mapping[str, Feature]
    _known: dict[tuple[tuple[str, ...], ...], Resolution] = field(default_factory=dict)

    def resolve(self, choice: Choice) -> Fields:
        """Give the features with the reasons as origins, and their settings; note what is wrong."""
        key = (tuple(choice.named), tuple(choice.removed))
        if (found := self._known.get(key)) is None:
            found = self._known[key] = resolve(self.catalogue, *key)
        for conflict in found.conflicts:
            self._note_conflict(conflict, choice)
        for refused in found.refused:
            self._note_refused(refused, choice)
        leaves = (Leaf(name, _origin(way, choice)) for name, way in found.chains.items())
        entries: dict[str, Tree] = {"features": Items(tuple(leaves))}
        if settings := self._settings(found.chains, choice):
            entries["settings"] = Fields(settings)
        return Fields(entries)

    def _settings(self, chains: Mapping[str, Chain], choice: Choice) -> dict[str, Tree]:
        found: dict[str, Tree] = {}
        for name, way in chains.items():
            everywhere = self.sections.get("features").get(name).get("settings")
            said = overlay(everywhere, choice.settings.get(name, Fields()))
            assert isinstance(said, Fields)
            settings = self.schemas.settings(name, said, _place(way, choice))
            if settings is not None:
                found[name] = settings
        return found

    def _note_conflict(self, conflict: Conflict, choice: Choice) -> None:
        ends = sorted((conflict.one, conflict.other), key=lambda way: _place(way, choice))
        one, other = (_with_reason(way) for way in ends)
        of = f", both of the group {quoted(conflict.group)}" if conflict.group else ""
        self.mistakes.add(
            _place(ends[1], choice),
            f"the feature {other} conflicts with {one}{of}",
            "one of them; a host drops what its template gives by `features: {remove: […]}`",
            also=_place(ends[0], choice),
        )

    def _note_refused(self, way: Chain, choice: Choice) -> None:
        removed = choice.removed[way[-1]]
        assert removed.origin.place is not None
        self.mistakes.add(
            removed.origin.place,
            f"the feature {quoted(way[-1])} is removed, and {reason(way)}",
            f"{quoted(way[0])} removed too, or neither of them",
            also=_place(way, choice),
        )


def reason(way: Chain) -> str:
    """Say by what a feature comes, the nearest first; nothing of one that is given."""
    return "".join(f"required by {name}, " for name in way[-2::-1]).removesuffix(", ")


def _with_reason(way: Chain) -> str:
    return quoted(way[-1]) + (f" ({reason(way)})" if len(way) > 1 else "")


def _origin(way: Chain, choice: Choice) -> Origin:
    given = choice.named[way[0]].origin
    return given if len(way) == 1 else Origin(given.place, reason(way))


def _place(way: Chain, choice: Choice) -> Position:
    place = choice.named[way[0]].origin.place
    assert place is not None
    return place


def check_catalogue(sections: Fields, catalogue: Mapping[str, Feature], mistakes: Mistakes) -> None:
    """Note what no host could ever have: cycles, and features that conflict with their own."""
    entries = sections.get("features")
    for circle in cycles({name: feature.requires for name, feature in catalogue.items()}):
        found = f"a cycle: {' → '.join(map(quoted, circle))}"
        place = _requires(entries, circle[0], circle[1])
        mistakes.add(place, found, "an end to what requires what")
    if mistakes.kept:
        return
    for name in catalogue:
        for conflict in resolve(catalogue, (name,)).conflicts:
            one, other = (" → ".join(map(quoted, way)) for way in (conflict.one, conflict.other))
            found = f"the feature {quoted(name)} comes to two that conflict: {one}, and {other}"
            mistakes.add(entries.keys[name], found, "one of them, or none that requires both")


def _requires(entries: Fields, name: str, required: str) -> Position:
    leaves = entries.get(name).items("requires")
    places = (leaf.origin.place for leaf in leaves if leaf.value == required)
    return next((place for place in places if place), entries.keys[name])
