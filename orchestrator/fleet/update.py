"""Move a flake's pins: kept and committed where every host evaluates, else put back."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from orchestrator.core import beneath, git
from orchestrator.core.errors import StepError, UsageError
from orchestrator.fleet.check import check_evaluation
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix

LOCK = "flake.lock"
_MOST = 64 * 2**20


async def update_flake(setup: Setup, inputs: Sequence[str]) -> str:
    """Update the lock file, evaluate every host with it, commit it.

    Returns:
        What was done, in a sentence.

    Raises:
        UsageError: The flake is not in a folder of this machine, or there is no Nix.
        StepError: An input could not be fetched, or a host does not evaluate with the new pins;
            the lock file is as it was.
    """
    nix.require()
    folder = setup.flake.folder
    if setup.flake.reference != ".":
        raise UsageError(f"the flake {setup.flake.reference} is not in a folder of this machine")
    before = lock_of(Path(folder))
    try:
        moved = await nix.update(setup.flake, inputs)
        await _require_evaluation(setup)
        committed = await git.commit_file(folder, LOCK, _message(inputs))
    except BaseException:
        _put_back(Path(folder), before)
        raise
    if not committed:
        return f"{LOCK}: nothing moved"
    return f"{moved}\n{LOCK} is committed; every host evaluates. Next: orchestrator deploy".strip()


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


def _message(inputs: Sequence[str]) -> str:
    return f"flake: update {', '.join(inputs) or 'all inputs'}"


def lock_of(folder: Path) -> bytes | None:
    """Read the lock file; Nix writes where a link in its place leads, so there is to be none."""
    if not os.path.lexists(folder / LOCK):
        return None
    if not beneath.is_regular(folder, LOCK):
        raise UsageError(f"{folder / LOCK} is a link, or no file; Nix would write where it leads")
    return beneath.read(folder, LOCK, _MOST)


def _put_back(folder: Path, before: bytes | None) -> None:
    if before is None:
        beneath.remove(folder, LOCK)
    else:
        beneath.replace(folder, LOCK, before)
