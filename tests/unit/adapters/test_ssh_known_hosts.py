"""Known hosts: the lines that asyncssh itself would find, though not all of them are read."""

from __future__ import annotations

import base64
import hmac
import itertools
import os
from pathlib import Path

import asyncssh
import pytest

from orchestrator.adapters.ssh import known_hosts, settings
from orchestrator.adapters.ssh.known_hosts import KnownHosts, read_known_hosts
from orchestrator.adapters.ssh.settings import SshSettings
from orchestrator.adapters.ssh.trust import OfferedKey, remember

KEYS = [
    asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
    for _ in range(4)
]
SALT = b"12345678901234567890"


def hashed(name: str) -> str:
    """A name as ``HashKnownHosts yes`` writes it."""
    digest = hmac.digest(SALT, name.encode(), "sha1")
    return f"|1|{base64.b64encode(SALT).decode()}|{base64.b64encode(digest).decode()}"


HOSTS = [
    ("web", "10.0.0.5", 22),
    ("web", "10.0.0.5", 2222),
    ("10.0.0.5", "10.0.0.5", 22),
    ("db", "10.0.0.6", 22),
    ("nowhere", "", 22),
    ("fe80::1", "fe80::1", 22),
]
PATTERNS = [
    "web",
    "10.0.0.5",
    "web,10.0.0.5",
    "[web]:2222",
    "[10.0.0.5]:2222",
    "[web]:22",
    "other,db",
    "w*b",
    "*,!web",
    "10.0.0.?",
    "10.0.0.0/24",
    "fe80::1",
    "fe80::/64",
    "@revoked web",
    "@revoked *",
    "@cert-authority *,!db",
    "@cert-authority web",
    hashed("web"),
    hashed("10.0.0.5"),
    hashed("[web]:2222"),
    f"@revoked {hashed('web')}",
]


def lines() -> list[str]:
    """Each pattern with a key of its own, as far as there are some."""
    keys = itertools.cycle(KEYS)
    return [f"{pattern} {next(keys)}" for pattern in PATTERNS]


def names(matched: object) -> list[set[str]]:
    """The keys that were matched; asyncssh's own may name one twice."""
    assert isinstance(matched, tuple)
    return [{one.export_public_key().decode() for one in kind} for kind in matched[:3]]


def read(tmp_path: Path, text: str) -> KnownHosts:
    """Read one file with this text."""
    file = tmp_path / "known_hosts"
    file.write_text(text)
    return read_known_hosts([str(file)])


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("line", [*lines(), "\n".join(lines())], ids=str)
def test_the_same_as_asyncssh_finds(tmp_path: Path, host: tuple[str, str, int], line: str) -> None:
    """Line by line and all together: trusted keys, authorities and revoked keys."""
    expected = asyncssh.match_known_hosts(line.encode(), *host)
    found = asyncssh.match_known_hosts(read(tmp_path, line), *host)
    assert names(found) == names(expected)


def test_the_lines_are_those_of_all_files(tmp_path: Path) -> None:
    """A key may stand in any of them, and be revoked in another."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text(f"# comment\n\n  web {KEYS[0]}\n")
    two.write_text(f"@revoked web {KEYS[0]}\nweb {KEYS[1]}")
    trusted, _, revoked, *_ = read_known_hosts([str(one), str(two)])("web", "", 22)
    assert [len(trusted), len(revoked)] == [2, 1]


@pytest.mark.parametrize(
    "broken",
    [
        "web",
        "@revoked web",
        f"@unknown web {KEYS[0]}",
        "|1|x|y|z AAAA",
        "|1|%%|%% k",
        "web x y",
        "@",
    ],
)
def test_a_line_that_is_none_is_passed_over(tmp_path: Path, broken: str) -> None:
    """As ssh passes it over: it vouches for nobody, and what is beside it counts."""
    known = read(tmp_path, f"{broken}\nweb {KEYS[1]}\n")
    assert [key.export_public_key().decode().strip() for key in known("web", "", 22)[0]] == [
        KEYS[1]
    ]


def test_no_files_know_nobody() -> None:
    """Never asyncssh's own default, and never everybody."""
    known = read_known_hosts([])
    assert known is not None
    assert not any(asyncssh.match_known_hosts(known, "web", "10.0.0.5", 22))


def test_bytes_that_are_no_text_are_passed_over(tmp_path: Path) -> None:
    """A comment in another encoding is no reason to trust nobody."""
    file = tmp_path / "known_hosts"
    file.write_bytes(b"# \xe9\nweb " + KEYS[0].encode() + b" caf\xe9\n")
    assert len(read_known_hosts([str(file)])("web", "", 22)[0]) == 1


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    """A host that is trusted while a run goes on is trusted at its next connection."""
    read(tmp_path, f"db {KEYS[0]}\n")
    known = read(tmp_path, f"db {KEYS[0]}\nweb {KEYS[1]}\n")
    assert len(known("web", "", 22)[0]) == 1


@pytest.mark.parametrize("before", [None, f"db {KEYS[0]}\n"])
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
        return len(read_known_hosts(ours.known_hosts_files([]))("web", "", 22)[0])

    assert keys() == 0
    remember(OfferedKey("web", f"web {KEYS[1]}", "", "", False, (), str(file)))
    assert keys() == 1


def test_a_file_that_did_not_change_is_not_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand connections read it once."""
    file = tmp_path / "known_hosts"
    file.write_text(f"web {KEYS[0]}\n")
    first = read_known_hosts([str(file)])
    monkeypatch.setattr(Path, "read_text", None)
    assert read_known_hosts([str(file)]) is first
    os.utime(file, ns=(0, 0))
    with pytest.raises(TypeError):
        read_known_hosts([str(file)])


def test_only_lines_about_the_host_are_interpreted(tmp_path: Path) -> None:
    """Keys cost; those of a thousand other hosts are not looked at."""
    others = "".join(f"h{number},10.1.0.{number} {KEYS[0]}\n" for number in range(200))
    known = read(tmp_path, f"{others}web {KEYS[1]}\n{hashed('h1')} {KEYS[2]}\n")
    assert known.about("web", "10.0.0.5", 22) == f"web {KEYS[1]}"


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
