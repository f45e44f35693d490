"""Where a fleet is, what its folder has, and the fleet as it was read last."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.core import files, host, machine
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet, Host
from orchestrator.core.members import HostEntry, Hosts, Member, Single, entries_of
from orchestrator.core.stored import decode, encode
from orchestrator.core.units import split_lines
from orchestrator.core.values import replace

if TYPE_CHECKING:
    from orchestrator.inventory.load import Inventory

FOLDER = "inventory"
SUFFIXES = (".yaml", ".yml")
GENERATED = "generated"
_LISTS = (".csv", ".json")
MAX_BYTES = 64 << 20
"""Bytes of a file of members; no other file may be larger."""

SUITES = "tests/verify"
_KINDS = ("", "/templates", "/profiles", "/features")


def has_files(root: Path) -> bool:
    """Whether there is an inventory below ``root`` that can be listed."""
    try:
        return bool(inventory_names(root))
    except OSError:
        return False


def inventory_names(root: Path) -> list[str]:
    """The inventory's file names, sorted; hidden ones are an editor's and are left out.

    Raises:
        OSError: The folder cannot be listed.
    """
    found = os.listdir(root / FOLDER)  # noqa: PTH208 - names are all that is wanted
    return sorted(n for n in found if n.endswith(SUFFIXES) and not n.startswith("."))


def shared_suites(root: Path) -> tuple[str, ...]:
    """The suites below ``tests/verify``, relative to the fleet's root."""
    return tuple(path for kind in _KINDS for path in _tests(root, SUITES + kind))


def own_suites(root: Path) -> dict[str, tuple[str, ...]]:
    """By host, the suites in ``hosts/NAME/``."""
    return {host: tuple(_tests(root, f"hosts/{host}")) for host in _names(root / "hosts")}


FEATURES = "templates/features"
"""Where the example fleet has its features' modules, relative to the fleet's root."""

_SCHEMA = ".schema.json"


def schema_file(feature: str) -> str:
    """Where the schema of a feature's settings is, relative to the fleet's root."""
    return f"{FEATURES}/{feature}{_SCHEMA}"


def schema_files(root: Path) -> tuple[str, ...]:
    """Which features have a schema of settings."""
    names = _names(root / FEATURES)
    return tuple(name.removesuffix(_SCHEMA) for name in names if name.endswith(_SCHEMA))


def _tests(root: Path, folder: str) -> Iterator[str]:
    for name in _names(root / folder):
        path = f"{folder}/{name}"
        if name.startswith("test_") and name.endswith(".py") and (root / path).is_file():
            yield path


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []


VARIABLE = "ORCHESTRATOR_FLEET"


def find_root(
    start: Path, explicit: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Path:
    """The fleet's root: ``--fleet``, else ``$ORCHESTRATOR_FLEET``, else the nearest one above.

    A folder is a fleet where it has YAML files in ``inventory/``.

    Raises:
        UsageError: There is none.
    """
    if explicit is not None:
        return _checked(explicit, "--fleet")
    if said := environ.get(VARIABLE):
        return _checked(Path(said), f"${VARIABLE}")
    start = start.absolute()
    for folder in (start, *start.parents):
        if has_files(folder):
            return folder
    raise UsageError(
        f"no fleet here: no YAML file in {FOLDER}/ in {start} or any folder above it",
        hint=f"name the fleet with --fleet DIR or ${VARIABLE}; or begin one: orchestrator init, "
        f"or by hand:\n{_beginning()}",
    )


def _checked(root: Path, said_by: str) -> Path:
    if not has_files(root):
        raise UsageError(
            f"{said_by}: no YAML file in {root / FOLDER}",
            hint=f"name a folder that has an inventory; or begin one there: orchestrator init, "
            f"or by hand:\n{_beginning()}",
        )
    return root.absolute()


def _beginning() -> str:
    from orchestrator.inventory.sections import EXAMPLE

    lines = [f"{FOLDER}/hosts.yaml:", *(f"  {line}" for line in split_lines(EXAMPLE))]
    return "\n".join(f"  {line}" for line in lines)


class _Entry(Struct, frozen=True, array_like=True):
    """A host, or a class, as it is kept.

    Attributes:
        shared: The place of what it shares with others.
        file: The place of the file's name that has it, and its line there.
        members: Of a class.
    """

    shared: int
    own: Single
    file: int
    line: int
    members: tuple[Member, ...] | None


class _Kept(Struct, frozen=True):
    """See :class:`Known`; ``shared`` is what hosts have in common, each once."""

    key: str
    fleet_json: str | None
    fresh: bool
    declared_name: str | None
    suites: tuple[str, ...]
    fleet: Fleet
    shared: tuple[Host, ...]
    files: tuple[str, ...]
    entries: tuple[_Entry, ...]

    def hosts(self) -> Hosts:
        return Hosts(
            (self.shared[one.shared], one.own)
            if one.members is None
            else HostEntry(one.own.of(self.shared[one.shared]), one.members)
            for one in self.entries
        )


class Known(Struct, frozen=True):
    """An inventory without a mistake, as it was read last, of which nothing changed since.

    Attributes:
        declared_name: As :class:`Inventory` has it.
        fresh: Whether ``fleet.json`` is as the files say.
        key: As :func:`key_of` gives it.
        places: By the names of entries, the files that have them, and their lines there.
        builders: The hosts that others are built on.
    """

    fleet: Fleet
    declared_name: str | None
    fresh: bool
    key: str
    places: Mapping[str, tuple[str, int]]
    builders: frozenset[str]


def recall(root: Path) -> Fleet | None:
    """The fleet at ``root``, if it is known and ``fleet.json`` is fresh; else ``None``."""
    found = known(root)
    return found.fleet if found is not None and found.fresh else None


def known(root: Path) -> Known | None:
    """The inventory at ``root``, if it is known; else ``None``."""
    try:
        with _file(root).open("rb") as stream:
            if os.fstat(stream.fileno()).st_uid != os.geteuid():
                return None
            digest, _, text = stream.read().partition(b"\n")
        if digest != _digest(text):
            return None
        kept = decode(_Kept, text)
        if kept.key != _key(root) or not all((root / suite).exists() for suite in kept.suites):
            return None
        fleet = replace(kept.fleet, hosts=kept.hosts())
        places = {one.own.name: (kept.files[one.file], one.line) for one in kept.entries}
        builders = {name for host in kept.shared if (name := host.build.builder)}
        is_fresh = kept.fresh and kept.fleet_json == _fleet_json(root)
    except (OSError, ValueError, IndexError):
        return None
    return Known(fleet, kept.declared_name, is_fresh, kept.key, places, frozenset(builders))


def remember(root: Path, read: Inventory, key: str | None, *, fresh: bool = True) -> None:
    """Keep an inventory that was read, where it is safe to.

    Args:
        root: The fleet's root.
        read: What was read there.
        key: What :func:`key_of` gave before it was read.
        fresh: Whether ``fleet.json`` is as it says.
    """
    if key is None or key != key_of(root):
        return
    with contextlib.suppress(OSError, ValueError):
        kept = _kept(root, read, key, fresh)
        text = encode(kept)
        # What would come back as something else is not kept.
        if decode(_Kept, text) == kept:
            file = _file(root)
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            files.replace(file, _digest(text) + b"\n" + text)


def _kept(root: Path, read: Inventory, key: str, fresh: bool) -> _Kept:
    shared: dict[bytes, tuple[int, Host]] = {}
    named: dict[str, int] = {}
    entries = []
    for entry in entries_of(read.fleet.hosts):
        own, rest = Single.apart(entry.host)
        at, _ = shared.setdefault(encode(rest), (len(shared), rest))
        place = read.places[own.name]
        file = named.setdefault(place.file, len(named))
        entries.append(_Entry(at, own, file, place.line, entry.members))
    return _Kept(
        key,
        _fleet_json(root),
        fresh,
        read.declared_name,
        read.suites,
        replace(read.fleet, hosts={}),
        tuple(rest for _, rest in shared.values()),
        tuple(named),
        tuple(entries),
    )


def _digest(text: bytes) -> bytes:
    return hashlib.sha256(text).hexdigest().encode()


def key_of(root: Path) -> str | None:
    """Digest all that reading the inventory looks at; ``None`` where that cannot be told."""
    try:
        return _key(root)
    except (OSError, ValueError):
        return None


def _key(root: Path) -> str:
    digest = hashlib.sha256()
    for fact in _facts(root):
        digest.update(fact if isinstance(fact, bytes) else repr(fact).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _facts(root: Path) -> Iterator[object]:
    yield os.path.realpath(root), str(root), os.path.expanduser("~")  # noqa: PTH111 (light)
    yield from _code()
    yield shared_suites(root), own_suites(root)
    read = [f"{FOLDER}/{name}" for name in (*inventory_names(root), *_lists(root))]
    for name in (*read, *map(schema_file, schema_files(root))):
        path = root / name
        yield name, os.path.realpath(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as stream:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ValueError(f"{path} is no regular file")
            # What is larger is read by nobody, whatever its rest is.
            content = stream.read(MAX_BYTES + 1)
        yield len(content)
        yield content


def _lists(root: Path) -> Iterator[str]:
    """What may list the members of classes, by paths in the inventory's folder."""
    for folder in ("", f"{GENERATED}/"):
        for name in _names(root / FOLDER / folder):
            listed = name.endswith(_LISTS) and not name.startswith(".")
            if listed and folder + name != "fleet.json":
                yield folder + name


def _code() -> Iterator[object]:
    """Which version of the reading it is: another may see mistakes where this saw none."""
    for folder in (Path(__file__).parent, Path(host.__file__).parent):
        yield str(folder)
        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.stat()) for entry in found if entry.is_file())
        # When a file was put there none can say of itself: in the Nix store all are of 1970.
        yield [(name, now.st_size, now.st_mtime_ns, now.st_ctime_ns) for name, now in entries]


def _fleet_json(root: Path) -> str | None:
    """The digest of ``fleet.json``; ``None`` where there is none."""
    path = root / FOLDER / "fleet.json"
    if not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _file(root: Path) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or machine.home() / ".cache"
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:16]
    return Path(base, "orchestrator", "inventories", f"{digest}.json")
