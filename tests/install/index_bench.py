"""A package index on this machine: every locked release, and a newer one of each."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "requirements.lock"
DEVELOPMENT = ROOT / "requirements-dev.lock"
NEWER = "9999.0"
PIPS = ("23.0", "23.2", "newest")

_PINNED = re.compile(r"^([\w.-]+)(?:\[[\w,-]+\])?==(\S+) \\$", re.MULTILINE)
_CHECKOUT = (
    *("orchestrator", "scripts", "docs/getting-started.md"),
    *("pyproject.toml", "README.md", "requirements.lock", "requirements-dev.lock"),
)


def normal(name: str) -> str:
    """Spell a package's name as an index does (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned(lock: Path) -> dict[str, str]:
    """Each package that a lock names, and its version."""
    return {normal(name): version for name, version in _PINNED.findall(lock.read_text())}


def download(into: Path, *arguments: str) -> None:
    """Fetch wheels as this machine reaches them."""
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(into))
    subprocess.run((*pip, "--only-binary=:all:", *arguments), check=True, cwd=ROOT)


def publish(wheels: Path, index: Path) -> None:
    """Lay wheels out as a simple index, each package with a newer release beside them."""
    for wheel in wheels.glob("*.whl"):
        name = normal(wheel.name.split("-", 1)[0])
        folder = index / "simple" / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / wheel.name).hardlink_to(wheel)
        _newer_release(folder, name)


def _newer_release(folder: Path, name: str) -> None:
    stem = f"{name.replace('-', '_')}-{NEWER}"
    info = f"{stem}.dist-info"
    with zipfile.ZipFile(folder / f"{stem}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {NEWER}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on the loopback; give its address."""
    handler = functools.partial(_Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def checkout(target: Path) -> Path:
    """Copy what an installation reads, for a folder that it may write into."""
    for name in _CHECKOUT:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            ignore = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, target / name, ignore=ignore)
        else:
            shutil.copy2(ROOT / name, target / name)
    return target


def installed(python: Path) -> dict[str, str]:
    """What an environment holds, pip and this checkout left out."""
    code = "import importlib.metadata as m\nfor d in m.distributions(): print(d.name, d.version)"
    done = subprocess.run(
        (python, "-I", "-c", code), check=True, capture_output=True, text=True, cwd="/"
    )
    found = dict(line.split() for line in done.stdout.splitlines())
    assert found.pop("orchestrator") == "0.1.0"
    found.pop("pip")
    return {normal(name): version for name, version in found.items()}
