"""Keys, authorities and certificates, made by OpenSSH itself."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

PRINCIPAL = "web.example"
"""Whom certificates are for, where they are for somebody."""

_KINDS = {
    "ed": ("-t", "ed25519"),
    "ed2": ("-t", "ed25519"),
    "ec": ("-t", "ecdsa", "-b", "256"),
    "ec384": ("-t", "ecdsa", "-b", "384"),
    "rsa": ("-t", "rsa", "-b", "2048"),
    "rsa1024": ("-t", "rsa", "-b", "1024"),
    "other-ed": ("-t", "ed25519"),
    "other-rsa": ("-t", "rsa", "-b", "2048"),
    "ca": ("-t", "ed25519"),
    "ca-rsa": ("-t", "rsa", "-b", "2048"),
    "ca-other": ("-t", "ecdsa"),
}

_FOREVER = ("-V", "always:forever")
_CERTIFICATES = {
    "good": ("ca", "-h", "-n", f"{PRINCIPAL},10.9.8.7,alias.example,db", *_FOREVER),
    "numbered": ("ca", "-h", "-n", PRINCIPAL, "-z", "42", *_FOREVER),
    "upper": ("ca", "-h", "-n", "WEB.example", *_FOREVER),
    "wildcard": ("ca", "-h", "-n", "*.example,*", *_FOREVER),
    "with-port": ("ca", "-h", "-n", f"[{PRINCIPAL}]:2222", *_FOREVER),
    "anybody": ("ca", "-h", *_FOREVER),
    "expired": ("ca", "-h", "-n", PRINCIPAL, "-V", "20200101:20210101"),
    "future": ("ca", "-h", "-n", PRINCIPAL, "-V", "20900101:20910101"),
    "user": ("ca", "-n", PRINCIPAL, *_FOREVER),
    "critical": ("ca", "-h", "-n", PRINCIPAL, "-O", "critical:colour=red", *_FOREVER),
    "extended": ("ca", "-h", "-n", PRINCIPAL, "-O", "extension:colour=red", *_FOREVER),
    "by-rsa": ("ca-rsa", "-h", "-n", PRINCIPAL, *_FOREVER),
    "by-rsa-sha1": ("ca-rsa", "-h", "-n", PRINCIPAL, "-t", "ssh-rsa", *_FOREVER),
    "by-other": ("ca-other", "-h", "-n", PRINCIPAL, *_FOREVER),
}


@dataclass(frozen=True, slots=True)
class Keys:
    """A folder of them.

    Attributes:
        certificates: Their names, each of key ``ed``; ``rsa-good`` is of key ``rsa``.
    """

    folder: Path
    certificates: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The keys' own names."""
        return tuple(_KINDS)

    def of(self, name: str) -> str:
        """The name of a key, or of the key in a certificate."""
        if name in self.certificates:
            return "rsa" if name.startswith("rsa-") else "ed"
        return name

    def public(self, name: str) -> str:
        """A public key or a certificate, as it stands in files: kind and base64."""
        return " ".join((self.folder / f"{name}.pub").read_text().split()[:2])


def make_keys(folder: Path) -> Keys:
    """Make them all."""
    for name, options in _KINDS.items():
        _keygen(folder, "-q", *options, "-N", "", "-C", "", "-f", name)
    for name, (authority, *options) in _CERTIFICATES.items():
        _certify(folder, name, "ed", authority, options)
    _certify(folder, "rsa-good", "rsa", "ca", list(_CERTIFICATES["good"][1:]))
    return Keys(folder, (*_CERTIFICATES, "rsa-good"))


def _certify(folder: Path, name: str, key: str, authority: str, options: list[str]) -> None:
    _keygen(folder, "-q", "-s", authority, "-I", f"id-{name}", *options, f"{key}.pub")
    (folder / f"{key}-cert.pub").rename(folder / f"{name}.pub")


def make_krl(keys: Keys, file: Path, named: list[str], specification: str = "") -> None:
    """Make a key revocation list of keys and certificates, and of what a specification says."""
    given = [f"{name}.pub" for name in named]
    if specification:
        spec = file.with_suffix(".spec")
        spec.write_text(specification)
        given.append(str(spec))
    _keygen(keys.folder, "-q", "-k", "-f", str(file), "-s", "ca.pub", *given)


def _keygen(folder: Path, *options: str) -> None:
    done = subprocess.run(("ssh-keygen", *options), cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, (options, done.stderr)
