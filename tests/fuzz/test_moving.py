"""Some dozens of verdicts while files move; thousands of them by hand: see the README."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from moving import READS, Moving, of_their_own

from orchestrator.lab import seed

pytestmark = [pytest.mark.nix, pytest.mark.timeout(900)]

ROUNDS = 2


def test_no_verdict_is_wrong_while_files_move(tmp_path: Path) -> None:
    """Whatever is edited, stashed or checked out meanwhile, and whoever evaluates beside it."""
    if not seed.machine_has_nix():
        pytest.fail("no Nix ≥ 2.18 here: scripts/lib/with-nix .venv/bin/pytest tests/fuzz")
    with of_their_own(tmp_path):
        tally = asyncio.run(Moving(tmp_path, seed=1).rounds(ROUNDS))
    assert tally.wrong == []
    assert tally.verdicts >= 3 * ROUNDS * len(READS)
