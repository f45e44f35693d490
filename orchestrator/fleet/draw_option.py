"""An option of a host, drawn."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from orchestrator.fleet.option import PRIORITIES, Definition, Option, Options, Position, Value
from orchestrator.render.output import Output, clean
from orchestrator.render.report import Column, print_json, print_table

_COLUMNS = (Column("priority"), Column("value", flexible=True), Column("where"), Column(""))
_IN_A_ROW = 60
_LINES = 60
"""Of a value that is written on lines of its own."""


def draw_option(found: Option | Options, results: Output, *, as_json: bool) -> None:
    """Draw an option, or the names of those in a set of options."""
    if as_json:
        print_json(results, _plain(found))
    elif isinstance(found, Options):
        for name in found.names:
            results.line(clean(name))
    else:
        _draw(found, results)


def _draw(option: Option, results: Output) -> None:
    for line in _value_lines(option):
        results.line(line)
    results.line("")
    if option.definitions:
        # Of real NixOS hundreds of modules would define something, if only they were switched on.
        shown = [one for one in option.definitions if one.taken or not one.at.file.startswith("…/")]
        print_table(results, _COLUMNS, [_row(one) for one in shown])
        if more := len(option.definitions) - len(shown):
            results.line(f"and {more} of other modules, whose conditions are false (--json)")
        results.line("")
    if option.doubt:
        results.line(f"definitions: {clean(option.doubt)}")
    facts = {
        "type": option.type + ", read-only" * option.read_only,
        "default": "" if option.default is None else in_words(option.default),
        "declared": ", ".join(map(str, option.declared)),
    }
    for name, text in facts.items():
        if text:
            results.line(f"{name:<9} {clean(text)}")
    for line in option.description.strip().split("\n") if option.description else ():
        results.line(f"  {clean(line)}".rstrip())


def _value_lines(option: Option) -> list[str]:
    head = f"{option.path} ="
    if option.value is None:
        return [f"{head} «error: {clean(option.error)}»"]
    words = in_words(option.value)
    if len(words) <= _IN_A_ROW or option.value["kind"] not in ("list", "set"):
        return [clean(f"{head} {words}")]
    inner = _members(option.value)
    few = [clean(f"  {one}") for one in inner[:_LINES]]
    more = option.value["size"] - len(few)
    opened, closed = ("[", "]") if option.value["kind"] == "list" else ("{", "}")
    return [clean(f"{head} {opened}"), *few, *([f"  … {more} more"] if more > 0 else []), closed]


def _row(one: Definition) -> tuple[str, ...]:
    named = PRIORITIES.get(one.priority, "")
    value = "«not evaluated»" if one.value is None else in_words(one.value)
    return (
        "" if one.priority is None else f"{one.priority}{f' ({named})' if named else ''}",
        clean(value),
        clean(str(one.at)),
        _standing(one),
    )


def _standing(one: Definition) -> str:
    if not one.taken:
        return "not taken: its condition is false"
    return "" if one.counts else "does not count"


def in_words(value: Value) -> str:
    """Write a value as Nix would; what is no plain value in angle quotes."""
    kind, inner = value["kind"], value["value"]
    match kind:
        case "plain":
            return json.dumps(inner, ensure_ascii=False)
        case "cut":
            return json.dumps(inner, ensure_ascii=False) + "…"
        case "code" | "path":
            return str(inner)
        case "derivation":
            return str(inner) if str(inner).startswith("/") else f"«derivation {inner}»"
        case "list" | "set":
            more = ["…"] * (value["size"] > len(inner))
            opened, closed = ("[", "]") if kind == "list" else ("{", "}")
            return " ".join((opened, *_members(value), *more, closed))
        case _:
            return f"«{kind}»"


def _members(value: Value) -> list[str]:
    if value["kind"] == "list":
        return [in_words(one) for one in value["value"]]
    return [f"{one['name']} = {in_words(one['value'])};" for one in value["value"]]


def _plain(found: Option | Options) -> dict[str, Any]:
    """An option as a script reads it: plain values as they are, all others in words."""
    if isinstance(found, Options):
        return {"path": found.path, "names": list(found.names)}
    return {
        **dataclasses.asdict(found),
        "value": found.value and simple(found.value),
        "default": found.default and simple(found.default),
        "declared": [_position(one) for one in found.declared],
        "definitions": [
            {
                **_position(one.at),
                "priority": one.priority,
                "set_by": PRIORITIES.get(one.priority, ""),
                "counts": one.counts,
                "taken": one.taken,
                "value": one.value and simple(one.value),
            }
            for one in found.definitions
        ],
    }


def _position(one: Position) -> dict[str, object]:
    return {"file": one.file, "line": one.line}


def simple(value: Value) -> object:
    """A value in JSON: of what is shortened the part that is known."""
    inner = value["value"]
    match value["kind"]:
        case "plain" | "cut" | "code" | "path":
            return inner
        case "list":
            return [simple(one) for one in inner]
        case "set":
            return {one["name"]: simple(one["value"]) for one in inner}
        case _:
            return in_words(value)
