"""A fleet in a real git repository, and a Nix that answers at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from orchestrator.changes import learn as changes_learn
from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.learn import Lesson
from orchestrator.changes.plan import Access, Knowledge
from orchestrator.changes.source import Source
from orchestrator.changes.tracing.twin import Trace
from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.settings import SshSettings

HOSTS = {name: Host(name, name, Connect(name)) for name in ("p620", "razer")}
READS: dict[str, frozenset[Access]] = {
    name: frozenset({("open", "flake.nix"), ("open", f"hosts/{name}.nix"), ("open", "hosts")})
    for name in HOSTS
}


def system(letter: str) -> Evaluated:
    """What an evaluation gives."""
    out = OutPath(f"/nix/store/{letter * 32}-nixos-system")
    return Evaluated(DrvPath(f"{out.path}.drv"), out)


def git(folder: Path, *argv: str) -> str:
    """Run git."""
    done = subprocess.run(["git", "-C", folder, *argv], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@dataclass
class KnownFleet:
    """The fleet.

    Attributes:
        systems: What each host evaluates to; a ``StepError`` is what its evaluation fails with.
        twins: What each host's twin evaluates to, where that is another system.
        metadata: What Nix says of the flake's inputs; ``None`` where it says nothing.
        evaluated: The hosts that were evaluated, in order.
        during: Called while Nix evaluates.
        locked: How often the lock file was to be completed.
    """

    setup: Setup
    systems: dict[str, Evaluated | StepError] = field(
        default_factory=lambda: {"p620": system("a"), "razer": system("b")}
    )
    twins: dict[str, Trace] = field(default_factory=dict)
    metadata: str | None = json.dumps({"locks": {"nodes": {"root": {}}, "root": "root"}})
    evaluated: list[str] = field(default_factory=list)
    during: Callable[[], None] = lambda: None
    locked: int = 0

    @property
    def root(self) -> Path:
        """The repository."""
        return Path(self.setup.fleet.root)

    @property
    def database(self) -> Path:
        """Where fingerprints are kept."""
        return self.setup.state / "fingerprints.db"

    def write(self, name: str, text: str = "other") -> None:
        """Edit a file."""
        (self.root / name).write_text(text)

    def commit(self) -> str:
        """Commit all; gives the commit."""
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "-m", "more")
        return git(self.root, "rev-parse", "HEAD")

    def override(self, *pairs: tuple[str, str]) -> None:
        """Have inputs stood in for."""
        flake = replace(self.setup.flake, overrides=pairs)
        self.setup = replace(self.setup, flake=flake)

    def known(self, *, use: bool = True) -> dict[str, Knowledge]:
        """What is known of each host now."""

        async def ask() -> dict[str, Knowledge]:
            known = KnownSystems(self.setup, tuple(HOSTS.values()), use=use)
            return {name: await known.of(host) for name, host in HOSTS.items()}

        return asyncio.run(ask())

    def run(
        self, number: int, *, use: bool = True, names: Sequence[str] = tuple(HOSTS)
    ) -> str | None:
        """Evaluate hosts as a deployment does, and keep what came of it."""

        async def deploy() -> str | None:
            async with Source(self.setup.flake) as source:
                known = KnownSystems(self.setup, tuple(HOSTS.values()), source, use=use)
                for name in names:
                    await known.of(HOSTS[name])
                    evaluated = await nix.evaluate(await source.flake(), name, deadline=1)
                    known.taught(HOSTS[name], evaluated)
                return await known.keep(number)

        return asyncio.run(deploy())

    def learn(self, *names: str, again: bool = False) -> dict[str, Lesson]:
        """Learn hosts, all or those named."""
        lessons = {}

        def told(lesson: Lesson) -> None:
            lessons[lesson.host] = lesson

        hosts = [HOSTS[name] for name in names or HOSTS]
        asyncio.run(changes_learn.learn(self.setup, hosts, told, again=again))
        return lessons

    async def answer(self, _: object, attr: str, **__: object) -> Evaluated:
        """Stand in for an evaluation."""
        self.evaluated.append(attr)
        self.during()
        found = self.systems[attr]
        if isinstance(found, StepError):
            raise found
        return found

    async def trace(self, _: object, attr: str, *__: object, **___: object) -> Trace:
        """Stand in for the twin's evaluation."""
        found = self.systems[attr]
        assert isinstance(found, Evaluated)
        return self.twins.get(attr, Trace(found.drv, READS[attr]))

    async def lock(self, _: object) -> None:
        """Stand in for ``nix flake lock``."""
        self.locked += 1

    async def inputs(self, _: object) -> str:
        """Stand in for ``nix flake metadata``."""
        if self.metadata is None:
            raise StepError("the flake's inputs are not known")
        return self.metadata


def known_fleet(patch: pytest.MonkeyPatch, folder: Path) -> KnownFleet:
    """Make a fleet of two hosts, in one commit."""
    patch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    patch.setenv("GIT_CEILING_DIRECTORIES", str(folder))
    for who in ("AUTHOR", "COMMITTER"):
        patch.setenv(f"GIT_{who}_NAME", "fleet")
        patch.setenv(f"GIT_{who}_EMAIL", "fleet@example.org")
    root = folder / "fleet"
    (root / "hosts").mkdir(parents=True)
    for name in ("flake.nix", "README", *(f"hosts/{name}.nix" for name in HOSTS)):
        (root / name).write_text(name)
    git(root, "init", "--quiet", "--initial-branch=main")
    fleet = Fleet("f", str(root), str(root), HOSTS)
    made = KnownFleet(Setup(fleet, Flake.at(str(root), str(root)), SshSettings(), folder / "state"))
    made.commit()

    patch.setattr(nix, "evaluate", made.answer)
    patch.setattr(nix, "metadata", made.inputs)
    patch.setattr(nix, "lock", made.lock)
    patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    patch.setattr(changes_learn, "trace", made.trace)
    patch.setattr(changes_learn, "find", found_tracer(object()))
    return made


def found_tracer(result: object) -> Callable[[], Awaitable[object]]:
    """Stand in for the search of a tracer."""

    async def find() -> object:
        return result

    return find
