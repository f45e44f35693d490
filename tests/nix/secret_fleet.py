"""A made-up repository of secrets: real keys of every kind, real files, real git, real rules."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyrage
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.secrets.age import header
from orchestrator.secrets.age import keys as age_keys
from orchestrator.secrets.files import files as secret_files
from orchestrator.secrets.model.repository import LockEntry
from orchestrator.ssh.settings import SshSettings

HOSTS = 8
_OPENSSH = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
_KINDS = {
    "ssh-ed25519": pyrage.ssh.Recipient,
    "ssh-rsa": pyrage.ssh.Recipient,
}


def ed25519_key() -> str:
    """A new public key; nobody has the private one."""
    return ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*_OPENSSH).decode()


def rsa_key(bits: int = 2048) -> str:
    """A new public key; nobody has the private one."""
    return rsa.generate_private_key(65537, bits).public_key().public_bytes(*_OPENSSH).decode()


def x25519_key() -> str:
    """A new public key; nobody has the private one."""
    return str(pyrage.x25519.Identity.generate().to_public())


def encrypt(keys: Sequence[str], plaintext: bytes = b"a value", *, armored: bool = False) -> bytes:
    """Encrypt; never to a file that ends with a newline, as one in 256 does by chance."""
    to = [_KINDS.get(key.split()[0], pyrage.x25519.Recipient).from_str(key) for key in keys]
    while (data := pyrage.encrypt(plaintext, to, armored=armored)).endswith(b"\n") and not armored:
        pass
    return data


@dataclass
class Repository:
    """A repository of secrets under ``root``.

    Attributes:
        keys: Name → public key. Hosts are ``h0`` and so on.
        rules: File → the names of its recipients.
        files: File → its content.
        raw: File → an entry of ``secrets.nix`` in place of the rule's, as Nix.
        lock: Files whose recipients are written down.
    """

    root: Path
    keys: dict[str, str]
    rules: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    raw: dict[str, str] = field(default_factory=dict)
    lock: dict[str, LockEntry] = field(default_factory=dict)

    def of(self, path: str) -> list[str]:
        """The keys that a file's rule names."""
        return [self.keys[name] for name in self.rules[path]]

    def encrypt(
        self, path: str, *more: str, without: Sequence[str] = (), lock: bool = True
    ) -> None:
        """Encrypt a file anew to its rule's keys, more or fewer.

        Args:
            path: The file.
            more: Keys that the rule does not name.
            without: Names of the rule that are left out.
            lock: Whether the recipients are written down.
        """
        keys = [self.keys[name] for name in self.rules[path] if name not in without]
        self.files[path] = encrypt([*keys, *more])
        if lock:
            self.write_down(path, [*keys, *more])

    def write_down(self, path: str, keys: Sequence[str]) -> None:
        """Write down to whom a file was encrypted."""
        to = [age_keys.parse(key) for key in keys]
        self.lock[path] = LockEntry.of(header.parse(self.files[path]).digest, to)

    def write(self) -> None:
        """Write it all, and have git track it."""
        for path, data in self.files.items():
            file = self.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        self.write_rules()
        (self.root / secret_files.NAME).write_bytes(secret_files.form(self.lock))
        (self.root / ".gitattributes").write_text("*.age binary\n")
        self.git("init", "-q")
        self.git("add", "-A")

    def write_rules(self) -> None:
        """Write ``secrets.nix``, with the keys in a file of their own."""
        (self.root / "keys.json").write_text(json.dumps(self.keys))
        lines = [
            f"  {json.dumps(path)}.publicKeys = with keys; [ {' '.join(names)} ];"
            for path, names in self.rules.items()
            if path not in self.raw
        ]
        lines += [f"  {json.dumps(path)} = {entry};" for path, entry in self.raw.items()]
        let = "let keys = builtins.fromJSON (builtins.readFile ./keys.json); in"
        (self.root / "secrets.nix").write_text("\n".join((let, "{", *lines, "}", "")))

    def git(self, *words: str) -> None:
        """Run git here."""
        subprocess.run(("git", *words), cwd=self.root, check=True, capture_output=True)

    def fleet(self) -> tuple[Fleet, SshSettings]:
        """The hosts, with their keys in a ``known_hosts`` beside the repository."""
        names = [name for name in self.keys if name.startswith("h")]
        known = self.root.parent / "known_hosts"
        known.write_text("".join(f"{name} {self.keys[name]}\n" for name in names))
        hosts = {name: Host(name, name, Connect(name)) for name in names}
        root = str(self.root)
        return Fleet("made-up", root, root, hosts), SshSettings(
            config="/dev/null", known_hosts=str(known)
        )


def sound(root: Path, secrets: int = 200, people: int = 32, seed: int = 5) -> Repository:
    """Make a repository in which all is right; it is not yet written.

    Args:
        root: Its folder.
        secrets: How many; each is for two to six recipients, one of them a host.
        people: How many recipients there are beside the eight hosts: ed25519, RSA and X25519.
        seed: Of the choice of recipients.
    """
    root.mkdir()
    made = (ed25519_key, rsa_key, x25519_key, ed25519_key)
    keys = {f"h{number}": ed25519_key() for number in range(HOSTS)}
    keys |= {f"p{number}": made[number % len(made)]() for number in range(people)}
    made_up = Repository(root, keys)
    choose = random.Random(seed)  # noqa: S311 (no secret)
    names = [name for name in keys if name.startswith("p")]
    for number in range(secrets):
        path = f"secrets/s{number:03}.age"
        host = f"h{number % HOSTS}"
        made_up.rules[path] = [host, *choose.sample(names, choose.randint(1, 5))]
        made_up.encrypt(path)
    return made_up
