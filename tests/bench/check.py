"""The check itself: is what is known of a fleet's hosts still so? Needs no Nix and no host."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from unittest import mock

from orchestrator.changes.knowledge import KnownSystems, fingerprints_of
from orchestrator.changes.plan import Asked, Fingerprint, Known, Read, Tree
from orchestrator.changes.tree.snapshot import snapshot
from orchestrator.core.host import Host
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.host.setup import Setup, state_folder
from orchestrator.inventory.load import load
from orchestrator.nix.context import context
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.settings import SshSettings
from tests.bench.table import Table, spread
from tests.bench.timing import Ran, Series, run
from tests.lab.fleet_bench import ORCHESTRATOR

SIZES = (5, 100, 1000)
FILES = 4000
READ_BY_EACH = 200


@dataclass(frozen=True, slots=True)
class Checks:
    """What it took, for one number of hosts.

    Attributes:
        same: Nothing changed; every host is found known.
        other: One host's file changed; all but that host are found known.
        process: ``orchestrator changes affected``, start and reading the inventory included.
    """

    same: Series
    other: Series
    process: Series


async def measure(
    repeat: int, sizes: Sequence[int] = SIZES, files: int = FILES
) -> dict[int, Checks]:
    """Measure for several numbers of hosts, in a git tree of so many files."""
    return {size: await _one_size(size, files, repeat) for size in sizes}


async def _one_size(size: int, files: int, repeat: int) -> Checks:
    with _fleet(size, files) as root:
        setup = _setup(root)
        hosts = tuple(setup.fleet.hosts.values())
        tree = await snapshot(str(root))
        learned = [_fingerprint(host, setup.flake, tree) for host in hosts]
        assert fingerprints_of(setup.state).keep(learned)
        found = Checks(Series(), Series(), Series())
        own = root / "hosts" / hosts[0].name / "default.nix"
        before = own.read_text()
        for number in range(repeat):
            found.same.add(await _timed(setup, hosts, known=size))
            own.write_text(f"{{ }} # {number}\n")
            found.other.add(await _timed(setup, hosts, known=size - 1))
            own.write_text(before)
            found.process.add(
                run((str(ORCHESTRATOR), "changes", "affected"), cwd=root, env=os.environ)
            )
        return found


async def _timed(setup: Setup, hosts: Sequence[Host], *, known: int) -> Ran:
    began = time.perf_counter()
    systems = KnownSystems(setup, hosts)
    answers = [await systems.of(host) for host in hosts]
    seconds = time.perf_counter() - began
    count = sum(isinstance(answer, Known) for answer in answers)
    return Ran(seconds, int(count != known), f"{count} hosts known instead of {known}")


def _setup(root: Path) -> Setup:
    fleet = load(root).fleet
    return Setup(fleet, Flake(".", str(root)), SshSettings(), state_folder(fleet))


@contextmanager
def _fleet(size: int, files: int) -> Iterator[Path]:
    """A git repository with an inventory, a file for each host, and as many others as it takes."""
    with (
        tempfile.TemporaryDirectory(prefix="orchestrator-bench-check-") as folder,
        mock.patch.dict(os.environ, {"XDG_STATE_HOME": folder, "HOME": folder}),
    ):
        root = Path(folder, "fleet")
        names = [f"h{number:04}" for number in range(size)]
        _write(root / "flake.nix", "{ outputs = _: { }; }\n")
        _write(root / "inventory/hosts.yaml", "hosts:\n" + "".join(f"  {n}: {{}}\n" for n in names))
        for name in names:
            _write(root / f"hosts/{name}/default.nix", "{ }\n")
        for number in range(files - size - 2):
            _write(root / _module(number), f"{{ }} # {number}\n")
        identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        for words in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "a fleet")):
            subprocess.run(("git", *words), cwd=root, check=True, capture_output=True)
        yield root


def _module(number: int) -> str:
    return f"modules/{number % 40}/{number}.nix"


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _fingerprint(host: Host, flake: Flake, tree: Tree) -> Fingerprint:
    """What a host's evaluation may have read: its own file, common ones, and some of its own."""
    modules = sorted(path for path in tree.entries if path.startswith("modules/"))
    some = random.Random(host.name).sample(modules, READ_BY_EACH - 2)  # noqa: S311
    paths = ["flake.nix", f"hosts/{host.name}/default.nix", *some]
    reads = {Read(Asked.CONTENT, path) for path in paths} | {Read(Asked.LIST, "hosts")}
    digest = hashlib.sha256(host.name.encode()).hexdigest()[:32].replace("e", "0")
    name = f"/nix/store/{digest}-nixos-system-{host.name}"
    return Fingerprint(
        attr=host.attr,
        context=context(flake),
        tree=tree,
        reads=frozenset(reads),
        files=len(paths),
        evaluated=Evaluated(DrvPath(f"{name}.drv"), OutPath(name)),
        run=None,
        at=datetime.now(UTC),
    )


def table(found: dict[int, Checks]) -> Table:
    """A row for each number of hosts."""
    rows = [
        (str(size), spread(one.same), spread(one.other), spread(one.process))
        for size, one in found.items()
    ]
    columns = ("hosts", "nothing changed", "one host's file changed", "a whole process")
    problems = [
        f"{size} hosts: {series.failure}"
        for size, one in found.items()
        for series in (one.same, one.other, one.process)
        if series.failure
    ]
    return Table(columns, tuple(rows), tuple(problems))
