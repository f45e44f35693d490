"""Read every file and join their sections into one document."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.core.lines import split_lines
from orchestrator.inventory import files
from orchestrator.inventory.compose import compose
from orchestrator.inventory.declaration import DOCUMENT, SINGLE
from orchestrator.inventory.folder import FOLDER
from orchestrator.inventory.kinds import Reading
from orchestrator.inventory.mistake import Mistakes, Place, quoted
from orchestrator.inventory.tree import Fields

EXAMPLE = "hosts:\n  web1:\n    address: 10.0.0.5\n"


def read_sections(root: Path, reading: Reading, drafts: Mapping[str, str]) -> tuple[Fields, bool]:
    """Read the inventory below ``root``; a draft counts in the place of its file.

    Returns:
        The sections of all files, and whether every file could be read to its end.
    """
    joined = Fields()
    complete = True
    for file, found in files.texts(root, reading.mistakes):
        text = drafts.get(file, found)
        node = compose(text, file, reading.mistakes) if text is not None else None
        tree = DOCUMENT.read(node, reading) if node is not None else None
        if isinstance(tree, Fields):
            _join(joined, tree, reading.mistakes)
        else:
            complete = False
    # With other mistakes, hosts may be missing because of them.
    if not reading.mistakes.kept and not joined.get("hosts").keys:
        _note_no_hosts(joined, reading.mistakes)
    return joined, complete


def _join(joined: Fields, tree: Fields, mistakes: Mistakes) -> None:
    for section, below in tree.entries.items():
        place = tree.keys[section]
        if section not in SINGLE and isinstance(below, Fields):
            _join_entries(section, joined, below, mistakes)
        elif section in joined.keys:
            found = f"the section {quoted(section)} a second time"
            mistakes.add(place, found, "it in one file only", also=joined.keys[section])
        else:
            joined.entries[section] = below
        joined.keys.setdefault(section, place)


def _join_entries(section: str, joined: Fields, below: Fields, mistakes: Mistakes) -> None:
    there = joined.entries.setdefault(section, Fields())
    assert isinstance(there, Fields)
    for name, place in below.keys.items():
        if name in there.keys:
            found = f"the {section.removesuffix('s')} {quoted(name)} a second time"
            mistakes.add(place, found, "each name once, over all files", also=there.keys[name])
            continue
        there.keys[name] = place
        if name in below.entries:
            there.entries[name] = below.entries[name]


def _note_no_hosts(joined: Fields, mistakes: Mistakes) -> None:
    place = joined.keys.get("hosts", Place(f"{FOLDER}/"))
    shown = "".join(f"\n      {line}" for line in split_lines(EXAMPLE))
    expected = f"at least one, such as these three lines in {FOLDER}/hosts.yaml:{shown}"
    mistakes.add(place, "no hosts", expected)
