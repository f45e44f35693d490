"""Some hundreds of verdicts; more of them by hand: see the README."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from campaign import Campaign
from repository import KINDS

from orchestrator.changes.tracing import evaluation
from orchestrator.lab import seed
from orchestrator.nix.verbs import version

pytestmark = [pytest.mark.nix, pytest.mark.timeout(900)]

SEED = 1
STEPS = 6
CONSTRUCTS = 18


@pytest.mark.parametrize("kind", KINDS)
def test_unchanged_is_never_wrong(kind: str, tmp_path: Path) -> None:
    """Whatever is edited: where nothing is said to have changed, Nix gives the same derivation."""
    if not seed.machine_has_nix():
        pytest.fail("no Nix ≥ 2.18 here: scripts/lib/with-nix .venv/bin/pytest tests/fuzz")

    since = KINDS[kind].since
    if asyncio.run(version()) < since:
        pytest.skip(f"needs Nix {since[0]}.{since[1]}")

    async def go() -> None:
        tracer = await evaluation.find()
        assert tracer is not None
        tally = await Campaign(tmp_path, kind, SEED, tracer, most=CONSTRUCTS).run(STEPS)
        assert tally.wrong == []
        assert tally.same > STEPS or tally.unknown

    asyncio.run(go())
