"""Fixtures: one lab of five hosts for the whole session, one fresh fleet for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fleet_bench import Bench, example_fleet, in_lab


@pytest.fixture(scope="session")
def five(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """The example fleet's five hosts, up and deployed once."""
    bench = example_fleet(tmp_path_factory.mktemp("five"))
    with in_lab(bench):
        first = bench.deploy()
        assert first.rc == 0, first
        yield bench


@pytest.fixture
def fleet(five: Bench) -> Iterator[Bench]:
    """The five hosts, at what the fleet's files say, which are as committed."""
    five.reset()
    done = five.deploy()
    assert done.rc == 0, done
    yield five
    five.reset()
