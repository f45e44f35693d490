"""The catalogue as a graph: a tree in text, DOT for Graphviz, and SVG that needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape

from orchestrator.core.catalogue import Feature
from orchestrator.core.resolution import resolve


@dataclass(frozen=True, slots=True)
class Graph:
    """Features, and what is between them.

    Attributes:
        features: By name, each after what it requires.
        roots: What stands at the top: what nothing else of it requires.
        conflicts: Pairs that exclude each other, with the group that both are of, if that is why.
    """

    features: Mapping[str, Feature]
    roots: tuple[str, ...]
    conflicts: tuple[tuple[str, str, str | None], ...]


def graph_of(catalogue: Mapping[str, Feature], roots: Iterable[str] = ()) -> Graph:
    """Draw up the graph of some features with all that they require; without any, of all."""
    names = tuple(roots) or tuple(catalogue)
    required = {one for name in names for one in catalogue[name].requires}
    tops = tuple(name for name in names if name not in required)
    found = resolve(catalogue, tops)
    return Graph(
        {name: catalogue[name] for name in found.chains},
        tops,
        tuple((one.one[-1], one.other[-1], one.group) for one in found.conflicts),
    )


def text_lines(graph: Graph) -> Iterator[str]:
    """Draw it as trees: what a feature requires stands below it, the first time that it comes."""
    seen: set[str] = set()
    todo = [("", "", name) for name in graph.roots[::-1]]
    while todo:
        first, rest, name = todo.pop()
        below = graph.features[name].requires
        yield f"{first}{name}{' …' if below and name in seen else ''}"
        if name in seen:
            continue
        seen.add(name)
        for required in below[::-1]:
            branch, more = ("└─ ", "   ") if required == below[-1] else ("├─ ", "│  ")
            todo.append((rest + branch, rest + more, required))
    for one, other, group in graph.conflicts:
        yield f"{one} conflicts with {other}{f' (both are {group})' if group else ''}"


def dot_lines(graph: Graph) -> Iterator[str]:
    """Write it in Graphviz's language: https://graphviz.org/doc/info/lang.html."""
    yield "digraph catalogue {"
    yield "  rankdir=LR; node [shape=box];"
    for name, feature in graph.features.items():
        bold = ", style=bold" if name in graph.roots else ""
        yield f"  {_quoted(name)} [tooltip={_quoted(feature.description)}{bold}];"
        for required in feature.requires:
            yield f"  {_quoted(name)} -> {_quoted(required)};"
    for one, other, _ in graph.conflicts:
        yield (
            f"  {_quoted(one)} -> {_quoted(other)} [dir=none, style=dashed, color=red, "
            "constraint=false];"
        )
    yield "}"


def _quoted(text: str) -> str:
    return json.dumps(" ".join(text.split()), ensure_ascii=False)


_WIDE, _HIGH, _GAP, _LETTER = 60, 28, 12, 7.5


def svg_lines(graph: Graph) -> Iterator[str]:
    """Draw it as SVG: what is required stands to the right of what requires it."""
    columns = _columns(graph)
    widths = [max(len(name) for name in column) * _LETTER + 20 for column in columns]
    lefts = [_GAP + sum(widths[:index]) + _WIDE * index for index in range(len(columns))]
    boxes = {
        name: (lefts[index], _GAP + row * (_HIGH + _GAP), widths[index])
        for index, column in enumerate(columns)
        for row, name in enumerate(column)
    }
    width = sum(widths) + _WIDE * len(widths)
    height = max((len(column) for column in columns), default=0) * (_HIGH + _GAP) + _GAP
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" '
        'font-family="sans-serif" font-size="13">'
    )
    for name, feature in graph.features.items():
        for required in feature.requires:
            yield _arrow(boxes[name], boxes[required])
    for one, other, _ in graph.conflicts:
        yield _dashed(boxes[one], boxes[other])
    for name, box in boxes.items():
        yield from _box(name, graph.features[name], box, bold=name in graph.roots)
    yield "</svg>"


def _columns(graph: Graph) -> list[list[str]]:
    """Give each feature the column behind the last one that requires it."""
    depth = dict.fromkeys(graph.features, 0)
    for name in list(graph.features)[::-1]:
        for required in graph.features[name].requires:
            depth[required] = max(depth[required], depth[name] + 1)
    columns: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name, index in depth.items():
        columns[index].append(name)
    return columns


Box = tuple[float, float, float]
"""A box's left, top and width."""


def _arrow(start: Box, end: Box) -> str:
    x, y = start[0] + start[2], start[1] + _HIGH / 2
    to_x, to_y = end[0], end[1] + _HIGH / 2
    middle = (x + to_x) / 2
    return (
        f'<path d="M{x:.0f},{y:.0f} C{middle:.0f},{y:.0f} {middle:.0f},{to_y:.0f} '
        f'{to_x:.0f},{to_y:.0f}" fill="none" stroke="#555"/>'
        f'<circle cx="{to_x:.0f}" cy="{to_y:.0f}" r="3" fill="#555"/>'
    )


def _dashed(one: Box, other: Box) -> str:
    (x, y), (to_x, to_y) = ((box[0] + box[2] / 2, box[1] + _HIGH / 2) for box in (one, other))
    return (
        f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{to_x:.0f}" y2="{to_y:.0f}" stroke="#c00" '
        'stroke-dasharray="4"/>'
    )


def _box(name: str, feature: Feature, box: Box, *, bold: bool) -> Iterator[str]:
    left, top, wide = box
    weight = ' font-weight="bold"' if bold else ""
    yield (
        f'<g><title>{escape(feature.description or name)}</title><rect x="{left:.0f}" '
        f'y="{top:.0f}" width="{wide:.0f}" height="{_HIGH}" rx="4" fill="#fff" stroke="#333"/>'
        f'<text x="{left + 10:.0f}" y="{top + 18:.0f}"{weight}>{escape(name)}</text></g>'
    )
