"""Lay what holds for a host on one another: what is built in, its makes, its own entry."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.inventory.built_in import built_in, named
from orchestrator.inventory.features import ABOUT, Choice, Features, tier_layers
from orchestrator.inventory.references import Suites
from orchestrator.inventory.tree import Fields, Tree, chain, overlay


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
    _chains: dict[tuple[str, ...], list[str]] = field(default_factory=dict)
    _below: dict[tuple[tuple[str, ...], ...], Fields] = field(default_factory=dict)

    def resolve(self, name: str) -> Fields:
        """Everything that holds for the host ``name``, each value with its origin."""
        entry = self.sections.get("hosts").get(name)
        template = entry.leaf("template")
        templates = self._chain("templates", (str(template.value),) if template else ())
        said = [*(self.sections.get("templates").get(one) for one in templates), entry]
        profiles = self._chain("profiles", _texts(said, "profiles"))
        layers = self._named(templates, profiles)
        chosen = self.features.resolve(self._choice([*layers, entry]))
        features = chosen.texts("features")
        below = self._shared(
            tuple(templates), tuple(profiles), features, self.suites.own.get(name, ())
        )
        holds = Fields({**below.entries, **named(name)})
        return _fold([holds, _settings(entry), chosen])

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
        """What holds below a host's entry: all but its own name.

        Args:
            names: Its templates, profiles and features, and the suites of its own.
        """
        if names not in self._below:
            *sections, own = names
            layers = [built_in(), self.suites.layer(own, *sections)]
            layers.append(_settings(self.sections.get("defaults")))
            for section, wanted in zip(
                ("templates", "profiles", "features"), sections, strict=True
            ):
                layers += self._layers(section, wanted)
            self._below[names] = _fold(layers)
        return self._below[names]

    def _layers(self, section: str, names: Iterable[str]) -> list[Fields]:
        return [_settings(self.sections.get(section).get(name)) for name in names]

    def _chain(self, section: str, names: tuple[str, ...]) -> list[str]:
        if (found := self._chains.get((section, *names))) is None:
            entries = self.sections.get(section).entries
            found = list(dict.fromkeys(n for name in names for n in chain(name, entries)))
            self._chains[section, *names] = found
        return found


_ABOUT = frozenset(("extends", "description", "features")) | ABOUT


def _settings(layer: Fields) -> Fields:
    """A layer without what is said of the layer itself."""
    return Fields({key: tree for key, tree in layer.entries.items() if key not in _ABOUT})


def _texts(layers: Iterable[Fields], key: str) -> tuple[str, ...]:
    """The texts that layers' lists of one key come to."""
    return tuple(dict.fromkeys(text for layer in layers for text in layer.texts(key)))


def _fold(layers: Iterable[Fields]) -> Fields:
    folded: Tree = Fields()
    for layer in layers:
        folded = overlay(folded, layer)
    assert isinstance(folded, Fields)
    return folded
