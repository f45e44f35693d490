"""What an inventory says of security checks: what is accepted of their findings, for a while."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from orchestrator.core.risk import AcceptedFinding
from orchestrator.inventory.compose import Node
from orchestrator.inventory.containers import Key, ListOf, Record
from orchestrator.inventory.kinds import JsonSchema, Reading, Text
from orchestrator.inventory.risk_keys import REASON, Day
from orchestrator.inventory.tree import Tree, plain

_WHOLE = ("finding", "reason", "until")
_ENTRY = Record(
    "an accepted finding",
    (
        Key(
            "finding",
            Text("a finding such as key:/root/*", r"[a-z*?]+:[^\x00-\x1f\x7f]{1,500}"),
            "Which: its id, as a check prints it; * and ? stand for others.",
        ),
        Key("reason", REASON, "Why it is accepted."),
        Key("until", Day(), "The last day on which that counts, by UTC."),
    ),
    required=_WHOLE,
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One of the list: it is whole, or a mistake."""

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read it as one value: lists of several layers accumulate."""
        said = _ENTRY.read(node, reading)
        value = plain(said) if said is not None else {}
        return reading.leaf(value, node) if value.keys() == {*_WHOLE} else None

    def schema(self) -> JsonSchema:
        """An object with three keys."""
        return _ENTRY.schema()


SECURITY = (
    Key(
        "security",
        Record("security", (Key("accept", ListOf(_Entry()), "Findings that are accepted."),)),
        "What of security checks' findings is accepted for a while: docs/security-check.md.",
    ),
)


def accepted_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a host's resolved values say is accepted."""
    said = values.get("security", {}).get("accept", ())
    if not said:
        return {}
    found = (
        AcceptedFinding(one["finding"], one["reason"], date.fromisoformat(one["until"]))
        for one in said
    )
    return {"accept_findings": tuple(found)}
