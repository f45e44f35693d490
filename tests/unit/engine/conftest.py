"""A run with one fake host."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_host import Bench


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    """Make a bench whose host runs the old system."""
    return Bench(monkeypatch, tmp_path)
