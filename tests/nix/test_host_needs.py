"""``host trust`` against a real SSH server: which secrets the host needs, and what that takes."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from secret_fleet import ed25519_key, encrypt

pytestmark = pytest.mark.usefixtures("nix")

FLAKE = """
{
  outputs = _: {
    nixosConfigurations.web1.config.age = {
      identityPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
      secrets = builtins.listToAttrs (map (name: {
        inherit name;
        value = {
          file = ./secrets + "/${name}.age";
          path = "/run/agenix/${name}";
          mode = "0400";
          owner = "0";
          group = "0";
        };
      }) [ "right" "others" "named" ]);
    };
  };
}
"""


class Server:
    """An SSH server on the loopback interface that shows a host key."""

    def __init__(self) -> None:
        self.key = asyncssh.generate_private_key("ssh-ed25519")
        self.public = " ".join(self.key.export_public_key().decode().split()[:2])
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._up = threading.Event()
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Server:
        self._thread.start()
        assert self._up.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        listening = asyncssh.listen("127.0.0.1", 0, server_host_keys=[self.key])
        acceptor = self._loop.run_until_complete(listening)
        self.port = acceptor.get_port()
        self._up.set()
        self._loop.run_forever()
        acceptor.close()
        self._loop.run_until_complete(acceptor.wait_closed())
        self._loop.close()


class Fleet:
    """A fleet of one host, in a home of its own."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.home, self.root, self.server = folder, folder / "fleet", server
        self.write(
            "inventory/hosts.yaml",
            f"""
            {{hosts: {{web1: {{address: 127.0.0.1, connect: {{port: {server.port}}}}}}}}}
        """,
        )
        self.write("flake.nix", FLAKE)
        me, key = ed25519_key(), server.public
        names = {"right": (me, key), "others": (me,), "named": (me, key)}
        for name, keys in names.items():
            content = encrypt([me] if name == "named" else keys)
            (self.root / "secrets").mkdir(exist_ok=True)
            (self.root / f"secrets/{name}.age").write_bytes(content)
        rules = "".join(
            f'"{name}.age".publicKeys = [ {" ".join(map(json.dumps, keys))} ];\n'
            for name, keys in names.items()
        )
        self.write("secrets/secrets.nix", f"{{\n{rules}}}\n")
        self.git("init", "-q")
        self.git("add", "-A")

    def write(self, name: str, text: str) -> None:
        """Write a file of the fleet."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def git(self, *words: str) -> None:
        """Run git here."""
        subprocess.run(("git", *words), cwd=self.root, check=True, capture_output=True)

    def trust(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type ``host trust``; the key is vouched for."""
        command = Path(sys.executable).with_name("orchestrator")
        print_ = self.server.key.get_fingerprint()
        return subprocess.run(
            (command, "host", "trust", "web1", "--fingerprint", print_, *words),
            cwd=self.root,
            env={**os.environ, "HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state")},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A host that uses three secrets and opens one."""
    with Server() as server:
        yield Fleet(tmp_path, server)


def test_a_trusted_host_is_told_its_secrets(fleet: Fleet) -> None:
    """The key to add, for which, and the one rekey; a second time the same."""
    done = fleet.trust()
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert fleet.server.public in (fleet.home / ".ssh/known_hosts").read_text()
    told = [
        "web1: 3 secrets are meant for it; its key opens 1",
        "  secrets/named.age is not encrypted to its key",
        "  secrets/others.age has a rule that does not name its key",
        "to publicKeys in secrets/secrets.nix add its key, for secrets/others.age:",
        f'  "{fleet.server.public} root@web1"',
        "then: orchestrator secrets rekey secrets/named.age secrets/others.age",
    ]
    assert lines[-len(told) :] == told
    again = fleet.trust()
    assert (again.returncode, again.stderr.splitlines()[-len(told) :]) == (0, told)
    assert "is known already" in again.stderr


def test_what_cannot_be_evaluated_is_told_and_nothing_fails(fleet: Fleet) -> None:
    """The key is trusted; what the rules alone tell is told."""
    fleet.write("flake.nix", "{ outputs = _: { }; }")
    done = fleet.trust()
    assert done.returncode == 0, done.stderr
    assert "what its configuration uses is not known" in done.stderr
    assert "web1: 2 secrets are meant for it; its key opens 1" in done.stderr
    assert "rekey secrets/named.age\n" in done.stderr


def test_rules_that_say_nothing_usable_fail_nothing(fleet: Fleet) -> None:
    """The key is trusted all the same."""
    fleet.write("secrets/secrets.nix", "{")
    done = fleet.trust()
    assert done.returncode == 0, done.stderr
    assert "trusted; added to" in done.stderr
    assert "which secrets web1 needs is not known" in done.stderr


def test_a_fleet_without_secrets_is_told_nothing_of_them(fleet: Fleet) -> None:
    """Two lines, as ever."""
    (fleet.root / "secrets/secrets.nix").unlink()
    done = fleet.trust()
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 2
