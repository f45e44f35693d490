"""Feeds of advisories: files that somebody fetched; nothing is asked of the net."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from orchestrator.core import process
from orchestrator.core.errors import UsageError, cause_of
from orchestrator.core.store import OutPath
from orchestrator.core.units import parse_json, split_lines
from orchestrator.security.plan.advisories import Advisory, read

_LARGEST = 512 << 20
"""Bytes of one file."""

_SECONDS = 120.0
_PATCH = re.compile(rb"/nix/store/[0-9a-z]{32}-([0-9A-Za-z+._?=-]*CVE-[0-9]{4}-[0-9]{4,}[^\"]*)")


def advisories(feeds: Sequence[Path]) -> Iterator[Advisory]:
    """Read feeds: files of JSON, or folders of them.

    Raises:
        UsageError: One cannot be read, or is none.
    """
    for feed in feeds:
        files = sorted(feed.rglob("*.json")) if feed.is_dir() else [feed]
        if not files:
            raise UsageError(f"{feed} has no file of JSON", hint="unpack an all.zip of OSV's there")
        for file in files:
            yield from read(_json(file))


def _json(file: Path) -> object:
    try:
        with file.open("rb") as stream:
            text = stream.read(_LARGEST + 1)
        if len(text) > _LARGEST:
            raise ValueError("it is too large")
        said: object = parse_json(text)
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is no feed that can be read: {cause_of(error)}") from None
    return said


async def patches_of(paths: Iterable[OutPath]) -> dict[str, frozenset[str]]:
    """Give the patches named after CVEs that paths were built with, where that is known here."""
    wanted = [path.path for path in paths]
    if not wanted:
        return {}
    argv = ("nix-store", "--query", "--deriver", *wanted)
    done = await process.run(argv, deadline=_SECONDS)
    derivers = split_lines(done.out) if done.rc == 0 else []
    if len(derivers) != len(wanted):
        return {}
    found = {}
    for path, deriver in zip(wanted, derivers, strict=True):
        try:
            text = Path(deriver).read_bytes()
        except OSError:
            continue
        names = (one.decode(errors="replace") for one in _PATCH.findall(text))
        found[path] = frozenset(names)
    return found
