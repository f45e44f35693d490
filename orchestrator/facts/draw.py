"""What hosts are made of, drawn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, assert_never

from orchestrator.core.facts import Fact, Facts
from orchestrator.core.units import ago, listing, size_text
from orchestrator.facts.ask import FactsAnswer
from orchestrator.facts.model import KEYS, Key, Kind, without_identity
from orchestrator.facts.plan.overrides import effective
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
        _draw_troubles(answer, words)
        if answer.facts is not None:
            machine = answer.facts.machine_id if identifying else ""
            _draw_head(answer, answer.facts, results, f", machine-id {machine}" if machine else "")
            rows = _rows(answer.facts, answer.host.hardware, identifying=identifying)
            print_table(results, _COLUMNS, list(rows))


def _draw_troubles(answer: FactsAnswer, words: Output) -> None:
    if answer.error is not None:
        draw_step_error(answer.host.name, answer.error, words)
    if answer.not_kept is not None:
        words.line(f"warning: {answer.host.name}: {clean(answer.not_kept.message)}")


def _draw_head(answer: FactsAnswer, facts: Facts, results: Output, more: str = "") -> None:
    when = "asked now" if answer.asked else f"asked {ago(facts.at, datetime.now(UTC))}"
    results.line(f"{results.paint(answer.host.name, Colour.STRONG)}: {when}{clean(more)}")


def _rows(
    facts: Facts, hardware: Mapping[str, Any], *, identifying: bool
) -> Iterator[tuple[str | Cell, ...]]:
    shown = effective(facts, hardware)
    for key in KEYS:
        fact, said = shown.fact(key.name), facts.fact(key.name)
        if key.identifies and not identifying:
            continue
        yield from _row(key, key.name, fact, identifying=identifying)
        if fact != said:
            yield from _row(key, "  the machine says", said, identifying=identifying)


def _row(key: Key, name: str, fact: Fact, *, identifying: bool) -> Iterator[tuple[str | Cell, ...]]:
    if fact.value is None:
        yield name, Cell("unknown", Colour.WARN), fact.source
        return
    value = fact.value if identifying else without_identity(key, fact.value)
    for number, text in enumerate(_texts(key, value)):
        yield (name, text, fact.source) if number == 0 else ("", text, "")


def draw_changes(answers: Sequence[FactsAnswer], results: Output, words: Output) -> None:
    """Draw what changed of each host since it was asked last, and why some do not answer."""
    for answer in answers:
        _draw_troubles(answer, words)
        if answer.facts is None:
            continue
        found = answer.changes
        since = f", compared with {answer.before.at:%Y-%m-%d %H:%M} UTC" if answer.before else ""
        _draw_head(answer, answer.facts, results, since)
        if found is None:
            results.line("  nothing to compare with: it was not asked before")
        for one in found or ():
            text = clean(one.text)
            results.line("  " + (results.paint(text, Colour.WARN) if one.serious else text))
        if found == ():
            results.line("  nothing changed")


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


def draw_json(
    answers: Sequence[FactsAnswer], results: Output, *, identifying: bool, diff: bool = False
) -> None:
    """Print what is known of each host as JSON: see ``schema.py``."""
    found = {one.host.name: answer_json(one, identifying=identifying, diff=diff) for one in answers}
    print_json(results, found)


def answer_json(answer: FactsAnswer, *, identifying: bool, diff: bool = False) -> dict[str, Any]:
    """What is known of one host as JSON."""
    if answer.facts is None:
        assert answer.error is not None
        message, hint = answer.error.message, answer.error.hint
        return {"reachable": False, "message": message, "hint": hint}
    found, changed = answer.facts, answer.changes
    shown = effective(found, answer.host.hardware)
    listed = [{"fact": one.fact, "text": one.text, "serious": one.serious} for one in changed or ()]
    return {
        "reachable": True if answer.asked else None,
        "at": found.at.isoformat(),
        "asked": answer.asked,
        **({"machine_id": found.machine_id} if identifying else {}),
        "facts": {
            key.name: _fact_json(key, shown, found, identifying=identifying)
            for key in KEYS
            if identifying or not key.identifies
        },
        **({"changes": None if changed is None else listed} if diff else {}),
    }


def _fact_json(key: Key, shown: Facts, found: Facts, *, identifying: bool) -> dict[str, Any]:
    fact, said = shown.fact(key.name), found.fact(key.name)

    def plain(one: Fact) -> dict[str, Any]:
        value = one.value if identifying else without_identity(key, one.value)
        return {"value": value, "source": one.source}

    return plain(fact) if fact == said else {**plain(fact), "machine": plain(said)}
