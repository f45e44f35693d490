"""What others have set in a shell changes neither what is installed nor where."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from index_bench import TOOL, installed, pinned

BASE = Path(sys.executable).resolve()


def foreign_variables(folder: Path) -> dict[str, str]:
    """What a conda, another environment and a person's own habits leave in a shell."""
    evil = folder / "evil"
    (evil / "pip").mkdir(parents=True)
    for name in ("sitecustomize.py", "pip/__init__.py", "setuptools.py", "orchestrator.py"):
        (evil / name).write_text("raise SystemExit('imported from PYTHONPATH')\n")
    (folder / "constraints.txt").write_text("rich==9999.0\n")
    return {
        "PIP_CONSTRAINT": str(folder / "constraints.txt"),
        "PIP_DRY_RUN": "1",
        "PIP_IGNORE_INSTALLED": "1",
        "PIP_NO_BINARY": ":all:",
        "PIP_NO_BUILD_ISOLATION": "1",
        "PIP_NO_DEPS": "0",
        "PIP_PREFIX": str(folder / "prefix"),
        "PIP_PRE": "1",
        "PIP_QUIET": "2",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_ROOT": str(folder / "root"),
        "PIP_TARGET": str(folder / "target"),
        "PIP_USER": "1",
        "PYTHONHOME": "/nonexistent",
        "PYTHONPATH": str(evil),
        "PYTHONOPTIMIZE": "2",
        "VIRTUAL_ENV": "/nonexistent",
        "CONDA_PREFIX": "/nonexistent",
        "CONDA_DEFAULT_ENV": "base",
    }


def foreign_files(home: Path, index: str) -> None:
    """Settings in files; of all of them the index alone may count."""
    (home / ".config/pip").mkdir(parents=True)
    (home / ".config/pip/pip.conf").write_text(
        f"[global]\nquiet = 2\nindex-url = {index}\nuser = true\nrequire-virtualenv = true\n"
        f"[install]\ntarget = {home / 'target'}\nno-deps = false\npre = true\n"
    )
    (home / ".pydistutils.cfg").write_text(f"[install]\nprefix = {home / 'prefix'}\n")


def test_nothing_but_the_way_to_the_index_is_taken_from_the_shell(
    index: str, clone: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    """With all of it set, the lock is installed into the environment and nowhere else."""
    home = Path(bare["HOME"])
    foreign_files(home, index)
    venv = clone / ".venv"
    done = subprocess.run(
        ("scripts/lib/python-install", BASE, venv, "key", TOOL.name),
        cwd=clone,
        env={**bare, **foreign_variables(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    assert installed(venv / "bin/python") == pinned(TOOL)
    assert {path.name for path in home.iterdir()} <= {".config", ".pydistutils.cfg", ".cache"}
    assert not {"prefix", "root", "target"} & {path.name for path in tmp_path.iterdir()}


@pytest.fixture
def too_old(tmp_path: Path) -> Path:
    """A folder with a ``python3`` that is older than any that can run this."""
    folder = tmp_path / "old-python"
    folder.mkdir()
    (folder / "python3").write_text("#!/bin/sh\necho 'SyntaxError: invalid syntax' >&2\nexit 1\n")
    (folder / "python3").chmod(0o755)
    return folder


def found(kind: str, path: str, env: dict[str, str]) -> str:
    """Ask the scripts which Python they take, on a machine that is no Debian."""
    code = (
        "set -euo pipefail; PATH_BEFORE=$PATH; on_debian() { false; }; NEEDS_PYTHON='3, 11'\n"
        f". scripts/lib/python.sh; clean_environment; {kind}"
    )
    done = subprocess.run(
        ("bash", "-c", code),
        env={**env, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_python_that_is_too_old_is_passed_over(
    too_old: Path, bare: dict[str, str], tmp_path: Path
) -> None:
    """One in front of the others does not matter, whatever is set for it."""
    path = f"{too_old}:{BASE.parent}:{bare['PATH']}"
    python = found("complete_python", path, {**bare, **foreign_variables(tmp_path)})
    assert Path(python).resolve() == BASE


def test_an_active_environment_is_looked_through(bare: dict[str, str], tmp_path: Path) -> None:
    """The Python that it was made of is taken: the environment may go, or be the one made again."""
    venv = tmp_path / "active"
    subprocess.run((BASE, "-m", "venv", "--without-pip", venv), check=True)
    path = f"{venv / 'bin'}:{bare['PATH']}"
    assert Path(found("complete_python", path, bare)).parent == BASE.parent


def test_a_python_without_its_libraries_is_passed_over(
    bare: dict[str, str], tmp_path: Path
) -> None:
    """One that was built without SQLite, as those that people build are, makes no environment."""
    folder = tmp_path / "poor"
    folder.mkdir()
    block = "import sys; sys.modules['sqlite3'] = None; exec(sys.argv.pop(1))"
    (folder / "python3").write_text(
        f'#!/bin/sh\n[ "$2" = -c ] || exit 1\nexec {BASE} -I -c "{block}" "$3"\n'
    )
    (folder / "python3").chmod(0o755)
    path = f"{folder}:{BASE.parent}:{bare['PATH']}"
    poor = subprocess.run((folder / "python3", "-I", "-c", "import ssl"), check=False)
    assert poor.returncode == 0
    log = found('base_python python3 "$COMPLETE" || echo refused', path, bare)
    assert log == "refused"
    assert Path(found("complete_python", path, bare)).resolve() == BASE
