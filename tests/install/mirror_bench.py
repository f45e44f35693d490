"""A small mirror of Debian on this machine, which can fail and lack packages."""

from __future__ import annotations

import hashlib
import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SUITE = "trixie"


def publish(packages: tuple[str, ...], mirror: Path, work: Path) -> None:
    """Make a release whose packages are empty."""
    index = "".join(_package(name, mirror, work) for name in packages)
    folder = mirror / f"dists/{SUITE}/main/binary-{architecture()}"
    folder.mkdir(parents=True)
    (folder / "Packages").write_text(index)
    digest = hashlib.sha256(index.encode()).hexdigest()
    (mirror / f"dists/{SUITE}/Release").write_text(
        f"Suite: {SUITE}\nCodename: {SUITE}\nComponents: main\nArchitectures: {architecture()}\n"
        f"Date: Sat, 28 Nov 2026 00:00:00 UTC\n"
        f"SHA256:\n {digest} {len(index)} main/binary-{architecture()}/Packages\n"
    )


def architecture() -> str:
    """What Debian calls this machine's processor."""
    done = subprocess.run(
        ("dpkg", "--print-architecture"), check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _package(name: str, mirror: Path, work: Path) -> str:
    control = (
        f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\n"
        f"Description: a stand-in\n"
    )
    (work / name / "DEBIAN").mkdir(parents=True)
    (work / name / "DEBIAN/control").write_text(control)
    deb = mirror / f"pool/{name}_1.0_all.deb"
    deb.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(("dpkg-deb", "--build", work / name, deb), check=True, capture_output=True)
    content = deb.read_bytes()
    return (
        f"{control}Filename: pool/{deb.name}\nSize: {len(content)}\n"
        f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    )


@dataclass
class Mirror:
    """A mirror that is being served."""

    address: str = ""
    failures: dict[str, int] = field(default_factory=dict)
    """How often what has this ending is answered with an error; it counts down."""
    asked: list[str] = field(default_factory=list)

    def fails(self, path: str) -> bool:
        """Whether the next answer for a path is an error."""
        self.asked.append(path)
        for ending, left in self.failures.items():
            if path.endswith(ending) and left > 0:
                self.failures[ending] -= 1
                return True
        return False

    @property
    def line(self) -> str:
        """The mirror as a line of sources.list; it is not signed."""
        return f"deb [trusted=yes] {self.address}/ {SUITE} main"


@contextmanager
def served(folder: Path) -> Iterator[Mirror]:
    """Serve a mirror on the loopback."""
    mirror = Mirror()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            if mirror.fails(self.path):
                self.send_error(503)
            else:
                super().do_GET()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
