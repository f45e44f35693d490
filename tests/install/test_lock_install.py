"""Exactly the lock is installed, whatever an index has newer and whichever pip installs it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from index_bench import DEVELOPMENT, PIPS, TOOL, installed, pinned

BLOCK = re.compile(r"^```sh\n(python3 -m venv \.venv\n.*?)^```", re.MULTILINE | re.DOTALL)


def environment_with(pip: Path, venv: Path) -> Path:
    """Make an environment whose only package is a given pip; give its Python."""
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", venv), check=True)
    with zipfile.ZipFile(pip) as wheel:
        wheel.extractall(next(venv.glob("lib/python*/site-packages")))
    return venv / "bin/python"


def said(*argv: str | Path, cwd: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command; give its exit code and its words."""
    return subprocess.run(argv, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", PIPS)
def test_exactly_the_lock_is_installed(
    version: str,
    pips: dict[str, Path],
    index: str,
    clone: Path,
    bare: dict[str, str],
    tmp_path: Path,
) -> None:
    """Every package has a newer release; none of them is taken, and nothing else comes in."""
    python = environment_with(pips[version], tmp_path / "venv")
    done = said(
        *(python, "-I", "scripts/lib/lock_install.py", DEVELOPMENT.name),
        cwd=clone,
        env={**bare, "PIP_INDEX_URL": index},
    )
    assert done.returncode == 0, done
    assert installed(python) == pinned(DEVELOPMENT)


@pytest.mark.parametrize("version", ["23.0", "23.2"])
def test_the_index_would_break_a_lock_that_pip_resolves(
    version: str,
    pips: dict[str, Path],
    index: str,
    clone: Path,
    bare: dict[str, str],
    tmp_path: Path,
) -> None:
    """Without its extras, and without ``--no-deps``, the same lock is refused on this index."""
    python = environment_with(pips[version], tmp_path / "venv")
    (clone / "stripped.lock").write_text(DEVELOPMENT.read_text().replace("[toml]", ""))
    done = said(
        *(python, "-m", "pip", "install", "--dry-run", "--require-hashes", "-r", "stripped.lock"),
        cwd=clone,
        env={**bare, "PIP_INDEX_URL": index},
    )
    assert done.returncode == 1
    assert "coverage" in done.stderr


def test_an_index_that_lacks_a_release_is_told(
    pips: dict[str, Path], clone: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    """The release is named, and what to do; nothing is installed instead."""
    python = environment_with(pips["23.2"], tmp_path / "venv")
    (tmp_path / "empty").mkdir()
    done = said(
        *(python, "-I", "scripts/lib/lock_install.py", TOOL.name),
        cwd=clone,
        env={**bare, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "empty")},
    )
    assert done.returncode == 1
    assert f"No matching distribution found for asyncssh=={pinned(TOOL)['asyncssh']}" in done.stderr
    assert "PIP_INDEX_URL names another" in done.stderr
    assert "--no-deps --require-hashes" in done.stderr
    assert "Traceback" not in done.stderr


def test_what_getting_started_says_installs_the_tool(
    index: str, clone: Path, bare: dict[str, str]
) -> None:
    """What the page for getting started has one type installs the lock and a working command."""
    (commands,) = BLOCK.findall((clone / "docs/getting-started.md").read_text())
    path = f"{Path(sys.executable).resolve().parent}:{bare['PATH']}"
    env = {**bare, "PATH": path, "PIP_INDEX_URL": index}
    done = said("bash", "-e", "-c", f"{commands}\norchestrator --help", cwd=clone, env=env)
    assert done.returncode == 0, done
    assert "deploy" in done.stdout
    assert installed(clone / ".venv/bin/python") == pinned(TOOL)


def test_an_environment_of_another_lock_is_made_anew(
    index: str, clone: Path, bare: dict[str, str]
) -> None:
    """What an older checkout had put there is gone; one that failed is not taken for finished."""
    venv = clone / ".venv"
    env = {**bare, "PIP_INDEX_URL": index}
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", venv), check=True)
    (venv / "bin/old-program").touch()
    (venv / ".key").write_text("of an older lock\n")
    install = ("scripts/lib/python-install", Path(sys.executable).resolve(), venv)
    shutil.copy2(clone / TOOL.name, clone / "bad.lock")
    with (clone / "bad.lock").open("a") as bad:
        bad.write(f"nothing-like-it==1.0 \\\n    --hash=sha256:{'0' * 64}\n")
    failed = said(*install, "new", "bad.lock", cwd=clone, env=env)
    assert failed.returncode == 1
    assert not (venv / ".key").exists()
    done = said(*install, "new", TOOL.name, cwd=clone, env=env)
    assert done.returncode == 0, done
    assert (venv / ".key").read_text() == "new\n"
    assert not (venv / "bin/old-program").exists()
    assert installed(venv / "bin/python") == pinned(TOOL)
