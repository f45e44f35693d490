"""Texts of an inventory's file in which a host's ``features`` say something else."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from orchestrator.inventory.add_host import written

Chosen = list[str] | dict[str, Any] | None
"""What a host's entry says under ``features``."""


def flow(chosen: Chosen) -> str:
    """Write what a host's entry is to say on one line."""
    if not isinstance(chosen, dict):
        return written(chosen or [])
    return written({name: {} if said is None else said for name, said in chosen.items()})


def candidates(text: str, host: str, chosen: Chosen, wanted: Chosen) -> Iterator[str]:
    """Texts that may say it, those first that change the least."""
    if text.startswith(_MARK):  # which the parser does not count
        yield from (_MARK + made for made in candidates(text[1:], host, chosen, wanted))
        return
    root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    key, entry = _under(_under(root, "hosts")[1], host)
    if key is None or entry is None:
        return
    lines = _LINE.findall(text)
    of, node = _under(entry, "features")
    if of is None or node is None:
        yield from _added(text, lines, key, entry, f"features: {flow(wanted)}")
    elif isinstance(node, yaml.CollectionNode) and not node.flow_style:
        if edits := _block(lines, of, node, (chosen, wanted)):
            yield _applied(lines, edits)
    elif "#" not in text[node.start_mark.index : node.end_mark.index]:
        yield _replaced(text, node, flow(wanted))


_MARK = "\ufeff"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


def _under(node: yaml.Node | None, name: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    """A key of a mapping, and its value."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next(((key, value) for key, value in pairs if key.value == name), (None, None))


def _replaced(text: str, node: yaml.Node, value: str) -> str:
    start, end = node.start_mark.index, node.end_mark.index
    # Of a key with nothing behind it, the place is behind the colon.
    space = " " if start == end and text[start - 1 : start] == ":" else ""
    return text[:start] + space + value + text[end:]


def _added(
    text: str, lines: Sequence[str], key: yaml.Node, entry: yaml.Node, line: str
) -> Iterator[str]:
    """Add ``features`` to a host's entry that has none."""
    if isinstance(entry, yaml.MappingNode) and entry.flow_style:
        at = entry.start_mark.index + 1
        yield f"{text[:at]}{line}{', ' if entry.value else ''}{text[at:]}"
    elif isinstance(entry, yaml.MappingNode):
        keys = [one.start_mark for one, _ in entry.value]
        indent = " " * keys[0].column
        for at in (_end(lines, entry, keys[-1].line), *(one.line for one in keys[::-1])):
            yield _applied(lines, [(at, at, [indent + line])])
    else:
        at, indent = key.start_mark.line, " " * (key.start_mark.column * 2 or 2)
        yield _applied(lines, [(at + 1, at + 1, [indent + line])])
        yield _replaced(text, entry, f"{{{line}}}")


Edit = tuple[int, int, list[str]]
"""Lines from one to before another, and what stands there instead, without line ends."""


def _applied(lines: Sequence[str], edits: Sequence[Edit]) -> str:
    newline = "\r\n" if lines and lines[0].endswith("\r\n") else "\n"
    made = list(lines)
    for start, end, instead in sorted(edits, key=lambda one: one[:2], reverse=True):
        if start and instead and not made[start - 1].endswith("\n"):
            made[start - 1] += newline
        made[start:end] = [f"{line}{newline}" for line in instead]
    return "".join(made)


def _end(lines: Sequence[str], node: yaml.Node, first: int) -> int:
    """The line behind a block's last one: comments and blank lines behind that are not its own."""
    end = node.end_mark.line
    is_block = isinstance(node, yaml.CollectionNode) and not node.flow_style
    # A block's mark is where something else begins, or the file ends.
    if not is_block or (end < len(lines) and not lines[end].endswith("\n")):
        end += 1
    while end > first + 1 and _is_aside(lines[end - 1]):
        end -= 1
    return end


def _is_aside(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _block(
    lines: Sequence[str],
    of: yaml.Node,
    node: yaml.CollectionNode,
    change: tuple[Chosen, Chosen],
) -> list[Edit]:
    """Change a list or a mapping with a line for each feature; nothing where that is too much."""
    chosen, wanted = change
    said: dict[str, Any] = wanted if isinstance(wanted, dict) else dict.fromkeys(wanted or ())
    indent = " " * node.start_mark.column
    if isinstance(node, yaml.MappingNode):
        there = {str(key.value): (key, value) for key, value in node.value}
        before = chosen if isinstance(chosen, dict) else {}
        edits = _pairs(lines, there, before, said)
        line = _pair
    else:
        there = {str(item.value): (item, item) for item in node.value}
        line = _pair if isinstance(wanted, dict) else "- {}".format
        if isinstance(wanted, dict) and node.start_mark.column == of.start_mark.column:
            indent += "  "
        edits = _items(lines, there, said, indent, as_pairs=isinstance(wanted, dict))
    if edits is None:
        return []
    end = _end(lines, node, node.start_mark.line)
    new = [f"{indent}{line(name, said[name])}".rstrip() for name in said if name not in there]
    return [*edits, *([(end, end, new)] if new else [])]


def _pair(name: str, value: Any) -> str:
    return f"{name}: {'' if value is None else written(value)}".rstrip()


Places = Mapping[str, tuple[yaml.Node, yaml.Node]]
"""By feature, the nodes of its name and of what is said of it."""


def _items(
    lines: Sequence[str], there: Places, said: Mapping[str, Any], indent: str, *, as_pairs: bool
) -> list[Edit] | None:
    """Take items out of a list, or make pairs of them."""
    edits: list[Edit] = []
    for name, (item, _) in there.items():
        at = item.start_mark.line
        rest = lines[at][item.end_mark.column :].rstrip("\r\n")
        if name not in said:
            edits.append((at, at + 1, []))
        elif as_pairs:
            value = said[name]
            edits.append((at, at + 1, [f"{indent}{_pair(name, value)}{rest}".rstrip()]))
    return edits


def _pairs(
    lines: Sequence[str], there: Places, before: Mapping[str, Any], said: Mapping[str, Any]
) -> list[Edit] | None:
    """Take pairs out of a mapping, or say something else of a feature."""
    edits: list[Edit] = []
    for name, (key, value) in there.items():
        at = key.start_mark.line
        end = max(_end(lines, value, at), at + 1)
        if name not in said:
            edits.append((at, end, []))
        elif (said[name] or None) != (before.get(name) or None):
            if end != at + 1 or "#" in lines[at]:
                return None
            head = lines[at][: key.end_mark.column]
            edits.append((at, end, [_pair(head, said[name])]))
    return edits
