"""Caches for Nix of our own: downloads are shared, what was remembered is not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from orchestrator.nix.context import fresh_cache, own_cache


@pytest.fixture
def person(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A person's cache: evaluations, what was taken down of sources, downloads."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("NIX_CACHE_HOME", raising=False)
    folder = tmp_path / "cache/nix"
    for name in ("eval-cache-v5", "gitv3", "tarball-cache"):
        (folder / name).mkdir(parents=True)
    (folder / "fetcher-cache-v3.sqlite").touch()
    return folder


def test_downloads_are_shared_and_what_was_remembered_is_not(person: Path) -> None:
    """In a place of our own, whichever variable Nix goes by."""
    env = own_cache()
    mine = Path(env["NIX_CACHE_HOME"])
    assert mine == Path(env["XDG_CACHE_HOME"], "nix")
    assert {path.name for path in mine.iterdir()} == {"gitv3", "tarball-cache"}
    assert (mine / "gitv3").resolve() == person / "gitv3"


def test_what_a_person_deleted_is_made_anew(person: Path) -> None:
    """A link that leads nowhere would be in Nix's way."""
    mine = Path(own_cache()["NIX_CACHE_HOME"])
    (person / "gitv3").rmdir()
    own_cache()
    assert not (mine / "gitv3").is_symlink()


def test_a_copy_for_once_knows_what_was_fetched(person: Path, tmp_path: Path) -> None:
    """From our own; no evaluation is in it, and nothing comes back from it."""
    mine = Path(own_cache()["NIX_CACHE_HOME"])
    with sqlite3.connect(mine / "fetcher-cache-v3.sqlite") as database:
        database.execute("CREATE TABLE Cache (key)")
    (mine / "eval-cache-v5").mkdir()
    copy = Path(fresh_cache(tmp_path / "once")["NIX_CACHE_HOME"])
    names = {"gitv3", "tarball-cache", "fetcher-cache-v3.sqlite"}
    assert {path.name for path in copy.iterdir()} == names
    with sqlite3.connect(copy / "fetcher-cache-v3.sqlite") as database:
        assert database.execute("SELECT count(*) FROM Cache").fetchone() == (0,)
