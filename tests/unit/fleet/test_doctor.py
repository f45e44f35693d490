"""What ``doctor`` finds of this machine: nothing is changed, and no host is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from known_fleet import KnownFleet

from orchestrator.core.checks import Finding, Grade
from orchestrator.core.errors import StepError
from orchestrator.fleet import doctor
from orchestrator.nix import verbs as nix


@pytest.fixture(autouse=True)
def _a_nix(monkeypatch: pytest.MonkeyPatch) -> None:
    async def version() -> tuple[int, ...]:
        return (2, 24, 1)

    monkeypatch.setattr(nix, "version", version)


def examined(fleet: KnownFleet) -> dict[str, Finding]:
    """What is found, by what was looked at."""
    return {one.what: one for one in asyncio.run(doctor.examine(fleet.setup))}


def test_a_machine_that_has_all_is_good(fleet: KnownFleet) -> None:
    """With Nix, a fleet in git and hosts that are learned, nothing is to be done for them."""
    fleet.learn()
    found = examined(fleet)
    assert (found["Nix"].grade, found["Nix"].text) == (Grade.GOOD, "2.24.1")
    for what in ("git", "sources", "fingerprints", "state"):
        assert (found[what].grade, found[what].hint) == (Grade.GOOD, ""), found[what]
    assert found["fingerprints"].text == "2 of 2 hosts learned, 2 known as the fleet is now"


def test_what_is_missing_is_named_with_what_to_do(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without Nix, ``ssh`` or anything learned each finding says so, and the others stand."""

    async def none() -> tuple[int, ...]:
        raise StepError("nix is not there", hint="install it")

    monkeypatch.setattr(nix, "version", none)
    monkeypatch.setattr("shutil.which", lambda _: None)
    found = examined(fleet)
    assert found["Nix"] == Finding("Nix", Grade.BAD, "nix is not there", "install it")
    assert found["ssh"].hint == "install OpenSSH's client"
    assert found["fingerprints"].hint == "orchestrator changes learn"
    assert found["git"].grade is Grade.GOOD


def test_a_fleet_that_git_does_not_have_is_always_evaluated(fleet: KnownFleet) -> None:
    """Outside of git ``doctor`` says that every run evaluates, and to keep the fleet in git."""
    (fleet.root / ".git").rename(fleet.root / "elsewhere")
    assert examined(fleet)["sources"].hint == "keep the fleet in git"


def test_a_state_folder_that_cannot_be_made_is_bad(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the nearest folder above the state's cannot be written, its finding names it."""
    asked: list[Path] = []

    def access(folder: Path, _: int) -> bool:
        asked.append(folder)
        return False

    monkeypatch.setattr("os.access", access)
    found = examined(fleet)["state"]
    assert (found.grade, found.text) == (Grade.BAD, f"{fleet.setup.state} cannot be written")
    assert any(fleet.setup.state.is_relative_to(folder) for folder in asked)
