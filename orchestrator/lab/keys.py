"""Keys and ssh files of a lab."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.core import beneath, files
from orchestrator.lab.places import LabError, LabPlaces, LabRecord

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

OPEN = "secrets/open-keys"
"""Where a fleet has private keys in the open, by its hosts' names: for its lab alone."""

_MOST = 2**14
"""Bytes of a private key; one of Ed25519 has 400."""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ed25519 key in OpenSSH's formats."""

    private: str
    public: str


def generate() -> KeyPair:
    """Make a new key."""
    # Only now: `lab --help` does without, and it takes long to import.
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    return KeyPair(private.decode(), _public(key))


def _public(key: Ed25519PrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization as form

    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return public.decode()


def in_the_open(fleet_root: Path, name: str) -> KeyPair | None:
    """Read the host key that a fleet has in the open for a host of its lab; ``None`` without one.

    Secrets are encrypted to host keys: with this one the lab's host decrypts those of the fleet.

    Raises:
        LabError: There is a file, and it is no Ed25519 key in OpenSSH's form without a passphrase.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        private = beneath.read(fleet_root, f"{OPEN}/{name}", _MOST)
        key = form.load_ssh_private_key(private, password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise ValueError("it is no Ed25519 key")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LabError(
            f"{OPEN}/{name} cannot be the host key of '{name}' in the lab: {error}",
            hint=f"ssh-keygen -t ed25519 -N '' -f {OPEN}/{name}; or remove it: the lab makes one",
        ) from None
    return KeyPair(private.decode(), _public(key))


def keep(path: Path) -> str:
    """Return the public half of the key at ``path``, which is made if it is missing."""
    public_path = path.with_name(path.name + ".pub")
    if not (path.exists() and public_path.exists()):
        pair = generate()
        write_private(path, pair.private)
        public_path.write_text(pair.public + "\n")
    return public_path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone may read, from its first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(text)


def write(places: LabPlaces, lab: LabRecord) -> None:
    """Write ``known_hosts`` (sshd(8)) and ``ssh_config`` (ssh_config(5))."""
    known = [f"{name},{host.address} {host.host_key}\n" for name, host in lab.hosts.items()]
    files.replace(places.known_hosts, "".join(known).encode(), mode=0o644)
    blocks = [f"Host {name}\n  HostName {host.address}\n" for name, host in lab.hosts.items()]
    common = (
        "Host *\n"
        "  User root\n"
        f"  IdentityFile {places.identity}\n"
        "  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {places.known_hosts}\n"
        "  GlobalKnownHostsFile /dev/null\n"
        "  StrictHostKeyChecking yes\n"
        "  BatchMode yes\n"
        "  ConnectTimeout 10\n"
    )
    files.replace(places.ssh_config, "\n".join([*blocks, common]).encode(), mode=0o644)
