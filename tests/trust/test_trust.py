"""Some hundreds of cases; thousands by hand, or with ``scripts/test --long``: see the README."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.trust.campaign import campaign, class_of
from tests.trust.keys import Keys, make_keys

pytestmark = pytest.mark.timeout(900)

SEEDS = (101, 102, 103)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    """Keys, authorities and certificates of all sorts."""
    return make_keys(tmp_path_factory.mktemp("keys"))


@pytest.mark.parametrize("seed", SEEDS)
def test_we_accept_nobody_whom_ssh_refuses(seed: int, keys: Keys, tmp_path: Path) -> None:
    """Whatever the files say, in either order of two hosts; and few are refused whom ssh takes."""
    tally = asyncio.run(campaign(keys, tmp_path, seed, 50))
    assert tally.wrong == []
    assert tally.accepted > 10
    assert tally.refused > 10
    assert tally.stricter.total() < 20, tally


def test_the_whole_connection_says_the_same(keys: Keys, tmp_path: Path) -> None:
    """Not only that which decides: asyncssh asks it, and there is no other way in."""
    tally = asyncio.run(campaign(keys, tmp_path, 104, 60, connect=True))
    assert tally.wrong == []
    assert tally.accepted > 5


def test_a_difference_has_a_class() -> None:
    """What nobody has thought of stands out."""
    assert class_of("something new").startswith("other")
