"""Every look at the disk is one of its own here, however fast the tests are; some tests rotate."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.ssh import known_hosts, settings

QUARTERS = 4


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the tests that rotate play a quarter, by the seed; ``-m rotating`` plays all of them."""
    if config.getoption("markexpr"):
        return
    quarter = int(config.getoption("randomly_seed", 0)) % QUARTERS
    found = (item for item in items if item.get_closest_marker("rotating"))
    rotating = sorted(found, key=lambda item: item.nodeid)
    others = rotating[:]
    del others[quarter::QUARTERS]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


@pytest.fixture(autouse=True)
def _moments(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = itertools.count()
    for module in (known_hosts, settings):
        monkeypatch.setattr(module, "moment", lambda: next(moments))
    settings._found.cache_clear()
    known_hosts._as_of.cache_clear()
