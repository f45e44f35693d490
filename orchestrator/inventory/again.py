"""Read an inventory that may be known already: only what is new of it, or is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Set
from itertools import pairwise
from pathlib import Path

from orchestrator.core.errors import UsageError
from orchestrator.inventory.fleet_json import PATH, is_stale, refresh
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.root import Known, key_of, known, remember
from orchestrator.inventory.sections import texts
from orchestrator.inventory.tree import Mistakes, Resolved

_WORTH_IT = 50
"""Entries of an inventory, from which on reading one alone is the quicker way."""


def read(root: Path) -> Inventory:
    """Read the inventory, and keep it for whoever looks at it next.

    Raises:
        UsageError: It has mistakes.
    """
    key = key_of(root)
    inventory = load(root)
    remember(root, inventory, key, fresh=not is_stale(root, inventory))
    return inventory


def generate(root: Path) -> bool:
    """Write ``fleet.json`` where it is not as the inventory says; whether it was written.

    Raises:
        UsageError: The inventory has mistakes, or the file cannot be written.
    """
    found = known(root)
    if found is not None and found.fresh and (root / PATH).exists():
        return False
    key = key_of(root)
    inventory = load(root)
    written = refresh(root, inventory, frozen=False, create=True)
    remember(root, inventory, key)
    return written


def origins(root: Path, host: str) -> tuple[Resolved, ...]:
    """Each value of a host and where it came from.

    Of an inventory that is known to have no mistake the host alone is read: the lines that say
    something of other hosts are left empty, so that all that is left keeps its place.

    Raises:
        UsageError: There is no such host, or the inventory has mistakes.
    """
    found = known(root)
    if found is not None and len(found.places) >= _WORTH_IT and (entry := _entry(found, host)):
        # What a host says of others, such as in a setting, is a mistake where they are missing.
        with contextlib.suppress(UsageError):
            values = _alone(root, found, entry).origins(host)
            if found.key == key_of(root):
                return values
    return read(root).origins(host) if found is None else load(root).origins(host)


def _entry(found: Known, host: str) -> str | None:
    """The entry that says what a host is: its own, or its class's."""
    if host in found.places:
        return host
    one = found.fleet.hosts.get(host)
    return one.of if one is not None else None


def _alone(root: Path, found: Known, entry: str) -> Inventory:
    lines: dict[str, list[tuple[int, str]]] = {}
    for name, (file, line) in found.places.items():
        lines.setdefault(file, []).append((line, name))
    drafts = dict(_drafts(root, lines, found.builders | {entry}))
    return load(root, drafts)


def _drafts(
    root: Path, lines: Mapping[str, list[tuple[int, str]]], wanted: Set[str]
) -> Iterator[tuple[str, str]]:
    for file, text in texts(root, Mistakes()):
        # What an anchor stands for may be said in one host's entry, and meant in another one's.
        if text is not None and file in lines and "&" not in text:
            yield file, _without_others(text, sorted(lines[file]), wanted)


def _without_others(text: str, places: list[tuple[int, str]], wanted: Set[str]) -> str:
    """Empty the lines of all entries but some, and but the last: who knows where that ends.

    Args:
        text: A file of the inventory, that has no mistake.
        places: The lines at which its entries begin, counted from 1, and their names.
        wanted: The names of those that stay.
    """
    rows = text.split("\n")
    begin = [(line - 1, name) for line, name in places]
    if not all(_begins(rows, line, name) for line, name in begin):
        return text
    for (line, name), (behind, _) in pairwise(begin):
        if name not in wanted:
            rows[line:behind] = [""] * (behind - line)
    return "\n".join(rows)


def _begins(rows: list[str], line: int, name: str) -> bool:
    """Whether an entry has its line, and what is before it on its own."""
    said = rows[line].lstrip(" ") if line < len(rows) else ""
    return said.startswith((f"{name}:", f'"{name}":', f"'{name}':"))
