"""Whose a key is: by ``known_hosts``, on this machine by its own files, else by a comment."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.secrets import gather
from orchestrator.secrets.age import keys as age_keys
from orchestrator.ssh.settings import SshSettings


def key() -> str:
    """A new public key."""
    form = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*form).decode()


def keys(settings: SshSettings, *given: Host) -> dict[str, tuple[str, ...]]:
    """The keys of some hosts."""
    fleet = Fleet("f", "/f", "/f", {host.name: host for host in given})
    return asyncio.run(gather.keys_of_hosts(fleet, settings))


def test_known_hosts_tells_by_address_port_and_alias(tmp_path: Path) -> None:
    """Host keys are looked up in known_hosts as for a connection, without revoked ones."""
    one, two, three, old = key(), key(), key(), key()
    (tmp_path / "known").write_text(
        f"10.0.0.1 {one}\n[10.0.0.2]:2222 {two}\nreal.example {three}\n@revoked gone {old}\n"
        "gone ecdsa-sha2-nistp256 AAAA\n"
    )
    (tmp_path / "config").write_text("Host alias\n  HostName real.example\n")
    found = keys(
        SshSettings(config=str(tmp_path / "config"), known_hosts=str(tmp_path / "known")),
        Host("a", "a", Connect("10.0.0.1")),
        Host("b", "b", Connect("10.0.0.2", port=2222)),
        Host("c", "c", Connect("alias")),
        Host("d", "d", Connect("gone")),
        Host("e", "e", Connect("unheard")),
    )
    assert found == {"a": (one,), "b": (two,), "c": (three,), "d": (), "e": ()}


def test_this_machine_tells_its_own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's keys are its own public key files, not those of ``known_hosts``."""
    own = key()
    (tmp_path / "ssh_host_ed25519_key.pub").write_text(f"{own} root@here\n")
    (tmp_path / "ssh_host_rsa_key.pub").write_bytes(b"\xff")
    monkeypatch.setattr(gather, "OWN", tmp_path)
    monkeypatch.setattr(gather, "is_this_machine", lambda host: host.name == "me")
    settings = SshSettings(config="/dev/null", known_hosts="/dev/null")
    assert keys(settings, Host("me", "me", Connect("me"))) == {"me": (own,)}


def test_a_comment_names_a_host_of_which_no_key_is_known() -> None:
    """A comment names a host of which no key is known, and never one whose key is."""
    known, mine, other = key(), key(), key()
    declared = [age_keys.parse(f"{mine} root@p620.lan"), age_keys.parse(f"{other} root@p510")]
    assert gather.by_key({"p620": (), "p510": (known,)}, declared) == {
        known: ("p510",),
        mine: ("p620",),
    }


def test_hosts_may_share_a_key() -> None:
    """Hosts may share a key, as images that were cloned do, and each is named."""
    shared = key()
    assert gather.by_key({"a": (shared,), "b": (shared,)}, []) == {shared: ("a", "b")}
