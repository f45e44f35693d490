"""What a lab's host has of its base image: it is no system of NixOS's, and nobody declared it.

The image is read on this machine, so that nothing that a host says makes a file known.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from orchestrator.core import beneath
from orchestrator.core.units import split_lines
from orchestrator.host.setup import Setup
from orchestrator.lab import record
from orchestrator.lab.image import Image
from orchestrator.lab.places import LabPlaces
from orchestrator.security.model import Base
from orchestrator.security.plan.accounts import key_of
from orchestrator.security.plan.answer import Seen

_MOST = 1 << 20
_DELETED = " (deleted)"


def base_of(setup: Setup, host: str, seen: Seen) -> Base:
    """Say what of an answer is the base image's; nothing where the host is none of such a lab."""
    if not setup.in_lab:
        return Base()
    places = LabPlaces.of(Path(setup.fleet.root))
    known = record.load(places.record)
    if known is None or host not in known.hosts or known.hosts[host].whole:
        return Base()
    root = Image(known.base).rootfs
    public = places.identity.with_name(places.identity.name + ".pub")
    lab_keys = [key_of(line) for line in split_lines(public.read_text())]
    return Base(
        paths=frozenset(path for path, digest in _paths(seen) if _is_image_s(root, path, digest)),
        accounts=frozenset(_last_words(root, "etc/passwd")),
        groups={
            name: frozenset(members.split(","))
            for name, members in _last_words(root, "etc/group").items()
        },
        keys=frozenset(filter(None, lab_keys)),
    )


def _last_words(root: Path, file: str) -> dict[str, str]:
    """Give the last field of each entry of a file such as group(5), by the first."""
    text = beneath.read(root, file, _MOST).decode(errors="replace")
    rows = (line.split(":") for line in split_lines(text))
    return {row[0]: row[-1] for row in rows}


def _paths(seen: Seen) -> Iterator[tuple[str, str]]:
    """Give each path that is said, with its digest where its content counts."""
    for process in seen.processes.values():
        yield process.exe.removesuffix(_DELETED), ""
    for unit in seen.units.values():
        yield from ((path, "") for path in (unit.fragment, *unit.drop_ins))
    for kind in ("unit-file", "link"):
        yield from ((path, "") for path, _ in seen.pairs(kind))
    yield from ((target, "") for _, target in seen.pairs("link"))
    yield from ((one.path, "") for one in seen.setuid)
    yield from ((path, "") for _, path in seen.pairs("cron"))
    for row in seen.rows.get("capability", ()):
        yield row[0].rpartition(" ")[0], ""
    yield from ((f"/etc/{one.name}", one.sum) for one in seen.added)


def _is_image_s(root: Path, path: str, digest: str) -> bool:
    """Whether the image has it; of what has a digest, with the same content."""
    if not path.startswith("/") or ".." in PurePosixPath(path).parts:
        return False
    inside = path.lstrip("/")
    # What a deployment hides is kept beside it.
    for one in (inside, inside.removesuffix(".before")):
        if not digest and _is_there(root / one):
            return True
        if digest and _digest(root, one) == digest:
            return True
    return False


def _is_there(file: Path) -> bool:
    return file.is_symlink() or file.is_file()


def _digest(root: Path, inside: str) -> str:
    try:
        return hashlib.sha256(beneath.read(root, inside, _MOST)).hexdigest()
    except OSError:
        return ""
