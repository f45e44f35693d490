"""Key revocation lists, made by ssh-keygen: what they revoke, and what is no list."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest

from orchestrator.ssh.keys import MAGIC, WireKey, read_key, read_krl


def keygen(folder: Path, *options: str) -> None:
    """Run ssh-keygen in a folder."""
    subprocess.run(("ssh-keygen", "-q", *options), cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two keys and an authority; ``host`` has a certificate with the number 42."""
    made = tmp_path_factory.mktemp("keys")
    for name in ("host", "other", "ca"):
        keygen(made, "-t", "ed25519", "-N", "", "-f", name)
    keygen(made, "-s", "ca", "-I", "the-id", "-h", "-n", "web", "-z", "42", "host.pub")
    return made


def shown(folder: Path, name: str) -> WireKey:
    """A key or certificate as a host shows it."""
    return read_key(base64.b64decode((folder / f"{name}.pub").read_text().split()[1]))


def made(folder: Path, *lines: str) -> bytes:
    """A list with what a specification says."""
    (folder / "spec").write_text("\n".join(lines) + "\n")
    keygen(folder, "-k", "-f", "list", "-s", "ca.pub", "spec")
    return (folder / "list").read_bytes()


@pytest.mark.parametrize(
    ("lines", "key", "certificate"),
    [
        (("serial: 42",), False, True),
        (("serial: 40-50",), False, True),
        (("serial: 1", "serial: 42", "serial: 44", "serial: 47"), False, True),
        (("serial: 43-50", "serial: 1"), False, False),
        (("id: the-id",), False, True),
        (("id: another",), False, False),
        (("key: {host}",), True, True),
        (("key: {other}",), False, False),
        (("key: {ca}",), False, True),
        (("sha1: {host}",), True, True),
        (("sha256: {host}",), True, True),
        (("sha256: {other}",), False, False),
    ],
)
def test_what_a_list_revokes(
    folder: Path, lines: tuple[str, ...], key: bool, certificate: bool
) -> None:
    """A revocation list revokes by number, range, id, key, hash and by authority."""
    keys = {name: (folder / f"{name}.pub").read_text().strip() for name in ("host", "other", "ca")}
    found = read_krl(made(folder, *(line.format_map(keys) for line in lines)))
    assert found.revokes(shown(folder, "host")) is key
    assert found.revokes(shown(folder, "host-cert")) is certificate


def test_what_is_cut_off_or_unknown_is_no_list(folder: Path) -> None:
    """Whatever is wrong with it, that is one error: nobody is trusted then."""
    whole = made(folder, "serial: 42", "id: the-id")
    for end in range(len(MAGIC), len(whole) - 1):
        changed = (whole[:end], whole[:end] + b"\xff" + whole[end + 1 :])
        for data in changed:
            try:
                read_krl(data)
            except ValueError:
                continue
    with pytest.raises(ValueError, match="kind 9"):
        read_krl(whole + b"\x09\0\0\0\0")
    with pytest.raises(ValueError, match="version"):
        read_krl(MAGIC + b"\0\0\0\2" + whole[len(MAGIC) + 4 :])
