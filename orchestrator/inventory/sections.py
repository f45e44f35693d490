"""The files of an inventory, bounded, and joined."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from orchestrator.core.units import split_lines
from orchestrator.inventory.compose import Mapping as YamlMapping
from orchestrator.inventory.compose import Node, compose
from orchestrator.inventory.compose import Sequence as YamlSequence
from orchestrator.inventory.declaration import DOCUMENT, SINGLE
from orchestrator.inventory.kinds import Reading
from orchestrator.inventory.root import FOLDER, inventory_names
from orchestrator.inventory.tree import Fields, Mistakes, Position, quoted

MAX_BYTES = 1 << 20
# What https://yaml.org/spec/1.2.2/#51-character-set leaves out, without what ends a line: named,
# not "all but", which takes long to compile.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def texts(root: Path, mistakes: Mistakes) -> Iterator[tuple[str, str | None]]:
    """Each file's name relative to ``root`` and its text, or ``None`` where it cannot be read."""
    try:
        names = inventory_names(root)
    except FileNotFoundError:
        return
    except OSError as error:
        found = f"unreadable ({error.strerror})"
        mistakes.add(Position(f"{FOLDER}/"), found, "a folder with YAML files")
        return
    for name in names:
        file = f"{FOLDER}/{name}"
        content = _content(root, file, mistakes)
        yield file, None if content is None else decoded(content, file, mistakes)


def _content(root: Path, file: str, mistakes: Mistakes) -> bytes | None:
    """Read a file without ever waiting for one that is no file."""
    path = root / file
    try:
        if not path.resolve().is_relative_to(root.resolve()):
            mistakes.add(Position(file), "a link out of the fleet", "a regular file")
            return None
        with open(path, "rb", opener=_open) as stream:
            return _bounded(stream, file, mistakes)
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "a loop of links"
        mistakes.add(Position(file), f"unreadable ({reason})", "a readable regular file")
        return None


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _bounded(stream: BinaryIO, file: str, mistakes: Mistakes) -> bytes | None:
    status = os.fstat(stream.fileno())
    if not stat.S_ISREG(status.st_mode):
        mistakes.add(Position(file), "no regular file", "a regular file")
        return None
    # The size may lie (the file grows, or is a kernel's), so the read is bounded too.
    content = stream.read(MAX_BYTES + 1) if status.st_size <= MAX_BYTES else b""
    size = max(status.st_size, len(content))
    if size > MAX_BYTES:
        expected = (
            "at most 1 MiB: split it, any number of files is read; many equal machines are one "
            "entry, by `count:` or `from:`"
        )
        mistakes.add(Position(file), f"a file of {size} bytes", expected)
        return None
    return content


def decoded(content: bytes, file: str, mistakes: Mistakes) -> str | None:
    """A file's text; ``None`` where it is none, which is noted."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"the byte 0x{content[error.start]:02x}, which is not UTF-8"
        mistakes.add(Position(file, line), found, "a text file in UTF-8")
        return None
    if match := _CONTROL.search(text):
        line = text.count("\n", 0, match.start()) + 1
        column = match.start() - text.rfind("\n", 0, match.start())
        found = f"the control character U+{ord(match.group()):04X}"
        mistakes.add(Position(file, line, column), found, "a text file")
        return None
    return text


_GROUP = frozenset({"hosts", "children", "vars"})


def others_tool(text: str) -> str:
    """Which other tool's file a YAML text is; empty where it is none that is known."""
    node = compose(text, "", Mistakes())
    return _tool_of(node) if node is not None else ""


def _tool_of(node: Node) -> str:
    """See https://docs.ansible.com/ansible/latest/inventory_guide/intro_inventory.html."""
    match node:
        case YamlMapping(entries=entries):
            ours = {key.name for key in DOCUMENT.keys}
            groups = [
                isinstance(below, YamlMapping) and bool(below.entries.keys() & _GROUP)
                for name, below in entries.items()
                if name not in ours
            ]
            return "an inventory of Ansible's" if any(groups) or "plugin" in entries else ""
        case YamlSequence(items=(YamlMapping(entries=entries), *_)):
            return "a playbook of Ansible's" if "hosts" in entries else ""
        case _:
            return ""


EXAMPLE = "hosts:\n  web1:\n    address: 10.0.0.5\n"


def read_sections(root: Path, reading: Reading, drafts: Mapping[str, str]) -> tuple[Fields, bool]:
    """Read the inventory below ``root``; a draft counts in the place of its file, or beside them.

    Returns:
        The sections of all files, and whether every file could be read to its end.
    """
    joined = Fields()
    complete = True
    there = dict(texts(root, reading.mistakes))
    for file, text in {**there, **drafts}.items():
        node = compose(text, file, reading.mistakes) if text is not None else None
        if node is not None and (tool := _tool_of(node)):
            expected = f"this tool's own files in {FOLDER}/; orchestrator init puts them elsewhere"
            reading.mistakes.add(Position(file), tool, expected)
            node = None
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
    place = joined.keys.get("hosts", Position(f"{FOLDER}/"))
    shown = "".join(f"\n      {line}" for line in split_lines(EXAMPLE))
    expected = f"at least one, such as these three lines in {FOLDER}/hosts.yaml:{shown}"
    mistakes.add(place, "no hosts", expected)
