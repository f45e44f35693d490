"""The inventory with one more host: lines put into a file, which keeps every comment it has.

Where the lines belong is a guess, and it counts only if the inventory is then read as exactly what
it was, and the host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, assert_never

from orchestrator.core import beneath
from orchestrator.core.errors import RefusedError, StepError, UsageError
from orchestrator.core.host import Fleet
from orchestrator.inventory.compose import compose
from orchestrator.inventory.files import MAX_BYTES
from orchestrator.inventory.folder import FOLDER, inventory_names
from orchestrator.inventory.host_lines import NewHost, insertions
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.mistake import InventoryError, Mistakes
from orchestrator.inventory.node import Mapping, Node, Scalar, Sequence


@dataclass(frozen=True, slots=True)
class Draft:
    """A file of the inventory with one more host.

    Attributes:
        file: Relative to the fleet's root.
        before: What the file holds.
        after: What it is to hold.
    """

    file: str
    before: bytes
    after: bytes


def draft(root: Path, host: NewHost) -> Draft:
    """Find the file that a host can be added to; nothing is written.

    Raises:
        UsageError: The host is there already, or cannot be added without harm; the hint is the
            lines to add by hand.
        InventoryError: The inventory has mistakes as it is.
    """
    before = load(root)
    if host.name in before.fleet.hosts:
        raise UsageError(
            f"there is a host {host.name} already",
            hint=f"what is said of it: orchestrator inventory show {host.name}",
        )
    wrong: InventoryError | None = None
    for made in _drafts(root, host):
        if not _keeps_all(made, host):
            continue
        try:
            after = load(root, {made.file: made.after.decode()})
        except InventoryError as error:
            wrong = wrong or error
            continue
        if _is_one_more(before, after, host):
            return made
    raise _not_added(host, wrong)


def _not_added(host: NewHost, wrong: InventoryError | None) -> UsageError:
    if wrong is not None:
        told = "".join(f"\n  {one}" for one in wrong.mistakes)
        return UsageError(
            f"{host.name} was not added: the inventory would not be right with it{told}",
            hint="nothing was written; say it otherwise",
        )
    return UsageError(
        f"{host.name} was not added: no file is so plain that lines can be put into its `hosts` "
        "without harm",
        hint="\n".join((f"add it by hand, in {FOLDER}/:", "hosts:", *host.lines())),
    )


def write(root: Path, made: Draft) -> None:
    """Write a draft in one go, unless the file changed meanwhile.

    Raises:
        RefusedError: It did; nothing was written.
        StepError: It cannot be written; it is as it was.
    """
    try:
        if beneath.read(root, made.file, MAX_BYTES) != made.before:
            raise RefusedError(
                f"{made.file} was changed by somebody else meanwhile; nothing was written",
                hint="do it again",
            )
        beneath.replace(root, made.file, made.after)
    except OSError as error:
        raise StepError(f"{made.file} cannot be written: {error.strerror}") from error


def _is_one_more(before: Inventory, after: Inventory, host: NewHost) -> bool:
    """Whether the fleet is exactly what it was, and the new host, reached as was said."""
    added = after.fleet.hosts.get(host.name)
    if added is None or added.connect.address != (host.address or host.name):
        return False
    return _without(after.fleet, host.name) == before.fleet


def _keeps_all(made: Draft, host: NewHost) -> bool:
    """Whether the file says all that it said, down to descriptions, and of the host what it should.

    A fleet does not have all of that: a text that ends with blank lines would grow.
    """
    before, after = (_said(text.decode(), made.file) for text in (made.before, made.after))
    if not isinstance(before, dict) or not isinstance(after, dict):
        return False
    before["hosts"][host.name] = host.values() or None
    return before == after


def _said(text: str, file: str) -> Any:
    node = compose(text, file, Mistakes())
    return None if node is None else _plain(node)


def _plain(node: Node) -> Any:
    match node:
        case Scalar():
            return node.value
        case Sequence():
            return [_plain(one) for one in node.items]
        case Mapping():
            return {key: _plain(one) for key, one in node.entries.items()}
        case _:
            assert_never(node)


def _without(fleet: Fleet, name: str) -> Fleet:
    return replace(fleet, hosts={key: one for key, one in fleet.hosts.items() if key != name})


def _drafts(root: Path, host: NewHost) -> Iterator[Draft]:
    for name in inventory_names(root):
        file = f"{FOLDER}/{name}"
        before = beneath.read(root, file, MAX_BYTES)
        for after in insertions(before.decode(), host):
            yield Draft(file, before, after.encode())
