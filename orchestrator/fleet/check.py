"""Checks that change nothing: every Nix file parses, every host evaluates."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from orchestrator.changes.source import Source
from orchestrator.core import git
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
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

    errors = await asyncio.gather(*(parse(file) for file in files))
    return dict(zip(files, errors, strict=True))


async def nix_files(root: Path) -> tuple[str, ...]:
    """The fleet's Nix files, relative to its root: what git tracks and is still there."""
    try:
        files = await git.tracked(str(root), "*.nix")
    except StepError:
        files = tuple(str(file.relative_to(root)) for file in sorted(root.rglob("*.nix")))
    return tuple(file for file in files if (root / file).is_file())


async def check_evaluation(setup: Setup, hosts: Sequence[Host]) -> Mapping[str, str | None]:
    """Evaluate hosts.

    Returns:
        Host → ``None`` where it evaluates, else the error.

    Raises:
        UsageError: There is no Nix, or it is too old.
    """
    await nix.version()
    async with Source(setup.flake) as source:
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, len(hosts))

        async def evaluate(host: Host) -> str | None:
            try:
                await evaluations.evaluate(Quiet(host))
            except StepError as error:
                return f"{error.message}\n{error.stderr}".rstrip()
            return None

        errors = await asyncio.gather(*(evaluate(host) for host in hosts))
    return dict(zip((host.name for host in hosts), errors, strict=True))
