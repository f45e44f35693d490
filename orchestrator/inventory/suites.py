"""The verification suites that a host has because files of a certain name exist."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.inventory.folder import SUITES as FOLDER
from orchestrator.inventory.folder import own_suites, shared_suites
from orchestrator.inventory.kinds import Reading
from orchestrator.inventory.mistake import Place, quoted
from orchestrator.inventory.tree import Fields, Items, Leaf, Origin

# What kinds.Reference calls a suite: no section declares one, the disk does.
SECTION = "suites"
_LAYER = "convention"


@dataclass(frozen=True, slots=True)
class Suites:
    """The suites that exist on disk, relative to the fleet's root.

    Attributes:
        shared: Paths below ``tests/verify``.
        own: By host, those in ``hosts/NAME/``.
    """

    shared: frozenset[str]
    own: dict[str, tuple[str, ...]]

    @classmethod
    def find(cls, root: Path) -> Suites:
        """Look once which suites there are."""
        return cls(frozenset(shared_suites(root)), own_suites(root))

    def layer(
        self, host: str, templates: list[str], profiles: list[str], features: list[str]
    ) -> Fields:
        """The suites of a host as a layer, from what every host has to what is its own."""
        names = [
            "test_every_host",
            *(f"templates/test_{name}" for name in templates),
            *(f"profiles/test_{name}" for name in profiles),
            *(f"features/test_{name}" for name in features),
        ]
        paths = [f"{FOLDER}/{name.replace('-', '_').replace('.', '_')}.py" for name in names]
        found = [path for path in paths if path in self.shared] + list(self.own.get(host, ()))
        leaves = tuple(Leaf(path, Origin(Place(path), _LAYER)) for path in found)
        return Fields({"verify": Fields({"suites": Items(leaves)})}) if leaves else Fields()


def check_suites(root: Path, reading: Reading) -> None:
    """Note suites that are named and do not exist."""
    named = [reference for reference in reading.references if reference.section == SECTION]
    missing = [reference for reference in named if not (root / reference.name).exists()]
    there = Suites.find(root).shared if missing else frozenset()
    for reference in missing:
        found = f"the suite {quoted(reference.name)}, which does not exist"
        expected = "a file or folder, relative to the fleet's root"
        reading.mistakes.add(reference.place, found, expected, meant=(reference.name, there))
