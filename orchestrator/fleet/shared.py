"""How much of each host's configuration is its own, and what belongs into a template."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.plan import Asked
from orchestrator.changes.source import Source
from orchestrator.changes.tree.place import repository
from orchestrator.core.errors import StepError
from orchestrator.core.host import Fleet, Host
from orchestrator.core.units import parse_json
from orchestrator.core.values import replace
from orchestrator.fleet.modules import store_root
from orchestrator.fleet.option import Scope, question, show_path
from orchestrator.host.setup import Setup
from orchestrator.inventory.load import Inventory
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.configuration import Configuration
from orchestrator.nix.evaluation import Evaluations

IDENTITY = frozenset({"address", "attr", "description", "machine_id", "host_key", "connect"})
"""Keys of the inventory that say which machine a host is: two that are equal mean nothing."""


@dataclass(frozen=True, slots=True)
class Share:
    """Of a host's lines, definitions or settings, those that no other host has, and all.

    Attributes:
        own: No other host has them.
        all: With those that others have, too.
    """

    own: int
    all: int

    @property
    def shared(self) -> float | None:
        """Which part others have as well, from 0 to 1; ``None`` of nothing."""
        return None if not self.all else 1 - self.own / self.all


@dataclass(frozen=True, slots=True)
class HostShare:
    """One host's.

    Attributes:
        lines: Of the Nix files that its evaluation reads, without empty ones; ``None`` where the
            evaluation failed and was never learned.
        definitions: Of options, in the fleet's modules; ``None`` where it does not evaluate.
        settings: Values of the inventory; its own are those that its own section says.
        problem: Why something is not known.
    """

    host: str
    lines: Share | None
    definitions: Share | None
    settings: Share
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Repeated:
    """What several hosts say of their own, alike.

    Attributes:
        kind: ``inventory`` or ``option``.
        key: Of the inventory, or the option.
        value: In JSON.
        hosts: Which say so.
        templates: Those whose hosts all do: there it could stand once.
    """

    kind: str
    key: str
    value: str
    hosts: tuple[str, ...]
    templates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shared:
    """A fleet's."""

    hosts: tuple[HostShare, ...]
    repeated: tuple[Repeated, ...]

    def whole(self, part: Literal["lines", "definitions", "settings"]) -> Share:
        """All hosts' together, of those that it is known of."""
        known = [one for host in self.hosts if (one := getattr(host, part)) is not None]
        return Share(sum(one.own for one in known), sum(one.all for one in known))


@dataclass(frozen=True, slots=True)
class Modules:
    """What a host's evaluation has of the fleet.

    Attributes:
        files: Paths relative to the repository, or to the flake's folder.
        definitions: File, option and value of each definition.
    """

    files: frozenset[str]
    definitions: tuple[tuple[str, str, str], ...]


def entries(hosts: Iterable[Host]) -> tuple[Host, ...]:
    """Hosts, and for the members of a class one that is called as it is: all is said there once."""
    named = {one.of or one.name: one for one in hosts}
    return tuple(replace(one, name=name) for name, one in named.items())


async def shared(setup: Setup, inventory: Inventory, hosts: Sequence[Host]) -> Shared:
    """Evaluate hosts, and compare what they have of the fleet.

    Raises:
        UsageError: There is no Nix, or too old a one.
        StepError: The flake cannot be read.
    """
    await nix.version()
    hosts = entries(hosts)
    found = await _modules(setup, hosts)
    read = await _read(setup, hosts, found)
    return compare(inventory, hosts, found, read, Path(setup.flake.folder))


def compare(
    inventory: Inventory,
    hosts: Sequence[Host],
    found: Mapping[str, Modules | StepError],
    read: Mapping[str, frozenset[str]],
    folder: Path,
) -> Shared:
    """Compare what hosts have of the fleet.

    Args:
        inventory: The fleet's.
        hosts: Which of its hosts.
        found: What each one's evaluation has, or why it has not.
        read: The Nix files that each one's reads, as far as that is known.
        folder: Where those files are.
    """
    shares = _shares(inventory, hosts, found, read, folder)
    repeated = (*_settings(inventory, hosts), *_definitions(inventory.fleet, found))
    return Shared(shares, repeated)


async def _modules(setup: Setup, hosts: Sequence[Host]) -> dict[str, Modules | StepError]:
    async with Source(setup.flake) as source:
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))
        root = await store_root(await source.flake())

        async def ask(host: Host) -> Modules | StepError:
            try:
                return await evaluations.ask(Quiet(host), partial(_ask, root))
            except StepError as error:
                return error

        answers = await asyncio.gather(*map(ask, hosts))
    return {host.name: answer for host, answer in zip(hosts, answers, strict=True)}


async def _ask(root: str, configuration: Configuration) -> Modules:
    flake, attr = configuration.flake, configuration.attr
    for defined in (True, False):
        argv = question(flake, attr, (), Scope(values=False, defined=defined, root=root))
        done = await configuration.run(argv)
        if done.rc == 0:
            return modules(root, parse_json(done.stdout))
    shown = ("nix", "eval", f"{flake.configuration(attr)}.system.build.toplevel")
    raise configuration.failed(done, shown, "it does not evaluate")


def modules(root: str, said: Mapping[str, Any]) -> Modules:
    """Read what ``option.nix`` says of all modules below a folder."""

    def inside(file: str) -> str:
        path = file.removeprefix(root)
        return path if path.endswith(".nix") else f"{path}/default.nix"

    definitions = tuple(
        (inside(one["file"]), show_path(one["names"]), json.dumps(one["value"], sort_keys=True))
        for one in said["definitions"]
    )
    return Modules(frozenset(map(inside, said["files"])), definitions)


async def _read(
    setup: Setup, hosts: Sequence[Host], found: Mapping[str, Modules | StepError]
) -> dict[str, frozenset[str]]:
    """The Nix files that evaluations read, where that is learned; else their modules.

    Absolute paths: what was learned is told from the repository's root, modules from the flake's.
    """
    known, read = KnownSystems(setup, hosts), {}
    for host in hosts:
        flake = Path(setup.flake.of(host).folder).resolve()
        fingerprint = (await known.of(host)).fingerprint
        reads = fingerprint.reads if fingerprint else None
        modules_ = found[host.name]
        if reads is not None:
            root = repository(str(flake))
            content = (one.path for one in reads if one.asked is Asked.CONTENT)
            files = (root / path for path in content if path.endswith(".nix"))
            read[host.name] = frozenset(map(str, files))
        elif isinstance(modules_, Modules):
            read[host.name] = frozenset(str(flake / file) for file in modules_.files)
    return read


def _shares(
    inventory: Inventory,
    hosts: Sequence[Host],
    found: Mapping[str, Modules | StepError],
    read: Mapping[str, frozenset[str]],
    folder: Path,
) -> tuple[HostShare, ...]:
    lines = {file: _lines(folder / file) for file in frozenset().union(*read.values())}
    times = Counter(file for files in read.values() for file in files)
    of_modules = {name: one for name, one in found.items() if isinstance(one, Modules)}
    having = Counter(file for one in of_modules.values() for file in one.files)

    def share(host: Host) -> HostShare:
        files, mine, answer = read.get(host.name), of_modules.get(host.name), found[host.name]
        said = [one for one in inventory.origins(host.name) if one.origin.place is not None]
        own = [one for one in said if one.origin.layer == f"host {host.name}"]
        return HostShare(
            host=host.name,
            lines=None if files is None else _share((times[f] == 1, lines[f]) for f in files),
            definitions=None
            if mine is None
            else _share((having[file] == 1, 1) for file, _, _ in mine.definitions),
            settings=Share(len(own), len(said)),
            problem=answer.message if isinstance(answer, StepError) else "",
        )

    return tuple(map(share, hosts))


def _share(parts: Iterable[tuple[bool, int]]) -> Share:
    counted = list(parts)
    return Share(sum(size for own, size in counted if own), sum(size for _, size in counted))


def _lines(file: Path) -> int:
    try:
        return sum(1 for line in file.read_text(errors="replace").split("\n") if line.strip())
    except OSError:
        return 0


def _settings(inventory: Inventory, hosts: Sequence[Host]) -> tuple[Repeated, ...]:
    """Find values that the sections of several hosts have alike."""
    said = (
        (host.name, one.key, json.dumps(one.value, sort_keys=True))
        for host in hosts
        for one in inventory.origins(host.name)
        if one.origin.layer == f"host {host.name}"
        if one.key.partition(".")[0] not in IDENTITY | {"template"}
    )
    return _alike("inventory", inventory.fleet, said)


def _definitions(fleet: Fleet, found: Mapping[str, Modules | StepError]) -> tuple[Repeated, ...]:
    """Find options that several hosts' own files define alike."""
    of_modules = {name: one for name, one in found.items() if isinstance(one, Modules)}
    having = Counter(file for one in of_modules.values() for file in one.files)
    said = (
        (name, option, value)
        for name, one in of_modules.items()
        for file, option, value in one.definitions
        if having[file] == 1 and value != "null" and '"kind": "error"' not in value
    )
    return _alike("option", fleet, said)


def _alike(kind: str, fleet: Fleet, said: Iterable[tuple[str, str, str]]) -> tuple[Repeated, ...]:
    """Bring together what is said by several hosts: who, what, and its value."""
    hosts: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for name, key, value in said:
        hosts[key, value][name] = None
    members: dict[str, set[str]] = defaultdict(set)
    for host in fleet.hosts.values():
        if host.template:
            members[host.template].add(host.of or host.name)
    templates = {name: those for name, those in sorted(members.items()) if len(those) > 1}

    def repeated(key: str, value: str, names: Iterable[str]) -> Repeated:
        having = set(names)
        whole = (template for template, those in templates.items() if those <= having)
        return Repeated(kind, key, value, tuple(names), tuple(whole))

    by_number = sorted(hosts.items(), key=lambda one: (-len(one[1]), one[0]))
    return tuple(repeated(*said, names) for said, names in by_number if len(names) > 1)
