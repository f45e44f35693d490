"""Reads what the pytest plugin recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from orchestrator.core.json_text import parse_json
from orchestrator.core.lines import split_lines
from orchestrator.verify.result import Check, CheckFailure

_COMMANDS = 3
"""How many of a failed check's commands are told: the last one is nearly always the cause."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of pytest.

    Attributes:
        checks: Those that ended, in their order.
        unreadable: Suites that could not be collected.
        collected: How many checks there were to run; ``None`` where pytest did not get so far.
        running: The check that had begun and did not end.
        ended: Whether pytest came to its end by itself.
    """

    checks: tuple[Check, ...] = ()
    unreadable: tuple[CheckFailure, ...] = ()
    collected: int | None = None
    running: str | None = None
    ended: bool = False


def read(text: str) -> Attempt:
    """Read the recorded JSON lines; the last line may be cut off where pytest was killed."""
    records = list(_records(text.split("\n")))
    checks = tuple(_check(r) for r in records if r["kind"] == "check")
    begun = [r["check"] for r in records if r["kind"] == "start"]
    return Attempt(
        checks=checks,
        unreadable=tuple(_unreadable(r) for r in records if r["kind"] == "unreadable"),
        collected=next((r["count"] for r in records if r["kind"] == "collected"), None),
        running=begun[-1] if len(begun) > len(checks) else None,
        ended=any(r["kind"] == "end" for r in records),
    )


def _records(lines: Iterable[str]) -> Iterable[dict[str, Any]]:
    for line in lines:
        try:
            yield parse_json(line)
        except ValueError:
            continue


def _check(record: dict[str, Any]) -> Check:
    commands = record["commands"]
    return Check(
        name=record["check"],
        outcome=record["outcome"],
        seconds=record["seconds"],
        message=record["message"],
        output=record["output"],
        command=commands[-1]["command"] if commands else None,
        said=tuple(line for command in commands[-_COMMANDS:] for line in _said(command)),
    )


def _said(command: dict[str, Any]) -> Iterable[str]:
    yield f"$ {command['command']}  (exit {command['rc']})"
    yield from split_lines(command["stdout"])
    yield from split_lines(command["stderr"])


def _unreadable(record: dict[str, Any]) -> CheckFailure:
    return CheckFailure(
        check=record["check"] or "verification",
        message=f"the suite could not be read: {record['message']}",
        output=record["output"],
    )
