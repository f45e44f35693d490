"""Every look at the disk is one of its own here, however fast the tests are."""

from __future__ import annotations

import itertools

import pytest

from orchestrator.ssh import known_hosts, settings


@pytest.fixture(autouse=True)
def _moments(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = itertools.count()
    for module in (known_hosts, settings):
        monkeypatch.setattr(module, "moment", lambda: next(moments))
    settings._found.cache_clear()
    known_hosts._as_of.cache_clear()
