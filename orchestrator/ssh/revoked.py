"""``RevokedHostKeys`` of ssh_config(5): a list of keys in text, or a key revocation list."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from pathlib import Path

from orchestrator.core.errors import StepError
from orchestrator.ssh.known_hosts import read_public_line
from orchestrator.ssh.krl import MAGIC, read_krl
from orchestrator.ssh.wire_key import WireKey, is_known_kind

Revokes = Callable[[WireKey], bool]
"""Whether a list revokes a key, or the authority that certified it."""


def read_revoked(files: Iterable[str]) -> tuple[Revokes, ...]:
    """Read the lists.

    Raises:
        StepError: One cannot be read. As with ssh nobody is trusted then: it may revoke any key.
    """
    return tuple(_revokes(file) for file in files)


def _revokes(file: str) -> Revokes:
    try:
        now = Path(file).stat()
        return _read(file, (now.st_ino, now.st_size, now.st_mtime_ns))
    except (OSError, ValueError) as error:
        cause = error.strerror if isinstance(error, OSError) else error
        raise StepError(
            f"RevokedHostKeys {file} cannot be read: {cause}",
            hint="no host key is trusted without it, by ssh neither: make the file, "
            "name it by its whole path, or take the option out of ssh_config",
        ) from error


@functools.lru_cache(maxsize=16)
def _read(file: str, _state: tuple[int, int, int]) -> Revokes:
    data = Path(file).read_bytes()
    if data.startswith(MAGIC):
        return read_krl(data).revokes
    keys = _keys(data)

    def revokes(key: WireKey) -> bool:
        named = {key.public}
        if key.certificate is not None:
            named.add(key.certificate.authority.public)
        return not named.isdisjoint(keys)

    return revokes


def _keys(data: bytes) -> frozenset[bytes]:
    """The keys of a list in text, one in a line; a line that is none spoils all, as with ssh."""
    keys = set()
    for number, line in enumerate(data.split(b"\n"), 1):
        text = line.split(b"\0", 1)[0].lstrip(b" \t")
        if not text or text.startswith(b"#"):
            continue
        entry = read_public_line(text)
        if entry is None or not is_known_kind(entry.kind):
            raise ValueError(f"line {number} is no key")
        keys.add(entry.public)
    return frozenset(keys)
