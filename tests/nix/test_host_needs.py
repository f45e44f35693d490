"""``host trust`` and ``host add`` with a real SSH server: which secrets the host needs, as told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import pty
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
        # ssh takes `~` for the home that the system knows of, whatever $HOME says.
        (folder / ".ssh").mkdir(mode=0o700)
        known = f"UserKnownHostsFile {folder}/.ssh/known_hosts\n"
        (folder / ".ssh/config").write_text(known)
        connect = f"connect: {{port: {server.port}}}"
        entry = f"  web1:\n    address: 127.0.0.1\n    {connect}\n"
        self.write("inventory/hosts.yaml", f"# ours\nhosts:\n{entry}")
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

    def trust(self) -> subprocess.CompletedProcess[str]:
        """Type ``host trust``; the key is vouched for."""
        return self.type("trust", "web1", "--fingerprint", self.server.key.get_fingerprint())

    def add(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type ``host add``, with no terminal."""
        return self.type("add", "web1", "--address", "127.0.0.1", *words)

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command of ``host``, with no terminal."""
        return subprocess.run(
            self.words(*words),
            cwd=self.root,
            env={**os.environ, **self.env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def answer(self, answer: bytes, *words: str) -> tuple[int, str]:
        """Type it on a terminal, and an answer once the key is shown."""
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(self.root)
            argv = self.words(*words)
            os.execve(argv[0], argv, {**os.environ, **self.env})
        said = b""
        with contextlib.suppress(OSError):  # EIO: the terminal's other end is closed
            while chunk := os.read(terminal, 4096):
                said += chunk
                if b"host's key?" in said and answer:
                    os.write(terminal, answer)
                    answer = b""
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said.decode()

    def words(self, *words: str) -> tuple[str, ...]:
        """A command line."""
        return (str(Path(sys.executable).with_name("orchestrator")), "host", *words)

    @property
    def env(self) -> dict[str, str]:
        """A home of its own."""
        return {"HOME": str(self.home), "XDG_STATE_HOME": str(self.home / "state")}

    @property
    def known(self) -> str:
        """The person's ``known_hosts``."""
        file = self.home / ".ssh/known_hosts"
        return file.read_text() if file.exists() else ""

    @property
    def hosts(self) -> str:
        """The inventory."""
        return (self.root / "inventory/hosts.yaml").read_text()


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
    assert fleet.server.public in fleet.known
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
    assert "which secrets web1's configuration uses is not known: what it says" in done.stderr
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
    """Where a fleet has no secrets, `trust` prints its two lines and no more."""
    (fleet.root / "secrets/secrets.nix").unlink()
    done = fleet.trust()
    assert done.returncode == 0, done.stderr
    assert len(done.stderr.splitlines()) == 2


@pytest.fixture
def another(fleet: Fleet) -> Fleet:
    """The same, with another host in the inventory instead."""
    fleet.write("inventory/hosts.yaml", "# ours\nhosts:\n  other: {} # the other\n")
    return fleet


def test_a_host_is_added_and_trusted_and_told_its_secrets(another: Fleet) -> None:
    """Three lines in the inventory, its JSON fresh, and then as ``host trust``."""
    port = another.server.port
    another.write("inventory/fleet.json", "{}")
    fingerprint = another.server.key.get_fingerprint()
    done = another.add("--port", str(port), "--fingerprint", fingerprint, "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["ok"], said["host"], said["file"]) == (True, "web1", "inventory/hosts.yaml")
    assert (said["key"]["fingerprint"], said["key"]["added"]) == (fingerprint, True)
    again = json.loads(another.type("trust", "web1", "--json").stdout)
    assert again == {"ok": True, "host": "web1", "key": {**said["key"], "added": False}}
    assert another.hosts == (
        "# ours\nhosts:\n  other: {} # the other\n"
        f"  web1:\n    address: 127.0.0.1\n    connect: {{port: {port}}}\n"
    )
    assert "web1: added to inventory/hosts.yaml" in done.stderr
    assert "web1" in json.loads((another.root / "inventory/fleet.json").read_text())["hosts"]
    assert another.server.public in another.known
    assert "web1: 3 secrets are meant for it; its key opens 1" in done.stderr


def test_a_person_is_asked_for_the_new_hosts_key(another: Fleet) -> None:
    """On "no" the host stays in the inventory, and its key is not known."""
    words = ("add", "web1", "--address", "127.0.0.1", "--port", str(another.server.port))
    code, said = another.answer(b"n\n", *words)
    assert code == 4, said
    assert another.server.key.get_fingerprint() in said
    assert (another.known, "web1:" in another.hosts) == ("", True)
    code, said = another.answer(b"y\n", "trust", "web1")
    assert code == 0, said
    assert another.server.public in another.known


def test_a_new_host_that_is_not_there_yet_is_trusted_later(another: Fleet) -> None:
    """A new host that is unreachable is added, with what to do next, with or without a terminal."""
    done = another.add()
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        0,
        "next: orchestrator host trust web1",
    )
    code, said = another.answer(b"", "add", "web2", "--address", "127.0.0.1", "--port", "1")
    assert code == 0, said
    assert said.splitlines()[-1] == "next: orchestrator host trust web2"
    assert "web2:" in another.hosts


def test_what_cannot_be_added_is_printed_and_nothing_changes(another: Fleet) -> None:
    """Lines that cannot be added are printed with exit code 2, and no file changes."""
    another.write("inventory/hosts.yaml", "hosts: {other: {}}\n")
    done = another.add()
    assert done.returncode == 2
    assert "web1:\n" in done.stderr
    assert "address: 127.0.0.1" in done.stderr
    assert another.hosts == "hosts: {other: {}}\n"
    assert not (another.root / "inventory/fleet.json").exists()
