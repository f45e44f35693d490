"""What hosts are made of, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, assert_never

from orchestrator.core.facts import Fact, Facts
from orchestrator.core.units import ago, listing, size_text
from orchestrator.facts.ask import FactsAnswer
from orchestrator.facts.model import KEYS, Key, Kind, without_identity
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.report import Cell, Column, draw_step_error, print_json, print_table

_COLUMNS = (Column("fact"), Column("value", flexible=True), Column("source"))
_MOST = 12
"""Things of one kind that are drawn; --json has them all."""


def draw_facts(
    answers: Sequence[FactsAnswer], results: Output, words: Output, *, identifying: bool
) -> None:
    """Draw what is known of each host, with its sources, and why some do not answer."""
    for answer in answers:
        if answer.error is not None:
            draw_step_error(answer.host.name, answer.error, words)
        elif answer.facts is not None:
            _draw_host(answer, answer.facts, results, identifying=identifying)
        if answer.not_kept is not None:
            words.line(f"warning: {answer.host.name}: {clean(answer.not_kept.message)}")


def _draw_host(answer: FactsAnswer, facts: Facts, results: Output, *, identifying: bool) -> None:
    when = "asked now" if answer.asked else f"asked {ago(facts.at, datetime.now(UTC))}"
    machine = f", machine-id {clean(facts.machine_id)}" if identifying else ""
    results.line(f"{results.paint(answer.host.name, Colour.STRONG)}: {when}{machine}")
    print_table(results, _COLUMNS, list(_rows(facts, identifying=identifying)))


def _rows(facts: Facts, *, identifying: bool) -> Iterator[tuple[str | Cell, ...]]:
    for key in KEYS:
        fact = facts.fact(key.name)
        if key.identifies and not identifying:
            continue
        if fact.value is None:
            yield key.name, Cell("unknown", Colour.WARN), fact.source
            continue
        value = fact.value if identifying else without_identity(key, fact.value)
        for number, text in enumerate(_texts(key, value)):
            yield (key.name, text, fact.source) if number == 0 else ("", text, "")


def _texts(key: Key, value: Any) -> list[str]:
    """Say a value: a line, or one for each thing."""
    match key.kind:
        case Kind.THINGS:
            said = [_thing(key, one) for one in value[:_MOST]]
            more = [f"and {len(value) - _MOST} more"] if len(value) > _MOST else []
            return [*said, *more] or ["none"]
        case Kind.BYTES:
            return [size_text(value)]
        case Kind.FLAG:
            return ["yes" if value else "no"]
        case Kind.WORDS:
            return [listing(value, 40 if key.name != "cpu.flags" else 8) or "none"]
        case Kind.SECONDS:
            return [", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in value.items())]
        case Kind.TEXT | Kind.NUMBER:
            return [str(value)]
        case _:
            assert_never(key.kind)


def _thing(key: Key, one: dict[str, Any]) -> str:
    """Say an object: its name, then what else is known of it."""
    said = []
    for part, kind in key.parts.items():
        value = one.get(part)
        if value is None or value is False:
            continue
        if value is True:
            said.append(part)
        elif part == "size":
            said.append(size_text(value))
        elif kind == "array":
            said.append(listing(value))
        else:
            said.append(str(value) if kind == "string" else f"{part} {value}")
    return ", ".join(said)


def draw_json(answers: Sequence[FactsAnswer], results: Output, *, identifying: bool) -> None:
    """Print what is known of each host as JSON: see ``schema.py``."""
    print_json(
        results, {one.host.name: answer_json(one, identifying=identifying) for one in answers}
    )


def answer_json(answer: FactsAnswer, *, identifying: bool) -> dict[str, Any]:
    """What is known of one host as JSON."""
    if answer.facts is None:
        assert answer.error is not None
        message, hint = answer.error.message, answer.error.hint
        return {"reachable": False, "message": message, "hint": hint}
    found = answer.facts
    shown = [key for key in KEYS if identifying or not key.identifies]
    return {
        "reachable": True if answer.asked else None,
        "at": found.at.isoformat(),
        "asked": answer.asked,
        **({"machine_id": found.machine_id} if identifying else {}),
        "facts": {
            key.name: _fact_json(key, found.fact(key.name), identifying=identifying)
            for key in shown
        },
    }


def _fact_json(key: Key, fact: Fact, *, identifying: bool) -> dict[str, Any]:
    value = fact.value if identifying else without_identity(key, fact.value)
    return {"value": value, "source": fact.source}
