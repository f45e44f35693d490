"""One more host in a file's text, believed once it is read back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, assert_never

from orchestrator.core import beneath
from orchestrator.core.errors import RefusedError, StepError, UsageError
from orchestrator.core.host import Fleet
from orchestrator.core.values import replace
from orchestrator.inventory.compose import Mapping, Node, Scalar, Sequence, compose, resolve
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.root import FOLDER, inventory_names
from orchestrator.inventory.sections import MAX_BYTES
from orchestrator.inventory.tree import InventoryError, Mistakes

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SECTION = re.compile(r"^hosts:[ \t]*(?:#[^\n]*)?\r?\n", re.MULTILINE)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class NewHost:
    """What is said of a host that is to be added.

    Attributes:
        profiles: Beside those of its template.
        hardware: What its templates may ask for.
    """

    name: str
    address: str | None = None
    template: str | None = None
    profiles: tuple[str, ...] = ()
    user: str | None = None
    port: int | None = None
    hardware: dict[str, str] = field(default_factory=dict)

    def values(self) -> dict[str, Any]:
        """Give what its entry says, as YAML has it."""
        connect = {"user": self.user, "port": self.port}
        values = {
            "address": self.address,
            "template": self.template,
            "profiles": list(self.profiles),
            "connect": {key: said for key, said in connect.items() if said is not None},
            "hardware": self.hardware,
        }
        return {key: said for key, said in values.items() if said}

    def lines(self, indent: str = "  ") -> list[str]:
        """Write it as it stands below ``hosts:``."""
        below = [f"{indent * 2}{key}: {written(said)}" for key, said in self.values().items()]
        return [f"{indent}{written(self.name)}:", *below]


def insertions(text: str, host: NewHost) -> Iterator[str]:
    """Put a host at the end of each section ``hosts`` that looks like one, in turn."""
    for section in _SECTION.finditer(text):
        yield _insert(text, section.end(), host)


def _insert(text: str, start: int, host: NewHost) -> str:
    """Put a host's lines after the last line of a section that begins at ``start``."""
    newline = "\r\n" if text[:start].endswith("\r\n") else "\n"
    lines = _LINE.findall(text, start)
    length = next((n for n, line in enumerate(lines) if _begins_section(line)), len(lines))
    used = [n for n in range(length) if lines[n].strip() and lines[n][0] in " \t"]
    if used and not lines[used[-1]].endswith("\n"):
        lines[used[-1]] += newline
    entries = [n for n in used if not lines[n].lstrip().startswith("#")]
    indent = _indent(lines[entries[0]]) if entries else "  "
    heads = [n for n in entries if _indent(lines[n]) == indent]
    spaced = len(heads) > 1 and any(not line.strip() for line in lines[heads[-2] : heads[-1]])
    added = [*([""] if spaced else []), *host.lines(indent)]
    at = used[-1] + 1 if used else 0
    lines[at:at] = [line + newline for line in added]
    return text[:start] + "".join(lines)


def _begins_section(line: str) -> bool:
    return bool(line.strip()) and line[0] not in " \t#"


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def written(said: object) -> str:
    """Write a value so that YAML reads it as what it is."""
    if isinstance(said, dict):
        return f"{{{', '.join(f'{key}: {written(one)}' for key, one in said.items())}}}"
    if isinstance(said, list):
        return f"[{', '.join(map(written, said))}]"
    if isinstance(said, str) and _PLAIN.fullmatch(said) and resolve(said) == said:
        return said
    return json.dumps(said, ensure_ascii=False)


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


def amended(root: Path, made: Draft, host: NewHost) -> Draft:
    """Give a draft that was written once more, with more to say of its host.

    Raises:
        UsageError: That cannot be done without harm; the hint is the lines to add by hand.
        InventoryError: The inventory has mistakes as it is.
    """
    now = load(root).fleet
    for text in insertions(made.before.decode(), host):
        whole = Draft(made.file, made.before, text.encode())
        if not _keeps_all(whole, host):
            continue
        after = load(root, {made.file: text}).fleet
        if _without(after, host.name) == _without(now, host.name):
            return Draft(made.file, made.after, whole.after)
    raise _not_added(host, None)


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
    before, after = (said_in(text.decode(), made.file) for text in (made.before, made.after))
    if not isinstance(before, dict) or not isinstance(after, dict):
        return False
    before["hosts"][host.name] = host.values() or None
    return before == after


def said_in(text: str, file: str) -> Any:
    """What a file says, down to descriptions: dictionaries, lists and scalars."""
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
