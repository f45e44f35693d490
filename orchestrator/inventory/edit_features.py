"""A host's features changed in its file's text, believed once they are read back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from orchestrator.core import beneath
from orchestrator.core.errors import UsageError
from orchestrator.inventory.add_host import Draft, said_in, written
from orchestrator.inventory.features import REMOVE
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.root import FOLDER, inventory_names
from orchestrator.inventory.sections import MAX_BYTES
from orchestrator.inventory.tree import InventoryError

Chosen = list[str] | dict[str, Any] | None
"""What a host's entry says under ``features``."""


@dataclass(frozen=True, slots=True)
class FeatureEdit:
    """A feature to turn on or off.

    Attributes:
        on: Whether the host is to have it.
        settings: What is said of it besides; only where it is turned on.
    """

    feature: str
    on: bool
    settings: Mapping[str, Any]

    def of(self, chosen: Chosen, *, below: bool) -> Chosen:
        """Say what the entry is to say.

        Args:
            chosen: What it says.
            below: Whether the host has the feature of a layer below its entry.
        """
        said = dict.fromkeys(chosen or ()) if not isinstance(chosen, dict) else dict(chosen)
        removed = [name for name in said.pop(REMOVE, None) or () if name != self.feature]
        if self.on:
            settings = {**(said.get(self.feature) or {}), **self.settings}
            if not (below and not settings):
                said[self.feature] = settings or None
        else:
            said.pop(self.feature, None)
            removed += [self.feature] if below else []
        plain = not removed and not any(said.values())
        if plain and not isinstance(chosen, dict):
            return list(said)
        return {**said, **({REMOVE: removed} if removed else {})}


def draft(root: Path, edit: FeatureEdit, hosts: Sequence[str]) -> tuple[Draft, ...]:
    """Change the entries of hosts; nothing is written.

    Args:
        root: The fleet's root.
        edit: What to change.
        hosts: By their names.

    Returns:
        The files that change; none where all is as it is wanted.

    Raises:
        UsageError: It cannot be done without harm; the hint is what to write by hand.
        InventoryError: The inventory has mistakes as it is.
    """
    before = load(root)
    drafts: dict[str, Draft] = {}
    for host in hosts:
        file, text = _entry_of(root, host, drafts)
        below = _is_given_below(before, host, edit.feature)
        made = _edited(file, text, host, edit, below=below)
        if made != text:
            first = drafts[file].before if file in drafts else text.encode()
            drafts[file] = Draft(file, first, made.encode())
    _check(root, before, drafts, edit, hosts)
    return tuple(drafts.values())


def _entry_of(root: Path, host: str, drafts: Mapping[str, Draft]) -> tuple[str, str]:
    """Find the file that has a host's entry, and its text so far."""
    for name in inventory_names(root):
        file = f"{FOLDER}/{name}"
        made = drafts.get(file)
        text = (made.after if made else beneath.read(root, file, MAX_BYTES)).decode()
        said = said_in(text, file)
        if isinstance(said, dict) and host in (said.get("hosts") or {}):
            return file, text
    raise UsageError(
        f"no file of {FOLDER}/ has an entry of its own for {host}",
        hint=f"what is said of it, and where: orchestrator inventory show {host}",
    )


def _is_given_below(inventory: Inventory, host: str, feature: str) -> bool:
    """Whether a layer below the host's entry gives it a feature, and not what is required."""
    origins = (
        one.origin.layer
        for one in inventory.origins(host)
        if (one.key, one.value) == ("features", feature)
    )
    return any(layer != f"host {host}" and not layer.startswith("required by") for layer in origins)


def _edited(file: str, text: str, host: str, edit: FeatureEdit, *, below: bool) -> str:
    before = said_in(text, file)
    entry = before["hosts"][host] or {}
    wanted = edit.of(entry.get("features"), below=below)
    if wanted == entry.get("features") or (not wanted and "features" not in entry):
        return text
    before["hosts"][host] = {**entry, "features": wanted}
    for made in _candidates(text, host, entry.get("features"), wanted):
        if _normal(said_in(made, file), host) == _normal(before, host):
            return made
    raise UsageError(
        f"the features of {host} were not changed: {file} is not so plain that it can be done "
        "without harm",
        hint=f"nothing was written; write it by hand, in {file}:\n"
        f"  {host}:\n    features: {_flow(wanted)}",
    )


def _normal(said: Any, host: str) -> Any:
    """Make no difference between no features, none of them, and nothing behind a key."""
    if not isinstance(said, dict):
        return said
    entry = dict(said["hosts"][host] or {})
    features = entry.pop("features", None) or None
    if isinstance(features, dict):
        features = {name: settings or None for name, settings in features.items()}
    return {**said, "hosts": {**said["hosts"], host: (entry, features)}}


def _check(
    root: Path,
    before: Inventory,
    drafts: Mapping[str, Draft],
    edit: FeatureEdit,
    hosts: Sequence[str],
) -> None:
    """Believe it once it is read back: the hosts have the feature or not, all others are the same.

    Raises:
        UsageError: It would not be right.
    """
    doing = f"{edit.feature} was not turned {'on' if edit.on else 'off'}"
    try:
        after = load(root, {file: made.after.decode() for file, made in drafts.items()})
    except InventoryError as error:
        told = "".join(f"\n  {one}" for one in error.mistakes)
        raise UsageError(
            f"{doing}: the inventory would not be right with it{told}", hint="nothing was written"
        ) from None
    for name, host in after.fleet.hosts.items():
        if name not in hosts:
            is_right = host == before.fleet.hosts[name]
        else:
            is_right = (edit.feature in host.features) == edit.on
        if not is_right:
            raise UsageError(
                f"{doing}: {_still(after, name, edit.feature)}", hint="nothing was written"
            )


def _still(after: Inventory, host: str, feature: str) -> str:
    """Say why a host would have a feature nevertheless."""
    origins = [one for one in after.origins(host) if (one.key, one.value) == ("features", feature)]
    if not origins:
        return f"{host} would not be as it should be"
    return f"{host} would have it nevertheless: {origins[0].origin}"


def _flow(chosen: Chosen) -> str:
    """Write what a host's entry is to say on one line."""
    if not isinstance(chosen, dict):
        return written(chosen or [])
    return written({name: {} if said is None else said for name, said in chosen.items()})


def _candidates(text: str, host: str, chosen: Chosen, wanted: Chosen) -> Iterator[str]:
    """Texts that may say it, those first that change the least."""
    root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    key, entry = _under(_under(root, "hosts")[1], host)
    if key is None or entry is None:
        return
    lines = _LINE.findall(text)
    of, node = _under(entry, "features")
    if of is None or node is None:
        yield from _added(text, lines, key, entry, f"features: {_flow(wanted)}")
    elif isinstance(node, yaml.CollectionNode) and not node.flow_style:
        if edits := _block(lines, of, node, (chosen, wanted)):
            yield _applied(lines, edits)
    elif "#" not in text[node.start_mark.index : node.end_mark.index]:
        yield _replaced(text, node, _flow(wanted))


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
