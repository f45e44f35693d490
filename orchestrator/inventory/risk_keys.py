"""What an inventory says of risk: how much a host may be at, and what is accepted for a while."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from orchestrator.core.risk import Acceptance, Risk
from orchestrator.inventory.compose import Node, Scalar
from orchestrator.inventory.containers import Key, Record
from orchestrator.inventory.kinds import JsonSchema, Reading, Text, Word
from orchestrator.inventory.tree import Tree

_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"


@dataclass(frozen=True, slots=True)
class Day:
    """A day, as ISO 8601 has it: ``2027-03-01``."""

    def read(self, node: Node, reading: Reading) -> Tree | None:
        """Read a day; it stays a text."""
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, str) and re.fullmatch(_DAY, value):
            with contextlib.suppress(ValueError):
                return reading.leaf(date.fromisoformat(value).isoformat(), node)
        reading.wrong(node, "a day that there is, such as 2027-03-01")
        return None

    def schema(self) -> JsonSchema:
        """A string with a pattern."""
        return {"type": "string", "pattern": f"^{_DAY}$"}


LEVEL = Word(tuple(one.value for one in Risk))
REASON = Text("a reason, on one line", r"[^\x00-\x20\x7f][^\x00-\x1f\x7f]{0,499}")
_WHOLE = ("level", "reason", "until")
RISK = (
    Key("max_risk", LEVEL, "How much a host may be at; more is refused: docs/risk.md."),
    Key(
        "accept_risk",
        Record(
            "accept_risk",
            (
                Key("level", LEVEL, "How much is accepted nevertheless."),
                Key("reason", REASON, "Why; it is kept in the history."),
                Key("until", Day(), "The last day on which that counts, by UTC."),
            ),
            required=_WHOLE,
        ),
        "What more than max_risk is accepted for a while.",
    ),
)


def risk_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a host's resolved values say of risk."""
    found: dict[str, Any] = {}
    if "max_risk" in values:
        found["max_risk"] = Risk(values["max_risk"])
    if said := values.get("accept_risk"):
        until = date.fromisoformat(said["until"])
        found["accept_risk"] = Acceptance(Risk(said["level"]), said["reason"], until)
    return found
