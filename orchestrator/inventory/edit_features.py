"""A host's features changed in its file's text, believed once they are read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.core import beneath
from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.host import Fleet
from orchestrator.core.units import listing
from orchestrator.inventory import add_host
from orchestrator.inventory.add_host import Draft, said_in
from orchestrator.inventory.edit_text import Chosen, candidates, flow
from orchestrator.inventory.features import REMOVE
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.root import FOLDER, inventory_names
from orchestrator.inventory.sections import MAX_BYTES
from orchestrator.inventory.tree import InventoryError


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
        removed = list(said.pop(REMOVE, None) or ())
        if self.on:
            removed = [name for name in removed if name != self.feature]
            settings = _merged(said.get(self.feature) or {}, self.settings)
            if not (below and not settings):
                said[self.feature] = settings or None
        else:
            said.pop(self.feature, None)
            removed += [self.feature] if below else []
        plain = not removed and not any(said.values())
        if plain and not isinstance(chosen, dict):
            return list(said)
        return {**said, **({REMOVE: removed} if removed else {})}


def _merged(said: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """What is said, with more said below it: of a mapping, what is not said again stays."""
    below = {
        key: _merged(said[key], value)
        for key, value in more.items()
        if isinstance(value, dict) and isinstance(said.get(key), dict)
    }
    return {**said, **more, **below}


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
    for entry, members in _entries(before.fleet, hosts).items():
        file, text = _entry_of(root, entry, drafts)
        below = _is_given_below(before, members[0], entry, edit.feature)
        made = _edited(file, text, entry, edit, below=below)
        if made != text:
            first = drafts[file].before if file in drafts else text.encode()
            drafts[file] = Draft(file, first, made.encode())
    _check(root, before, drafts, edit, hosts)
    return tuple(drafts.values())


def write(root: Path, drafts: Sequence[Draft]) -> None:
    """Write drafts, all of them or none.

    Raises:
        RefusedError: A file was changed meanwhile.
        StepError: One cannot be written.
    """
    written: list[Draft] = []
    try:
        for one in drafts:
            add_host.write(root, one)
            written.append(one)
    except (OrchestratorError, KeyboardInterrupt):
        for one in written:
            add_host.write(root, Draft(one.file, one.after, one.before))
        raise


def _entries(fleet: Fleet, hosts: Sequence[str]) -> dict[str, list[str]]:
    """The entries that hosts are from, each with those hosts.

    Raises:
        UsageError: They are some of a class of equal hosts, and not all of it.
    """
    of = {name: host.of or name for name, host in fleet.hosts.items()}
    entries: dict[str, list[str]] = {}
    for name, entry in of.items():
        entries.setdefault(entry, []).append(name)
    chosen, meant = {of[name]: entries[of[name]] for name in hosts}, frozenset(hosts)
    for entry, members in chosen.items():
        if left := [name for name in members if name not in meant]:
            raise UsageError(
                f"{entry} is a class of equal hosts: all of them have the same features, and "
                f"{listing(left)} would not",
                hint=f"name the class: {entry}",
            )
    return chosen


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


def _is_given_below(inventory: Inventory, host: str, entry: str, feature: str) -> bool:
    """Whether a layer below the host's entry gives it a feature, and not what is required."""
    origins = (
        one.origin.layer
        for one in inventory.origins(host)
        if (one.key, one.value) == ("features", feature)
    )
    return any(
        layer != f"host {entry}" and not layer.startswith("required by") for layer in origins
    )


def _edited(file: str, text: str, host: str, edit: FeatureEdit, *, below: bool) -> str:
    before = said_in(text, file)
    entry = before["hosts"][host] or {}
    wanted = edit.of(entry.get("features"), below=below)
    if wanted == entry.get("features") or (not wanted and "features" not in entry):
        return text
    before["hosts"][host] = {**entry, "features": wanted}
    for made in candidates(text, host, entry.get("features"), wanted):
        if _normal(said_in(made, file), host) == _normal(before, host):
            return made
    raise UsageError(
        f"the features of {host} were not changed: {file} is not so plain that it can be done "
        "without harm",
        hint=f"nothing was written; write it by hand, in {file}:\n"
        f"  {host}:\n    features: {flow(wanted)}",
    )


def _normal(said: Any, host: str) -> Any:
    """Make no difference between no features, none of them, and nothing behind a key."""
    hosts = said.get("hosts") if isinstance(said, dict) else None
    entry = (hosts.get(host) or {}) if isinstance(hosts, dict) else None
    if not isinstance(entry, dict):
        return said
    entry = dict(entry)
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
    meant = frozenset(hosts)
    for name, host in after.fleet.hosts.items():
        if name not in meant:
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
