"""Known hosts: the lines that ssh would find, though not all of them are interpreted."""

from __future__ import annotations

import base64
import hmac
import os
from pathlib import Path

import asyncssh
import pytest

from orchestrator.ssh import known_hosts, settings
from orchestrator.ssh.known_hosts import KnownHosts, read_known_hosts
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.trust import OfferedKey, remember

KEYS = [
    asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    for _ in range(4)
]
SALT = b"12345678901234567890"


def hashed(name: str) -> str:
    """A name as ``HashKnownHosts yes`` writes it."""
    digest = hmac.digest(SALT, name.encode(), "sha1")
    return f"|1|{base64.b64encode(SALT).decode()}|{base64.b64encode(digest).decode()}"


def public(key: str) -> bytes:
    """A key's own bytes."""
    return base64.b64decode(key.split()[1])


def read(tmp_path: Path, text: str) -> KnownHosts:
    """Read one file with this text."""
    file = tmp_path / "known_hosts"
    file.write_text(text)
    return read_known_hosts([str(file)])


@pytest.mark.parametrize(
    ("hosts", "name", "found"),
    [
        ("web", "web", True),
        ("WEB", "web", True),
        ("web,10.0.0.5", "10.0.0.5", True),
        ("web", "[web]:2222", False),
        ("[web]:2222", "[web]:2222", True),
        ("[web]:22", "web", False),
        ("w*b", "web", True),
        ("w?b", "web", True),
        ("w?", "web", False),
        ("*b*b*", "abcb", True),
        ("*,!web", "web", False),
        ("!web,*", "web", False),
        ("*,!web", "db", True),
        ("!db", "web", False),
        ("10.0.0.0/24", "10.0.0.5", False),
        ("fe80::1", "fe80::1", True),
        ("*", "anybody", True),
        (f"{'x' * 1022},web", "web", True),
        (f"{'x' * 1023},web", "web", False),
        (hashed("web"), "web", True),
        (hashed("web"), "WEB", True),
        (hashed("WEB"), "web", False),
        (hashed("web"), "db", False),
        (f"{hashed('web')},db", "db", False),
        (hashed("[web]:2222"), "[web]:2222", True),
        (hashed("web").replace("=", "", 1), "web", False),
    ],
)
def test_a_name_is_looked_up_as_ssh_does(
    tmp_path: Path, hosts: str, name: str, found: bool
) -> None:
    """A name is looked up as ssh does: itself, patterns, negated ones and hashes, no networks."""
    assert bool(read(tmp_path, f"{hosts} {KEYS[0]}\n").about(name)) is found


def test_the_lines_are_those_of_all_files(tmp_path: Path) -> None:
    """A key may stand in any of them, and be revoked in another."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(f"# comment\n\n  web {KEYS[0]}\n")
    two.write_text(f"@revoked web {KEYS[0]}\nweb {KEYS[1]}")
    entries = read_known_hosts([str(one), str(two)]).about("web")
    assert [entry.marker for entry in entries] == [b"", b"@revoked", b""]


@pytest.mark.parametrize(
    "broken",
    [
        "web",
        "@revoked web",
        f"@unknown web {KEYS[0]}",
        f"@revoked @cert-authority web {KEYS[0]}",
        f"@cert-authority\tweb {KEYS[0]}",
        f"web\0 {KEYS[0]}",
        f"web {KEYS[0][:-8]}",
        f"web ssh-rsa {KEYS[0].split()[1]}",
        f"web #{KEYS[0]}",
        "web ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0").decode(),
        "|1|x|y|z AAAA",
        "|1|%%|%% k",
        "web x y",
        "@",
    ],
    ids=lambda text: text[:20],
)
def test_a_line_that_is_none_is_passed_over(tmp_path: Path, broken: str) -> None:
    """A line of known_hosts that ssh passes over vouches for nobody and spoils no other."""
    known = read(tmp_path, f"{broken}\nweb {KEYS[1]}\n")
    assert [entry.public for entry in known.about("web")] == [public(KEYS[1])]


def test_no_files_know_nobody() -> None:
    """Without any known_hosts file nobody is known, and asyncssh's default is not used."""
    assert read_known_hosts([]).about("web") == ()


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    """A comment in another encoding is no reason to trust nobody."""
    file = tmp_path / "known_hosts"
    file.write_bytes(b"# \xe9\nweb " + KEYS[0].encode() + b" caf\xe9\n")
    assert len(read_known_hosts([str(file)]).about("web")) == 1


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    """A host that is trusted while a run goes on is trusted at its next connection."""
    read(tmp_path, f"db {KEYS[0]}\n")
    known = read(tmp_path, f"db {KEYS[0]}\nweb {KEYS[1]}\n")
    assert len(known.about("web")) == 1


@pytest.mark.parametrize("before", [None, f"db {KEYS[0]}\n"], ids=["no file", "a file"])
def test_a_key_that_was_trusted_here_is_known_in_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    """Whoever trusts a host asks at once which secrets it needs."""
    for module in (known_hosts, settings):
        monkeypatch.setattr(module, "moment", lambda: -3)
    file = tmp_path / "known_hosts"
    if before is not None:
        file.write_text(before)
    ours = SshSettings(known_hosts=str(file))

    def keys() -> int:
        return len(read_known_hosts(ours.known_hosts_files(())).about("web"))

    assert keys() == 0
    remember(OfferedKey("web", f"web {KEYS[1]}", "", "", False, (), str(file)))
    assert keys() == 1


def test_a_file_that_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A known_hosts file is read again only once it has changed."""
    file = tmp_path / "known_hosts"
    file.write_text(f"web {KEYS[0]}\n")
    first = read_known_hosts([str(file)])
    monkeypatch.setattr(Path, "read_bytes", None)
    assert read_known_hosts([str(file)]) is first
    os.utime(file, ns=(0, 0))
    with pytest.raises(TypeError):
        read_known_hosts([str(file)])


def test_only_lines_about_the_host_are_interpreted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keys cost; those of a thousand other hosts are not looked at."""
    interpreted = []
    monkeypatch.setattr(known_hosts, "_entry", lambda _, text: interpreted.append(text))
    others = "".join(f"h{number},10.1.0.{number} {KEYS[0]}\n" for number in range(200))
    known = read(tmp_path, f"{others}web {KEYS[1]}\n{hashed('h1')} {KEYS[2]}\n")
    known.about("web")
    assert interpreted == [KEYS[1].encode()]


def test_the_disk_is_asked_once_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand hosts are a thousand looks at the same files otherwise; the next moment looks."""
    file = tmp_path / "known_hosts"
    file.write_text("")
    monkeypatch.setattr(known_hosts, "moment", lambda: -1)
    first = known_hosts.read_known_hosts([str(file)])
    file.unlink()
    assert known_hosts.read_known_hosts([str(file)]) is first
    monkeypatch.setattr(known_hosts, "moment", lambda: -2)
    with pytest.raises(FileNotFoundError):
        known_hosts.read_known_hosts([str(file)])


def test_a_line_ends_at_a_newline_only(tmp_path: Path) -> None:
    """What other characters part is one line to ssh: there is no second one to be smuggled in."""
    for odd in ("\x0b", "\x0c", "\x85", "\u2028", "\r"):
        known = read(tmp_path, f"# a comment{odd}web {KEYS[0]}\n")
        assert known.about("web") == (), repr(odd)


def test_files_from_elsewhere_count(tmp_path: Path) -> None:
    """With lines that end in CR and LF, and without a last newline."""
    known = read(tmp_path, f"web {KEYS[0]}\r\ndb {KEYS[1]}\r\nlast {KEYS[2]}")
    assert all(known.about(name) for name in ("web", "db", "last"))


def test_a_key_of_an_unknown_kind_is_still_one(tmp_path: Path) -> None:
    """A key of an unknown kind stands for its name, so that no other is looked up."""
    blob = base64.b64encode(b"\0\0\0\x07ssh-new\0\0\0\1x").decode()
    (entry,) = read(tmp_path, f"web ssh-new {blob}\n").about("web")
    assert entry.kind == b"ssh-new"


def test_what_is_no_file_is_not_passed_over(tmp_path: Path) -> None:
    """A known_hosts that is no file is an error: it may revoke, and a pipe might block."""
    os.mkfifo(tmp_path / "pipe")
    files = SshSettings().known_hosts_files([str(tmp_path / "pipe")])
    with pytest.raises(OSError, match="no regular file"):
        read_known_hosts(files)
