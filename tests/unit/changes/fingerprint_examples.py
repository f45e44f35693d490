"""Made-up fingerprints."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from orchestrator.changes.plan import Asked, Fingerprint, Read, Tree
from orchestrator.core.store import DrvPath, Evaluated, OutPath

AT = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)
FILES = {"flake.nix": "100644 1", "d/a.nix": "100644 2", "d/\udcff\n": "120000 3"}
READS = frozenset({Read(Asked.CONTENT, "d/\udcff\n"), Read(Asked.LIST, ""), Read(Asked.TYPE, "d")})


def tree(entries: Mapping[str, str] = FILES, head: str | None = "c" * 40) -> Tree:
    """A tree of these files."""
    return Tree("/a fleet", dict(entries), head, dirty=False, flake="d")


def evaluated(letter: str) -> Evaluated:
    """What came of an evaluation."""
    out = OutPath(f"/nix/store/{letter * 32}-nixos-system-p620")
    return Evaluated(DrvPath(f"{out.path}.drv"), out)


def fingerprint(
    attr: str = "p620",
    of: Tree | None = None,
    reads: Iterable[Read] | None = READS,
    *,
    run: int | None = 1,
    letter: str = "a",
    context: str = "here",
) -> Fingerprint:
    """A fingerprint of a host."""
    return Fingerprint(
        attr=attr,
        context=context,
        tree=of or tree(),
        reads=None if reads is None else frozenset(reads),
        files=2,
        evaluated=evaluated(letter),
        run=run,
        at=AT + timedelta(minutes=run or 0),
        why_whole="" if reads is not None else "it looks at the tree as a whole",
    )
