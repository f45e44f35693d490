"""A fleet whose files move while it is evaluated: what is deployed is what was there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from moving_fleet import MovingFleet, moving_fleet

pytestmark = pytest.mark.usefixtures("nix")

WAYS = ((), ("--no-cache",))
"""However it is deployed."""


@pytest.fixture
def fleet(tmp_path: Path) -> MovingFleet:
    """The fleet, never evaluated."""
    return moving_fleet(tmp_path / "fleet")


def swap_evaluations(fleet: MovingFleet) -> None:
    """Let the evaluation cache give another content's derivation for the tree as it is."""
    fleet.swap_evaluations(of_another(fleet, fleet.evaluate))


def swap_sources(fleet: MovingFleet) -> None:
    """Let Nix take another content's copy for the tree as it is; what came of it counts, too."""

    def copied() -> str:
        fleet.evaluate()
        return str(json.loads(fleet.nix("flake", "metadata", "--json", "."))["path"])

    fleet.swap_sources(of_another(fleet, copied))


def of_another(fleet: MovingFleet, asked: Callable[[], str]) -> str:
    """Ask the tree with another content, then as it was, so that both are remembered."""
    before = (fleet.root / "zz/read").read_text()
    fleet.write("other")
    found = asked()
    fleet.write(before)
    asked()
    return found


@pytest.mark.parametrize("way", WAYS, ids=lambda way: " ".join(way) or "plain")
@pytest.mark.parametrize("lie", [swap_evaluations, swap_sources], ids=lambda lie: lie.__name__)
@pytest.mark.parametrize("state", ["clean", "dirty"])
def test_a_cache_of_nix_that_lies_is_not_believed(
    fleet: MovingFleet, state: str, lie: Callable[[MovingFleet], None], way: tuple[str, ...]
) -> None:
    """Whatever it holds under the tree's key, the tree's own content is built."""
    if state == "dirty":
        fleet.write("second")
    lie(fleet)
    expected = "first" if state == "clean" else "second"
    assert fleet.built(*way) == expected


@pytest.mark.parametrize("program", ["", "nix"], ids=["whoever", "nix"])
@pytest.mark.parametrize("state", ["clean", "dirty"])
def test_files_that_move_while_they_are_read_are_read_again(
    fleet: MovingFleet, state: str, program: str
) -> None:
    """Files that move while they are read are read again, and what is built agrees with them."""
    if state == "dirty":
        fleet.write("dirty", "aa/other")
        fleet.git("add", "aa/other")
    fleet.edits_itself("second", program)
    # Nix does not get to see the files that people edit.
    assert fleet.built() == ("first" if program else "second")
    fleet.more.clear()
    fleet.write("first")
    assert fleet.built() == "first"
    assert fleet.built("--no-cache") == "first"


def test_what_is_edited_while_nix_evaluates_is_the_next_deployments(fleet: MovingFleet) -> None:
    """The run has what was there when it began; and knows it again."""
    fleet.meanwhile("second")
    assert fleet.built() == "first"
    fleet.more.clear()
    assert fleet.built() == "second"
    fleet.git("checkout", "-q", "zz/read")
    assert fleet.built() == "first"
