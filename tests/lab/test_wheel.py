"""The tool as others install it: a wheel, in an environment of its own, far from here."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from fleet_bench import REPOSITORY, example_fleet

pytestmark = pytest.mark.lab


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """An environment that has the wheel, and of this one only what the tool needs."""
    source, wheels, environment = (tmp_path / name for name in ("source", "wheels", "environment"))
    source.mkdir()
    tracked = subprocess.run(
        ("git", "ls-files", "-z"), cwd=REPOSITORY, capture_output=True, check=True
    ).stdout
    names = [name for name in tracked.decode().split("\0") if name]
    for name in names:
        file = REPOSITORY / name
        if file.is_file() and not file.is_symlink():
            copy = source / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
            copy.chmod(file.stat().st_mode)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(wheels))
    subprocess.run((*pip, *build, str(source)), check=True, timeout=200)
    subprocess.run((sys.executable, "-m", "venv", "--without-pip", environment), check=True)
    python = environment / "bin/python"
    (wheel,) = wheels.glob("orchestrator-*.whl")
    install = ("--python", str(python), "install", "--no-deps", "--no-index", str(wheel))
    subprocess.run((*pip, *install), check=True, timeout=200)
    (packages,) = environment.glob("lib/python*/site-packages")
    parts = [name for name in names if name.startswith("orchestrator/") and name[-3:] != ".md"]
    assert [name for name in parts if not (packages / name).exists()] == []
    (packages / "needed.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    found = subprocess.run(
        (python, "-c", "import orchestrator; print(orchestrator.__file__)"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.startswith(str(packages))
    return environment / "bin/orchestrator"


def test_a_wheel_that_is_installed_elsewhere_deploys_a_lab_host(
    installed: Path, tmp_path: Path
) -> None:
    """An installed wheel deploys a lab host with its own guard and checks, off the repository."""
    bench = example_fleet(tmp_path)
    try:
        up = bench.command(str(installed), "lab", "up", "p510", seconds=280)
        assert up.rc == 0, up
        done = bench.command(str(installed), "deploy", "--json", "p510")
        assert done.outcomes == {"p510": "deployed"}
        again = bench.command(str(installed), "deploy", "--json", "p510")
        assert again.outcomes == {"p510": "unchanged"}
    finally:
        bench.command(str(installed), "lab", "down", "--purge")
