"""What each test may rely on, whoever starts the suite."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

SHUFFLED = Path(__file__).parent / "unit"
"""Whose tests share nothing. Others share a lab or a fleet, and put it right only between them."""


def pytest_configure() -> None:
    """Have Ctrl-C reach what tests start: a script's background ignores it, and hands that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    """Leave the unit tests as pytest-randomly shuffled them, all others as they are written."""
    written = [item for item in items if not item.path.is_relative_to(SHUFFLED)]
    yield
    kept = set(items)
    shuffled = [item for item in items if item.path.is_relative_to(SHUFFLED)]
    items[:] = [*shuffled, *(item for item in written if item in kept)]
