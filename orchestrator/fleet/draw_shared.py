"""How much hosts share, drawn."""

from __future__ import annotations

import dataclasses
import json
from typing import Any, Literal

from orchestrator.fleet.draw_option import in_words, simple
from orchestrator.fleet.shared import Repeated, Share, Shared
from orchestrator.render.output import Output, clean, cut
from orchestrator.render.report import Column, print_json, print_table

_COLUMNS = (
    Column("host"),
    Column("own lines", right=True),
    Column("shared", right=True),
    Column("own definitions", right=True),
    Column("shared", right=True),
    Column("own settings", right=True),
    Column("shared", right=True),
)
_Part = Literal["lines", "definitions", "settings"]
_PARTS: tuple[_Part, ...] = ("lines", "definitions", "settings")
_VALUE = 60
_MOST = 40
"""Repeated settings that are drawn; ``--json`` has all."""


def draw_shared(found: Shared, results: Output, words: Output, *, as_json: bool) -> None:
    """Draw each host's shares, and what several hosts say alike."""
    if as_json:
        print_json(results, _plain(found))
        return
    rows: list[tuple[str, ...]] = [
        (one.host, *_cells(one.lines), *_cells(one.definitions), *_cells(one.settings))
        for one in found.hosts
    ]
    rows.append(("all", *(cell for part in _PARTS for cell in _cells(found.whole(part)))))
    print_table(results, _COLUMNS, rows)
    for one in found.hosts:
        if one.problem:
            words.line(f"{one.host}: {clean(one.problem)}")
    if found.repeated:
        results.line("")
        results.line("said by several hosts alike; it could stand once:")
    for each in found.repeated[:_MOST]:
        results.line(f"  {clean(_in_words(each))}")
    if len(found.repeated) > _MOST:
        results.line(f"  … {len(found.repeated) - _MOST} more (--json)")


def _cells(share: Share | None) -> tuple[str, str]:
    if share is None:
        return "?", "?"
    part = share.shared
    return f"{share.own} of {share.all}", "-" if part is None else f"{part:.0%}"


def _in_words(one: Repeated) -> str:
    value = json.loads(one.value)
    told = in_words(value) if one.kind == "option" else one.value
    where = f" → template {', '.join(one.templates)}" if one.templates else ""
    return f"{one.key} = {cut(told, _VALUE)}  ({', '.join(one.hosts)}){where}"


def _plain(found: Shared) -> dict[str, Any]:
    def share(one: Share | None) -> dict[str, object] | None:
        if one is None:
            return None
        return {"own": one.own, "all": one.all, "shared": one.shared}

    return {
        "hosts": {
            one.host: {
                "lines": share(one.lines),
                "definitions": share(one.definitions),
                "settings": share(one.settings),
                "problem": one.problem or None,
            }
            for one in found.hosts
        },
        "all": {part: share(found.whole(part)) for part in _PARTS},
        "repeated": [{**dataclasses.asdict(one), "value": _value(one)} for one in found.repeated],
    }


def _value(one: Repeated) -> object:
    value = json.loads(one.value)
    return simple(value) if one.kind == "option" else value
