"""Members of a class, read from CSV or JSON: each cell is checked as the YAML's values are."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.members import Member
from orchestrator.core.units import split_lines
from orchestrator.inventory.class_keys import MOST
from orchestrator.inventory.containers import Record
from orchestrator.inventory.declaration import ADDRESS, HOST, HOST_NAME, NAME
from orchestrator.inventory.kinds import Text
from orchestrator.inventory.tree import Mistakes, Position, one_of, printable, quoted


def _texts() -> Mapping[str, Text]:
    """What a column's cells look like."""
    (connect,) = (key.kind for key in HOST.keys if key.name == "connect")
    assert isinstance(connect, Record)
    keys = (*HOST.keys, *connect.keys)
    named = {key.name: key.kind for key in keys if isinstance(key.kind, Text)}
    of_a_host = ("user", "jump", "identity", "machine_id")
    return {"name": HOST_NAME, "address": ADDRESS} | {key: named[key] for key in of_a_host}


_BLANK = " \t"
_TEXTS = _texts()
COLUMNS = (*_TEXTS, "port", "tags")


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    cells: Mapping[str, Any]


@dataclass(slots=True)
class Rows:
    """Reads one file's members.

    Args:
        file: Its name for messages, relative to the fleet's root.
        mistakes: Takes what is wrong, by line.
    """

    file: str
    mistakes: Mistakes
    _read: list[Member] = field(default_factory=list)

    def read(self, text: str) -> tuple[Member, ...]:
        """Read CSV with a header, or JSON: a list of objects; what is wrong is left out and noted.

        CSV is RFC 4180's, whose header names the columns; an empty cell says nothing.
        """
        rows = self._json(text) if text.lstrip()[:1] in ("[", "{") else self._csv(text)
        for row in rows:
            if len(self._read) == MOST:
                self._wrong(row.line, f"more than {MOST} members", "at most that many in a class")
                break
            self._member(row)
        return tuple(self._read)

    def _wrong(self, line: int, found: str, expected: str) -> None:
        self.mistakes.add(Position(self.file, line), found, expected)

    def _csv(self, text: str) -> Iterator[_Row]:
        # With their ends: a cell over two lines is one that is wrong, and not both put together.
        reader = csv.reader((f"{line}\n" for line in split_lines(text)), strict=True)
        header: list[str] | None = None
        try:
            for cells in reader:
                cells = [cell.strip(_BLANK) for cell in cells]
                if not any(cells):
                    continue
                if header is None:
                    header = cells
                    if not self._check_columns(header):
                        return
                elif len(cells) != len(header):
                    found = f"{len(cells)} cells, under a header of {len(header)}"
                    self._wrong(reader.line_num, found, "a cell for each column")
                else:
                    given = zip(header, cells, strict=True)
                    yield _Row(reader.line_num, {key: cell for key, cell in given if cell})
        except csv.Error as error:
            self._wrong(reader.line_num, f"not CSV: {printable(str(error))}", "RFC 4180's CSV")
        if header is None:
            self._wrong(
                1, "nothing", f"a header with {one_of(COLUMNS)}, and a line for each member"
            )

    def _check_columns(self, header: list[str]) -> bool:
        unknown = [column for column in header if column not in COLUMNS]
        for column in unknown:
            found = f"the unknown column {quoted(column)}"
            meant = (column, COLUMNS)
            self.mistakes.add(Position(self.file, 1), found, one_of(COLUMNS), meant=meant)
        twice = sorted({column for column in header if header.count(column) > 1} - {*unknown})
        for column in twice:
            self._wrong(1, f"the column {quoted(column)} a second time", "each column once")
        if "name" not in header:
            self._wrong(1, "no column 'name'", "it")
        return not unknown and not twice and "name" in header

    def _json(self, text: str) -> Iterator[_Row]:
        decoder, at, line, before = (
            json.JSONDecoder(object_pairs_hook=_object),
            text.find("["),
            1,
            0,
        )
        such = '[{"name": "till-1", "address": "10.0.0.5"}]'
        expected = f"a list of objects, each key once in each, such as {such}"
        try:
            if text[:at].strip() or at < 0:
                raise ValueError
            while True:
                empty, at = text[at] == "[", _after_blank(text, at + 1)
                line, before = line + text.count("\n", before, at), at
                if empty and text[at : at + 1] == "]" and not text[at + 1 :].strip():
                    return
                found, at = decoder.raw_decode(text, at)
                if not isinstance(found, dict) or _after_blank(text, at) == len(text):
                    raise ValueError
                at = _after_blank(text, at)
                yield _Row(line, {key: one for key, one in found.items() if one not in (None, "")})
                if text[at] == "]" and not text[at + 1 :].strip():
                    return
                if text[at] != ",":
                    raise ValueError
        except (ValueError, RecursionError):
            self._wrong(line, "not a list of objects in JSON", expected)

    def _member(self, row: _Row) -> None:
        before = len(self.mistakes.kept) + self.mistakes.more
        values = {key: self._cell(row.line, key, cell) for key, cell in row.cells.items()}
        if "name" not in values:
            self._wrong(row.line, "a member without a name", "it")
        if before == len(self.mistakes.kept) + self.mistakes.more:
            values.setdefault("address", values["name"])
            self._read.append(Member(**values, line=row.line))

    def _cell(self, line: int, column: str, cell: Any) -> Any:
        """A cell's value; where it is a mistake, which is noted, whatever."""
        match column:
            case "port":
                return self._port(line, cell)
            case "tags":
                return self._tags(line, cell)
            case _ if (text := _TEXTS.get(column)) is None:
                found, meant = f"the unknown key {quoted(column)}", (column, COLUMNS)
                self.mistakes.add(Position(self.file, line), found, one_of(COLUMNS), meant=meant)
            case _ if not isinstance(cell, str):
                self._wrong(line, f"{column}: {quoted(str(cell))}", f"{text.expected}, as a text")
            case _ if (expected := text.problem(cell)) is not None:
                self._wrong(line, f"{column}: {quoted(cell)}", expected)
        return cell

    def _port(self, line: int, cell: Any) -> int:
        text = str(cell) if type(cell) in (str, int) else ""
        if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535:
            return int(text)
        self._wrong(line, f"port: {quoted(str(cell))}", "a whole number from 1 to 65535")
        return 0

    def _tags(self, line: int, cell: Any) -> tuple[str, ...]:
        """Tags are parted by spaces or semicolons, or are a list of JSON's."""
        tags = cell.replace(";", " ").split() if isinstance(cell, str) else cell
        if not isinstance(tags, list):
            tags = [tags]
        for tag in tags:
            if not isinstance(tag, str) or NAME.problem(tag) is not None:
                self._wrong(line, f"tags: {quoted(str(tag))}", NAME.expected)
        return tuple(dict.fromkeys(map(str, tags)))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Raise ValueError where a key is there twice: one reader takes the first, another the last."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found


def _after_blank(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\n", "\r") and at < len(text):
        at += 1
    return at
