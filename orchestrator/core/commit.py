"""Commits of a fleet, and how they stand to each other."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Self

from msgspec import Struct

from orchestrator.core.units import on_one_line

DIRTY = "-dirty"
"""Ends a revision where there were changes beside the commit."""

LONGEST_SUBJECT = 72
"""Characters of a commit's first line: as many as git's own habit allows."""


class Commit(Struct, frozen=True):
    """A commit, as a person recognises it.

    Attributes:
        id: All of it.
        parents: Their ids.
        date: When it was committed, by its committer's clock, such as ``2026-11-28 14:03``.
        subject: The first line of its message: printable, and not long.
    """

    id: str
    parents: tuple[str, ...]
    date: str
    subject: str


MOST_BEFORE = 50
"""How many commits before its own a host keeps: each state that it tells has them."""

_SHORT = 8
"""Digits of each: with so few of them, two are the same once in a hundred million times."""

_BEFORE = re.compile(f"[0-9a-f]{{{_SHORT}}}")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}")


def printable(subject: str) -> str:
    """Make the first line of a message one that a person can be shown."""
    return on_one_line(subject)[:LONGEST_SUBJECT]


class Checkout(Struct, frozen=True):
    """What a host keeps of the place that it was deployed from, for clones that have it not.

    Attributes:
        folder: Names the folder and its machine; empty where that was not written down.
        date: The commit's, as a person reads it.
        subject: The first line of its message.
        before: The commits before it, the nearest first, by their first digits.
    """

    folder: str = ""
    date: str = ""
    subject: str = ""
    before: tuple[str, ...] = ()

    @classmethod
    def of(cls, folder: str, commit: Commit | None, before: Iterable[str]) -> Self:
        """Make one of full ids."""
        short = tuple(id_[:_SHORT] for id_ in before)[:MOST_BEFORE]
        return cls(folder, commit.date, commit.subject, short) if commit else cls(folder)

    @classmethod
    def parse(cls, fields: Mapping[str, str]) -> Self:
        """Read what :attr:`fields` wrote; a host may have made it up."""
        date = fields.get("commit_date", "")
        before = fields.get("commit_before", "").split(" ")[:MOST_BEFORE]
        return cls(
            folder=fields.get("checkout", ""),
            date=date if _DATE.fullmatch(date) else "",
            subject=printable(fields.get("commit_subject", "")),
            before=tuple(id_ for id_ in before if _BEFORE.fullmatch(id_)),
        )

    @property
    def fields(self) -> dict[str, str]:
        """How it is written into a record."""
        return {
            "checkout": self.folder,
            "commit_date": self.date,
            "commit_subject": self.subject,
            "commit_before": " ".join(self.before),
        }

    def descends_from(self, id_: str) -> bool:
        """Whether a commit, by its full id, is one of those before."""
        return id_[:_SHORT] in self.before


NOWHERE = Checkout()
"""Where nothing was written down."""


class Distance(Struct, frozen=True):
    """How far a commit is from another.

    Attributes:
        ahead: How many commits it has that are not in the other; of an ancestor none.
        behind: How many the other has that it lacks.
    """

    ahead: int
    behind: int


class Kin(Struct, frozen=True):
    """How the commit that a host has stands to this one.

    Attributes:
        theirs: ``None`` where it is not known here.
        mine: Likewise.
        distance: Of theirs from mine; ``None`` where one is not known.
        shallow: Whether commits are lacking here, so that these may be kin all the same.
    """

    theirs: Commit | None = None
    mine: Commit | None = None
    distance: Distance | None = None
    shallow: bool = False
