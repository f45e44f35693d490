"""TXN-*: whether a change of several files came to its end."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.secrets.model.finding import SecretFinding
from orchestrator.secrets.model.journal import Journal
from orchestrator.secrets.plan.severity import finding


def check(pending: Journal | None) -> Iterator[SecretFinding]:
    """Find a change that was cut off."""
    if pending is not None:
        count = len(pending.replacements)
        yield finding("TXN-PENDING", "", f"a {pending.what} of {count} files was cut off")
