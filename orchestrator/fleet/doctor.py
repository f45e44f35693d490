"""Whether this machine has what deployments need, and what would make them faster."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.model import Knowledge, Known
from orchestrator.changes.source import floating_inputs, snapshot_of
from orchestrator.changes.tracing.choose import choose
from orchestrator.core import process
from orchestrator.core.checks import Finding, Grade
from orchestrator.core.errors import OrchestratorError
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix


async def examine(setup: Setup) -> tuple[Finding, ...]:
    """Look at all that counts. Nothing is changed, no host is contacted."""
    return tuple(
        await asyncio.gather(
            _found("Nix", _nix()),
            _found("git", _git()),
            _found("ssh", _ssh()),
            _found("sources", _sources(setup)),
            _found("tracer", _tracer()),
            _found("fingerprints", _fingerprints(setup)),
            _found("state", _state(setup)),
        )
    )


async def _found(what: str, examined: Awaitable[tuple[Grade, str, str]]) -> Finding:
    try:
        return Finding(what, *(await examined))
    except OrchestratorError as error:
        return Finding(what, Grade.BAD, error.message, error.hint or "")


async def _nix() -> tuple[Grade, str, str]:
    numbers = await nix.version()
    return Grade.GOOD, ".".join(map(str, numbers)), ""


async def _git() -> tuple[Grade, str, str]:
    done = await process.run(("git", "--version"), deadline=60)
    return Grade.GOOD, done.out.removeprefix("git version "), ""


async def _ssh() -> tuple[Grade, str, str]:
    if shutil.which("ssh") is None:
        hint = "install OpenSSH's client"
        return Grade.LESS, "there is no `ssh`, which reads ~/.ssh/config for us", hint
    return Grade.GOOD, "deployments bring their own; `ssh` reads ~/.ssh/config for them", ""


async def _sources(setup: Setup) -> tuple[Grade, str, str]:
    """Whether it can be told what changed."""
    try:
        tree = await snapshot_of(setup.flake)
    except OrchestratorError as error:
        return Grade.LESS, f"every run evaluates: {error.message}", "keep the fleet in git"
    if loose := await floating_inputs(setup.flake, tree):
        text = f"every run evaluates: flake.lock does not pin {', '.join(loose)}"
        return Grade.LESS, text, "nix flake lock, and commit flake.lock"
    if tree.indivisible:
        return Grade.LESS, f"any change counts for every host: {tree.indivisible}", ""
    return Grade.GOOD, f"{len(tree.entries)} files in git, every input is pinned", ""


async def _tracer() -> tuple[Grade, str, str]:
    choice = await choose()
    if choice.tracer is None:
        return Grade.LESS, choice.sentence, "install a C compiler or strace"
    return Grade.GOOD, choice.sentence, ""


async def _fingerprints(setup: Setup) -> tuple[Grade, str, str]:
    hosts = tuple(setup.fleet.hosts.values())
    known = KnownSystems(setup, hosts)
    found = [await known.of(host) for host in hosts]
    learned = sum(1 for one in found if _is_learned(one))
    holds = sum(1 for one in found if isinstance(one, Known))
    text = f"{learned} of {len(hosts)} hosts learned, {holds} known as the fleet is now"
    good = learned == len(hosts)
    return (Grade.GOOD, text, "") if good else (Grade.LESS, text, "orchestrator changes learn")


def _is_learned(known: Knowledge) -> bool:
    return known.fingerprint is not None and known.fingerprint.reads is not None


async def _state(setup: Setup) -> tuple[Grade, str, str]:
    folder = setup.state
    while not folder.exists():
        folder = folder.parent
    if os.access(folder, os.W_OK):
        return Grade.GOOD, str(setup.state), ""
    return Grade.BAD, f"{setup.state} cannot be written", "whose is it? see XDG_STATE_HOME"
