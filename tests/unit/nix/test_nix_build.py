"""Nix's verbs for building: the command lines, and what is made of the answers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.process import CommandResult
from orchestrator.core.store import DrvPath, OutPath
from orchestrator.nix import closure

DRVS = tuple(DrvPath(f"/nix/store/{letter * 32}-system-{letter}.drv") for letter in "ab")
OUT = OutPath(f"/nix/store/{'a' * 32}-system-a")
FEATURES = ("--extra-experimental-features", "nix-command flakes")


def test_all_are_one_command() -> None:
    """What fails does not stop the others; builders are one word, as nix.conf has them."""
    argv = closure.build_argv(DRVS, ("ssh-ng://a x86_64-linux - 4", "ssh-ng://b"))
    assert argv == (
        *("nix", *FEATURES, "build", "--log-format", "internal-json", "-v"),
        *("--keep-going", "--no-link", "--builders", "ssh-ng://a x86_64-linux - 4 ; ssh-ng://b"),
        *(f"{drv}^*" for drv in DRVS),
    )
    assert "--builders" not in closure.build_argv(DRVS), "Nix's own settings hold"


def test_by_hand_it_is_one_system_with_its_log() -> None:
    """The command to build by hand builds one system and prints its log."""
    assert closure.build_by_hand(DRVS[0], ("ssh-ng://a",)) == (
        f"nix build --no-link --builders ssh-ng://a '{DRVS[0]}^*' --print-build-logs"
    )


class Store:
    """In place of Nix: a store in which paths are valid, or are not.

    Attributes:
        argvs: What was run.
    """

    def __init__(self, *, valid: bool, links: bool = True, built: bool = True) -> None:
        self.argvs: list[tuple[str, ...]] = []
        self._built = built
        self._valid = valid
        self._links = links

    async def __call__(self, argv: tuple[str, ...], **_: object) -> CommandResult:
        """Stand in for ``process.run``."""
        self.argvs.append(argv)
        if "--check-validity" in argv:
            return CommandResult(0, b"" if self._valid else OUT.path.encode(), b"")
        valid, self._built = self._valid and self._built, True
        return CommandResult(0 if valid and self._links else 1, b"", b"error: no link")


def keep(store: Store, patch: pytest.MonkeyPatch, *, exists: bool = True) -> bool:
    """Keep a path of a store."""
    patch.setattr(process, "run", store)
    patch.setattr(Path, "exists", lambda _: exists)
    return asyncio.run(closure.keep(OUT, Path("/s/roots/a")))


def test_what_is_not_there_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual case before a build is free."""
    store = Store(valid=False)
    assert not keep(store, monkeypatch, exists=False)
    assert store.argvs == []


def test_what_is_valid_gets_its_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that is valid here gets its root without any cache being asked."""
    store = Store(valid=True)
    assert keep(store, monkeypatch)
    (argv,) = store.argvs
    assert argv[:4] == ("nix-store", "--option", "substitute", "false")
    assert argv[4:] == ("--realise", OUT.path, "--add-root", "/s/roots/a")


def test_what_a_failed_build_left_is_not_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of that name is not enough."""
    assert not keep(Store(valid=False), monkeypatch)


def test_what_turns_valid_between_two_questions_gets_its_root(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A path that turns valid between two questions gets its garbage collector's root."""
    store = Store(valid=True, built=False)
    assert keep(store, monkeypatch)
    assert [argv[1] for argv in store.argvs] == ["--option", "--check-validity", "--option"]


def test_a_root_that_cannot_be_made_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A root that cannot be made is an error, and no reason to build what is there."""
    with pytest.raises(StepError, match="kept from garbage collection: no link"):
        keep(Store(valid=True, links=False), monkeypatch)
