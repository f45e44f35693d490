"""``known_hosts`` files, read once for all hosts.

asyncssh reads them for each connection, every key in them: a thousand hosts are a million keys.
Here a connection gets the lines that may speak of its host; what they mean is asyncssh's to say.
"""

from __future__ import annotations

import base64
import functools
import hmac
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.adapters.ssh.lean import asyncssh
from orchestrator.adapters.ssh.settings import look_again, moment
from orchestrator.lines import split_lines

_MARKERS = ("cert-authority", "revoked")


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """The lines of some files, by whom they speak of; see sshd(8).

    Attributes:
        named: Of a host by its plain name.
        hashed: Of a host whose name is hashed: salt, hash, line.
        others: With patterns; they may speak of any host.
    """

    named: dict[str, list[str]] = field(default_factory=dict)
    hashed: list[tuple[bytes, bytes, str]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)

    def __call__(self, host: str, address: str, port: int | None) -> Sequence[Any]:
        """Match a host, as asyncssh asks it of a function: see ``match_known_hosts``."""
        return _meaning(self.about(host, address, port)).match(host, address, port)

    def about(self, host: str, address: str, port: int | None) -> str:
        """The lines that may speak of a host."""
        plain = dict.fromkeys(name for name in (host, address) if name)
        names = [*plain, *(f"[{name}]:{port}" for name in plain)]
        lines = [line for name in names for line in self.named.get(name, ())]
        lines += (line for salt, digest, line in self.hashed if _is_one_of(salt, digest, names))
        return "\n".join(dict.fromkeys((*lines, *self.others)))

    def _add(self, line: str) -> None:
        words = line.split(None, 3)
        marked = words[0].startswith("@")
        # What is no entry, or has a marker that nobody knows, is left out, as ssh leaves it out.
        if len(words) < 2 + marked or (marked and words[0][1:] not in _MARKERS):
            return
        pattern = words[marked]
        if pattern.startswith("|"):
            self._add_hashed(pattern, line)
        elif any(character in pattern for character in "*?!/"):
            self.others.append(line)
        else:
            for name in pattern.split(","):
                self.named.setdefault(name, []).append(line)

    def _add_hashed(self, pattern: str, line: str) -> None:
        try:
            _, kind, salt, digest = pattern.split("|")
            if kind == "1":
                self.hashed.append((base64.b64decode(salt), base64.b64decode(digest), line))
        except ValueError:
            return


def _is_one_of(salt: bytes, digest: bytes, names: Iterable[str]) -> bool:
    """Whether a hash is that of one of the names: HMAC-SHA1, the salt its key."""
    return any(hmac.digest(salt, name.encode(), "sha1") == digest for name in names)


@functools.lru_cache(maxsize=64)
def _meaning(text: str) -> asyncssh.SSHKnownHosts:
    return asyncssh.import_known_hosts(text)


def read_known_hosts(files: Iterable[str]) -> KnownHosts:
    """Read files; those that did not change since they were read last are not read again.

    Raises:
        OSError: One cannot be read.
    """
    return _as_of(tuple(files), moment())


def read_again() -> None:
    """Have files read again, even in this moment: one of them was just written here."""
    look_again()
    _as_of.cache_clear()


@functools.lru_cache(maxsize=16)
def _as_of(files: tuple[str, ...], _moment: int) -> KnownHosts:
    found = [(file, Path(file).stat()) for file in files]
    return _read(tuple((file, now.st_ino, now.st_size, now.st_mtime_ns) for file, now in found))


@functools.lru_cache(maxsize=16)
def _read(files: tuple[tuple[str, int, int, int], ...]) -> KnownHosts:
    known = KnownHosts()
    for line in _lines(file for file, *_ in files):
        known._add(line)
    return known


def _lines(files: Iterable[str]) -> Iterator[str]:
    for file in files:
        # asyncssh takes ASCII only; a comment may be anything.
        text = Path(file).read_text(encoding="ascii", errors="backslashreplace")
        for line in split_lines(text):
            if (entry := line.strip()) and not entry.startswith("#"):
                yield entry
