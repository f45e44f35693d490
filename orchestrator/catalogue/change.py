"""A feature turned on or off: what changes with it on each host, and why."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from collections.abc import Mapping as ByName
from dataclasses import dataclass
from typing import Any

from orchestrator.catalogue.plan import Fit, Machine, host_fit, nearest_tier
from orchestrator.core.catalogue import Feature
from orchestrator.core.errors import UsageError
from orchestrator.core.facts import Facts
from orchestrator.core.host import Host
from orchestrator.core.risk import Risk
from orchestrator.core.units import split_lines
from orchestrator.facts import cache
from orchestrator.host.setup import Setup
from orchestrator.inventory.add_host import Draft
from orchestrator.inventory.compose import Mapping, Node, compose
from orchestrator.inventory.kinds import Facts as Values
from orchestrator.inventory.kinds import Reading
from orchestrator.inventory.load import Inventory
from orchestrator.inventory.tree import Mistakes, as_json, plain


@dataclass(frozen=True, slots=True)
class HostChange:
    """How one host changes.

    Attributes:
        added: Features that it has besides, and where each comes from.
        removed: Those that it has no longer.
        settings: What is said to a feature that was said otherwise, or not: before, after.
        risk: The highest that its features declare: before, after.
        risky: Those of the added that declare one.
        fit: How its needs stand to its machine then.
        nearest: Where it lacks something: the nearest tier below its own that fits.
    """

    host: str
    added: ByName[str, str]
    removed: tuple[str, ...]
    settings: ByName[str, tuple[Any, Any]]
    risk: tuple[Risk | None, Risk | None]
    risky: tuple[Feature, ...]
    fit: Fit
    nearest: str | None


def changes(
    setup: Setup, before: Inventory, after: Inventory, hosts: Sequence[Host]
) -> tuple[HostChange, ...]:
    """Compare hosts as two inventories have them."""
    return tuple(_change(setup, before, after, host.name) for host in hosts)


def _change(setup: Setup, before: Inventory, after: Inventory, name: str) -> HostChange:
    was, host = before.fleet.hosts[name], after.fleet.hosts[name]
    catalogue = after.fleet.features
    reasons = {str(one.value): str(one.origin) for one in after.origins(name) if one.key == _KEY}
    added = {one: reasons[one] for one in host.features if one not in was.features}
    machine = Machine.of(_facts(setup, name), host.hardware)
    found = host_fit(after.fleet, host, machine)
    nearest = nearest_tier(after.fleet, host, machine) if found.lacks else None
    return HostChange(
        name,
        added,
        tuple(one for one in was.features if one not in host.features),
        dict(_settings(was, host)),
        (_risk(before, was), _risk(after, host)),
        tuple(catalogue[one] for one in added if catalogue[one].risk),
        found,
        nearest.name if nearest else None,
    )


def _facts(setup: Setup, name: str) -> Facts | None:
    return cache.known_of(cache.folder_of(setup), setup.fleet.hosts[name])


_KEY = "features"


def _settings(was: Host, host: Host) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for feature in host.features:
        old, new = was.settings.get(feature, {}), host.settings.get(feature, {})
        for key in sorted({*old, *new}):
            if old.get(key) != new.get(key):
                yield f"{feature}.{key}", (old.get(key), new.get(key))


def _risk(inventory: Inventory, host: Host) -> Risk | None:
    catalogue = inventory.fleet.features
    return max((risk for one in host.features if (risk := catalogue[one].risk)), default=None)


def read_settings(words: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE``, the value as YAML has it; ``tls.port=443`` is below ``tls``.

    Raises:
        UsageError: One is none of these.
    """
    settings: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not all(key.split(".")):
            raise UsageError(f"--set {word}: expected KEY=VALUE, such as port=9100")
        mistakes = Mistakes()
        node = compose(text, "--set", mistakes)
        value = None if node is None else _value(node, mistakes)
        if mistakes.kept:
            one = mistakes.kept[0]
            raise UsageError(f"--set {word}: {one.found}; expected {one.expected}")
        _put(settings, key.split("."), value, word)
    return settings


def _value(node: Node, mistakes: Mistakes) -> Any:
    """Read a value as those in the inventory are read."""
    said = Mapping({"value": node}, {"value": node.place}, node.place)
    tree = Values().read(said, Reading(mistakes))
    return None if tree is None else as_json(plain(tree))["value"]


def _put(settings: dict[str, Any], path: Sequence[str], value: Any, word: str) -> None:
    for name in path[:-1]:
        settings = settings.setdefault(name, {})
        if not isinstance(settings, dict):
            raise UsageError(f"--set {word}: {name} is said to be something else already")
    settings[path[-1]] = value


def patch(drafts: Sequence[Draft]) -> Iterator[str]:
    """Say what changes in files, as ``diff -u`` does."""
    for one in drafts:
        before, after = (split_lines(text.decode()) for text in (one.before, one.after))
        yield from difflib.unified_diff(
            before, after, f"a/{one.file}", f"b/{one.file}", lineterm="", n=2
        )


def value_text(value: Any) -> str:
    """Say a setting's value; ``-`` where there is none."""
    return "-" if value is None else json.dumps(value, ensure_ascii=False)
