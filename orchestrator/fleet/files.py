"""The fleet's files: checked, formatted; its pins, moved."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core import beneath, git, process, stored
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.host import Host
from orchestrator.core.together import together
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.evaluation import Evaluations

_AT_ONCE = 8


async def check_files(setup: Setup) -> Mapping[str, str | None]:
    """Parse every Nix file that git tracks; all of them where the fleet is in no repository.

    Returns:
        File → ``None`` where it parses, else the error.

    Raises:
        UsageError: There is no Nix.
    """
    nix.require()
    root = Path(setup.fleet.root)
    files = await nix_files(root)
    gate = asyncio.Semaphore(_AT_ONCE)

    async def parse(file: str) -> str | None:
        async with gate:
            return await nix.parse(str(root / file))

    async with together() as group:
        tasks = {file: group.create_task(parse(file)) for file in files}
    return {file: task.result() for file, task in tasks.items()}


async def nix_files(root: Path) -> tuple[str, ...]:
    """The fleet's Nix files, relative to its root: what git tracks and is still there."""
    try:
        files = await git.tracked(str(root), "*.nix")
    except StepError:
        files = tuple(str(file.relative_to(root)) for file in sorted(root.rglob("*.nix")))
    return tuple(file for file in files if (root / file).is_file())


async def check_evaluation(setup: Setup, hosts: Sequence[Host]) -> Mapping[str, str | None]:
    """Evaluate hosts; what comes of it is known to the next deployment.

    Returns:
        Host → ``None`` where it evaluates, else the error.

    Raises:
        UsageError: There is no Nix, or it is too old.
    """
    await nix.version()
    async with Source(setup.flake) as source:
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))
        known = KnownSystems(setup, hosts, source, use=False)
        asked = (known.evaluate(Quiet(host), evaluations, "") for host in hosts)
        errors = await asyncio.gather(*map(error_of, asked))
        await known.keep(None)
    return dict(zip((host.name for host in hosts), errors, strict=True))


async def error_of(evaluation: Awaitable[object]) -> str | None:
    """Wait for an evaluation; give its error with what Nix said, ``None`` where it has none."""
    try:
        await evaluation
    except StepError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        return f"{error.message}{hint}\n{error.stderr}".rstrip()
    return None


FORMATTERS = ("nixfmt", "alejandra", "nixpkgs-fmt")
"""In the order of preference: nixfmt is the official one (RFC 166)."""

_MOST = 64 * 2**20
"""Bytes of a Nix file."""


async def format_tracked(root: str, *, check: bool) -> tuple[str, ...]:
    """Format the fleet's Nix files.

    Args:
        root: The fleet's root.
        check: Put back what the formatter changed.

    Returns:
        The files that changed, or would.

    Raises:
        UsageError: No formatter is on the PATH.
        StepError: The formatter failed; the files are as they were.
    """
    formatter = next((name for name in FORMATTERS if shutil.which(name)), None)
    if formatter is None:
        raise UsageError(
            f"no formatter is on the PATH: {', '.join(FORMATTERS)}",
            hint="nix shell nixpkgs#nixfmt-rfc-style",
        )
    folder = Path(root)
    # A formatter follows links, and writes where they lead.
    files = [file for file in await nix_files(folder) if beneath.is_regular(folder, file)]
    before = {file: beneath.read(folder, file, _MOST) for file in files}
    if not before:
        return ()
    done = await process.run((formatter, *(str(folder / file) for file in files)), deadline=600)
    changed = [file for file, text in before.items() if _now(folder, file) != text]
    if check or done.rc != 0:
        for file in changed:
            beneath.replace(folder, file, before[file])
    if done.rc != 0:
        raise StepError(f"{formatter} failed (exit {done.rc})", stderr=done.err)
    return tuple(changed)


def _now(folder: Path, file: str) -> bytes | None:
    try:
        return beneath.read(folder, file, _MOST)
    except OSError:
        return None


LOCK = "flake.lock"


@dataclass(frozen=True, slots=True)
class MovedInput:
    """What an input is locked to, in Nix's own words; ``None`` where there is no such input.

    The form: https://nix.dev/manual/nix/latest/command-ref/new-cli/nix3-flake#lock-files
    """

    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Pins:
    """The lock file as it was.

    Attributes:
        folder: The flake's.
        before: Its content; ``None`` where there was none.
    """

    folder: Path
    before: bytes | None

    @classmethod
    def of(cls, setup: Setup) -> Pins:
        """Read it.

        Raises:
            UsageError: The flake is not in a folder of this machine, or there is no Nix.
        """
        nix.require()
        if setup.flake.reference != ".":
            message = f"the flake {setup.flake.reference} is not in a folder of this machine"
            raise UsageError(message)
        folder = Path(setup.flake.folder)
        return cls(folder, lock_of(folder))

    def moved(self) -> Mapping[str, MovedInput] | None:
        """Compare with the file as it is: input → what it was locked to, and is.

        Returns:
            The inputs (the lock file's nodes) for which that differs; ``None`` where one of the
            two files is not understood.
        """
        before, after = _locked(self.before), _locked(lock_of(self.folder))
        if before is None or after is None:
            return None
        return {
            name: MovedInput(before.get(name), after.get(name))
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        }

    def put_back(self) -> None:
        """Have the file as it was."""
        if self.before is None:
            beneath.remove(self.folder, LOCK)
        else:
            beneath.replace(self.folder, LOCK, self.before)


async def move_pins(setup: Setup, inputs: Sequence[str]) -> str:
    """Update the lock file, and evaluate every host with it.

    Returns:
        What Nix said of it.

    Raises:
        StepError: An input could not be fetched, or a host does not evaluate with the new pins.
    """
    moved = await nix.update(setup.flake, inputs)
    await _require_evaluation(setup)
    return moved.strip()


async def commit_pins(setup: Setup, inputs: Sequence[str]) -> bool:
    """Commit the lock file alone.

    Returns:
        Whether anything in it had moved.

    Raises:
        StepError: git refused.
    """
    message = f"flake: update {', '.join(inputs) or 'all inputs'}"
    return await git.commit_file(setup.flake.folder, LOCK, message)


async def _require_evaluation(setup: Setup) -> None:
    # Without the lab's overrides: the new pins themselves must evaluate.
    plain = replace(setup, flake=replace(setup.flake, overrides=()))
    found = await check_evaluation(plain, tuple(setup.fleet.hosts.values()))
    wrong = {name: error for name, error in found.items() if error is not None}
    if wrong:
        raise StepError(
            f"with the new pins these hosts do not evaluate: {', '.join(wrong)}; "
            f"{LOCK} is put back as it was",
            stderr="\n".join(wrong.values()),
        )


@dataclass(frozen=True, slots=True)
class _Node:
    locked: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class _Lock:
    nodes: dict[str, _Node]


def _locked(lock: bytes | None) -> Mapping[str, Mapping[str, Any] | None] | None:
    if lock is None:
        return {}
    try:
        nodes = stored.decode(_Lock, lock).nodes
    except stored.DamagedError:
        return None
    return {name: node.locked for name, node in nodes.items()}


def lock_of(folder: Path) -> bytes | None:
    """Read the lock file; Nix writes where a link in its place leads, so there is to be none."""
    if not os.path.lexists(folder / LOCK):
        return None
    if not beneath.is_regular(folder, LOCK):
        raise UsageError(f"{folder / LOCK} is a link, or no file; Nix would write where it leads")
    return beneath.read(folder, LOCK, _MOST)
