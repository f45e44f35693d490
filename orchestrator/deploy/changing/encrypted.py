"""Which encrypted files come, go, or change with a system: known by their names, never opened."""

from __future__ import annotations

import asyncio
import contextlib
import stat
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from orchestrator.core.changed import NamesChange
from orchestrator.core.store import OutPath
from orchestrator.deploy.plan import foresee as judge
from orchestrator.secrets.files.sops import SopsError, SopsUnreadError, format_of, read_content

_MOST_LOOKED_AT = 200
_LARGEST = 4 << 20
"""Bytes of a file: larger ones are not looked at."""


_STORE = Path("/nix/store")


async def encrypted(
    gone: Iterable[OutPath], new: Iterable[OutPath], store: Path = _STORE
) -> NamesChange:
    """Compare two closures, of which what differs is given.

    A file of age is known by its name; one of sops, which may be called anything, by its metadata:
    where it is in the store of this machine.
    """
    gone, new = tuple(gone), tuple(new)
    sops = await asyncio.to_thread(lambda: frozenset(_of_sops((*new, *gone), store)))
    return judge.secrets(gone, new, sops)


def _of_sops(paths: Iterable[OutPath], store: Path) -> Iterator[str]:
    """The names of those that sops encrypted."""
    named = (one for one in paths if format_of(one.name) != "binary")
    for path in islice(named, _MOST_LOOKED_AT):
        with contextlib.suppress(OSError, SopsError, SopsUnreadError):
            file = store / Path(path.path).name
            found = file.lstat()
            if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
                continue
            data = file.read_bytes()
            if b"ENC[" in data and read_content(format_of(path.name), data) is not None:
                yield path.name
