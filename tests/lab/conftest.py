"""Fixtures: one lab of five hosts for the whole session, one fresh fleet for each test."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import pytest
from fleet_bench import Bench, example_fleet, in_lab

PARTS = 6
"""Of the tests that are marked ``rotating`` so many-th is played for each revision."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the part be chosen."""
    parser.addoption("--part", type=int, help="of the tests that rotate, only those of this number")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is another part's."""
    part: int | None = config.getoption("--part")
    if part is None:
        return
    others = [
        item for item in items if item.get_closest_marker("rotating") and not _is_in(item, part)
    ]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]


def _is_in(item: pytest.Item, part: int) -> bool:
    return zlib.crc32(item.nodeid.encode()) % PARTS == part % PARTS


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
