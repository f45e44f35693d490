"""Keys and ssh files of a lab."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab.places import LabPlaces, LabRecord, write_atomically


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ed25519 key in OpenSSH's formats."""

    private: str
    public: str


def generate() -> KeyPair:
    """Make a new key."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.OpenSSH, form.NoEncryption())
    public = key.public_key().public_bytes(form.Encoding.OpenSSH, form.PublicFormat.OpenSSH)
    return KeyPair(private.decode(), public.decode())


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
    write_atomically(places.known_hosts, "".join(known))
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
    write_atomically(places.ssh_config, "\n".join([*blocks, common]))
