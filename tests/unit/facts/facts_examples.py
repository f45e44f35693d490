"""Facts to test with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.core.facts import Fact, Facts
from orchestrator.core.host import Connect, Host
from orchestrator.facts.ask import FactsAnswer
from orchestrator.facts.plan.read import read

AT = datetime(2026, 1, 2, tzinfo=UTC)


def host(name: str = "p620", **more: Any) -> Host:
    """A host."""
    return Host(name, name, Connect(f"{name}.example"), **more)


def answered(text: str) -> FactsAnswer:
    """A host that was asked now, and gave this answer."""
    machine_id, facts = read(text)
    return FactsAnswer(host(), Facts(machine_id, AT, facts), asked=True)


def made(values: Mapping[str, Any], machine_id: str = "m") -> Facts:
    """Facts with these values."""
    return Facts(machine_id, AT, {key: Fact(value, "test") for key, value in values.items()})
