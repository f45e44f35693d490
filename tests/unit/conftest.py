"""A run with one fake host; and no example of Hypothesis fails for a machine that is slow."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_host import Bench
from hypothesis import HealthCheck, settings
from known_fleet import KnownFleet, known_fleet

settings.register_profile("unit", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """Make a bench whose host runs the old system."""
    return Bench(monkeypatch, tmp_path)


@pytest.fixture
def fleet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> KnownFleet:
    """Make a fleet of two hosts in a repository of its own."""
    return known_fleet(monkeypatch, tmp_path)
