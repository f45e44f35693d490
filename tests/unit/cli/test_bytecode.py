"""Byte code that is kept in the user's cache: where it is, and whom it is taken from."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli import bytecode

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def python(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A Python that keeps no byte code, and a user whose cache is empty; gives the cache."""
    monkeypatch.setattr(sys, "pycache_prefix", None)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".cache"


def kept(tmp_path: Path) -> str | None:
    """Where byte code is kept by a command whose modules have none beside them."""
    bytecode.keep(str(tmp_path / "none.pyc"))
    return sys.pycache_prefix


def test_byte_code_is_kept_in_a_folder_of_the_users_own(python: Path, tmp_path: Path) -> None:
    """The folder is made where it is missing, nobody else may enter it, and Python writes there."""
    assert kept(tmp_path) == str(python / "orchestrator/bytecode")
    assert not sys.dont_write_bytecode
    assert (python / "orchestrator/bytecode").stat().st_mode & 0o777 == 0o700


def test_the_cache_is_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``XDG_CACHE_HOME`` goes before the home; a relative one is no place."""
    monkeypatch.setenv("XDG_CACHE_HOME", "elsewhere")
    assert kept(tmp_path) == str(tmp_path / ".cache/orchestrator/bytecode")
    monkeypatch.setattr(sys, "pycache_prefix", None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "said"))
    assert kept(tmp_path) == str(tmp_path / "said/orchestrator/bytecode")


def test_byte_code_that_is_there_is_left_to_python(tmp_path: Path) -> None:
    """Beside the modules, as pip leaves it, or where ``PYTHONPYCACHEPREFIX`` has it."""
    there = tmp_path / "there.pyc"
    there.touch()
    bytecode.keep(str(there))
    assert sys.pycache_prefix is None
    sys.pycache_prefix = "/elsewhere"
    assert kept(tmp_path) == "/elsewhere"
    assert sys.dont_write_bytecode


def _shared(cache: Path) -> None:
    (cache / "orchestrator/bytecode").mkdir(parents=True, mode=0o700)
    (cache / "orchestrator/bytecode").chmod(0o750)


def _shared_above(cache: Path) -> None:
    (cache / "orchestrator/bytecode").mkdir(parents=True, mode=0o700)
    (cache / "orchestrator").chmod(0o777)


def _shared_before(cache: Path) -> None:
    cache.mkdir()
    cache.chmod(0o777)


def _a_link(cache: Path) -> None:
    (cache / "other").mkdir(parents=True, mode=0o700)
    (cache / "orchestrator").mkdir()
    (cache / "orchestrator/bytecode").symlink_to(cache / "other")


def _a_link_above(cache: Path) -> None:
    (cache / "other/bytecode").mkdir(parents=True, mode=0o700)
    (cache / "orchestrator").symlink_to(cache / "other")


def _a_file(cache: Path) -> None:
    (cache / "orchestrator").mkdir(parents=True)
    (cache / "orchestrator/bytecode").touch(0o600)


def _anothers(cache: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    (cache / "orchestrator/bytecode").mkdir(parents=True, mode=0o700)
    os.chown(cache / "orchestrator/bytecode", 12345, 12345)


def _in_anothers_home(cache: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    cache.mkdir()
    os.chown(cache, 12345, 12345)


@pytest.mark.parametrize(
    "what",
    [
        *(_shared, _shared_above, _shared_before, _a_link, _a_link_above, _a_file),
        *(_anothers, _in_anothers_home),
    ],
    ids=lambda what: what.__name__,
)
def test_a_place_that_others_could_fill_is_not_used(
    python: Path, tmp_path: Path, what: Callable[[Path], None]
) -> None:
    """Byte code is code: Python goes on as if there were no cache, and nothing is made there."""
    what(python)
    before = sorted(python.rglob("*"))
    assert kept(tmp_path) is None
    assert sys.dont_write_bytecode
    assert sorted(python.rglob("*")) == before


@pytest.mark.parametrize("home", ["", "relative", "/dev/null"])
def test_without_a_home_there_is_no_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    """A home that is not there, or cannot be written, is no reason to fail."""
    monkeypatch.setenv("HOME", home)
    assert kept(tmp_path) is None


@pytest.fixture
def command(tmp_path: Path) -> Callable[[], str]:
    """Our program without byte code, below ``source``: runs it, and gives what its help says."""
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "orchestrator", source / "orchestrator", ignore=ignored)
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(source)}

    def run() -> str:
        argv = (sys.executable, "-m", "orchestrator", "deploy", "--help")
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.stdout.startswith("Usage: "), done.stderr
        return done.stdout

    return run


def test_the_second_start_compiles_nothing(
    python: Path, tmp_path: Path, command: Callable[[], str]
) -> None:
    """With ``PYTHONDONTWRITEBYTECODE`` as in many containers: ours and dependencies' are kept."""
    found = []
    for _ in range(2):
        command()
        found.append({path: path.stat().st_mtime_ns for path in python.rglob("*.pyc")})
    assert found[0] == found[1]
    assert {"group", "core", "deploy"} <= {path.name.split(".")[0] for path in found[0]}
    assert not [*(tmp_path / "source").rglob("*.pyc")]


def test_another_version_of_the_same_time_and_size_is_what_runs(
    tmp_path: Path, command: Callable[[], str]
) -> None:
    """The Nix store and many containers' layers give all files of all versions one time."""
    modules = [*(tmp_path / "source").rglob("*.py")]

    def pack() -> None:
        for module in modules:
            os.utime(module, (1, 1))

    pack()
    assert "Usage: " in command()
    group = tmp_path / "source/orchestrator/deploy/commands/deploy.py"
    text = group.read_text()
    assert "--dry-run" in text
    group.write_text(text.replace("--dry-run", "--try-run"))
    pack()
    assert "--try-run" in command()
