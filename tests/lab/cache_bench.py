"""A binary cache in a lab's network: a signed folder, served over HTTP from the deployer's side."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fleet_bench import Bench, until

from orchestrator.lab.record import DEPLOYER_ADDRESS

PORT = 8080
URL = f"http://{DEPLOYER_ADDRESS}:{PORT}"
KEY = "cache.lab-1"

_SERVE = """
import http.server, os, sys
from functools import partial
from pathlib import Path
from orchestrator.lab import places as namespaces
from orchestrator.lab.network import find_active

root, folder, port = sys.argv[1:]
namespaces.enter_network(find_active(Path(root)).keeper)
handler = partial(http.server.SimpleHTTPRequestHandler, directory=folder)
http.server.ThreadingHTTPServer(("", int(port)), handler).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class CacheBench:
    """A cache's folder, its keys, and what was asked of it.

    Attributes:
        fleet: Whose lab's hosts fetch from it.
        folder: Holds the cache, its keys and the server's log.
    """

    fleet: Bench
    folder: Path

    @property
    def store(self) -> Path:
        """The folder that is served."""
        return self.folder / "store"

    def make_key(self, name: str = "key") -> str:
        """Make a pair of keys; return the public one."""
        files = [str(self.folder / f"{name}.{kind}") for kind in ("secret", "public")]
        self.nix("nix-store", "--generate-binary-cache-key", KEY, *files)
        return Path(files[1]).read_text().strip()

    def nix(self, *argv: str) -> str:
        """Run a command with the deployer's Nix."""
        script = Path(__file__).parents[2] / "scripts/lib/with-nix"
        done = self.fleet.command(str(script), *argv)
        assert done.rc == 0, done
        return done.out

    def declare(self, public_key: str, *, signs_with: str | None = "key") -> None:
        """Have every host of the fleet fetch from it."""
        lines = [f"url: {URL}", f"push: file://{self.store}", f'public_key: "{public_key}"']
        if signs_with is not None:
            lines.append(f"secret_key: {self.folder}/{signs_with}.secret")
        cache = "".join(f"    {line}\n" for line in lines)
        self.fleet.write("inventory/caches.yaml", f"caches:\n  lab:\n{cache}")
        path = self.fleet.root / "inventory/fleet.yaml"
        self.fleet.write(
            "inventory/fleet.yaml",
            path.read_text().replace("\ndefaults:\n", "\ndefaults:\n  substitute: true\n"),
        )

    @property
    def asked(self) -> list[str]:
        """The requests that it got, in order."""
        return (self.folder / "log").read_text().splitlines()

    @contextlib.contextmanager
    def serving(self) -> Iterator[None]:
        """Serve it for as long as the context is open."""
        self.store.mkdir(exist_ok=True)
        argv = (sys.executable, "-c", _SERVE, self.fleet.root, self.store, str(PORT))
        with (self.folder / "log").open("a") as log:
            server = subprocess.Popen(argv, env=self.fleet.environment, stderr=log)
        try:
            until(lambda: self._answers(server))
            yield
        finally:
            os.kill(server.pid, signal.SIGTERM)
            server.wait()

    def _answers(self, server: subprocess.Popen[bytes]) -> bool:
        assert server.poll() is None, (self.folder / "log").read_text()
        network = ("nsenter", f"--net=/proc/{server.pid}/ns/net", "bash", "-c")
        return self.fleet.command(*network, f"echo > /dev/tcp/127.0.0.1/{PORT}").rc == 0
