"""What makes an entry under ``hosts`` a class of equal machines, and how that is written."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.inventory.compose import Mapping, Node
from orchestrator.inventory.containers import Key, ListOf, Record
from orchestrator.inventory.kinds import Duration, Integer, JsonSchema, Reading, Text
from orchestrator.inventory.tree import Tree

MOST = 100_000
"""Members that a class may have."""

MOST_IN_ALL = 1_000_000
"""Members that all classes together may have: a short file is not to take all memory."""

NUMBER = r"\{n(?::0[1-9])?\}"
"""Stands for a member's number: ``{n}``, or ``{n:03}`` with zeros before it."""

_FILE = Text(
    "a .csv or .json file in inventory/, without a folder, and not fleet.json, which is written",
    r"(?!fleet\.json$)[A-Za-z0-9_][A-Za-z0-9_.-]{0,120}\.(?:csv|json)",
)
_COMMAND = Record(
    "from",
    (
        Key(
            "command",
            ListOf(Text("a word without control characters", r"[^\x00-\x1f\x7f]{1,1000}")),
            "What `orchestrator inventory generate` runs in the fleet's root, and no shell: its "
            "output, CSV or JSON, is written to inventory/generated/NAME.json.",
        ),
        Key("deadline", Duration(), "How long it may take; 60 s, where this is left out."),
    ),
    required=("command",),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where members are listed: a file, or the command that says them."""

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a file's name, or a command."""
        return (_COMMAND if isinstance(node, Mapping) else _FILE).read(node, reading)

    def schema(self) -> JsonSchema:
        """A string or an object."""
        return {"anyOf": [_FILE.schema(), _COMMAND.schema()]}


CLASS_KEYS = (
    Key("count", Integer(1, MOST), "How many equal machines these are, each a host of its own."),
    Key("first", Integer(0, 999_999_999), "The first one's number; 1, where this is left out."),
    Key(
        "name",
        Text("a host name with {n} in it, such as till-{n:03}", rf"[a-z0-9-]*{NUMBER}[a-z0-9-]*"),
        "What they are called; ENTRY-{n}, where this is left out.",
    ),
    Key("from", Source(), "What lists equal machines: a file in inventory/, or a command."),
)


def numbered(address: Text) -> Text:
    """An address, or of equal machines one with their number in it."""
    part = r"[A-Za-z0-9_.:-]{0,120}"
    pattern = rf"{address.pattern}|{part}(?:{NUMBER}{part}){{1,4}}"
    return Text(f"{address.expected}; of a class with {{n}} in it", pattern)
