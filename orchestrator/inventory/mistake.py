"""Mistakes in inventory files: where, what was found, what was expected, the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field

from orchestrator.core.errors import UsageError

# More than this many help nobody; each costs a search for the nearest name.
MAX_MISTAKES = 200
# A name longer than this was not meant to be one of ours, and comparing is quadratic.
_MAX_COMPARED = 64
_MAX_SHOWN = 60
_MAX_LISTED = 20


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A place in a file: lines and columns count from 1; 0 is the file as a whole.

    Attributes:
        file: Relative to the fleet's root.
    """

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        numbers = [str(number) for number in (self.line, self.column) if number]
        return ":".join([printable(self.file, limit=None), *numbers])


@dataclass(frozen=True, slots=True, order=True)
class Mistake:
    """One thing that is wrong in the inventory.

    Attributes:
        found: What is there.
        expected: What should be there, or what to do.
        nearest: The valid name that was probably meant.
        also: The other place, where two places contradict each other.
    """

    place: Place
    found: str
    expected: str
    nearest: str | None = None
    also: Place | None = None

    def __str__(self) -> str:
        parts = [f"{self.place}: {self.found}"]
        if self.also is not None:
            parts.append(f" (the other is at {self.also})")
        parts.append(f"; expected {self.expected}")
        if self.nearest is not None:
            parts.append(f"; did you mean {self.nearest!r}?")
        return "".join(parts)


class InventoryError(UsageError):
    """The inventory cannot be read; every mistake in it, by file and line.

    Args:
        mistakes: In order.
        more: How many further mistakes were counted and not kept.
    """

    def __init__(self, mistakes: tuple[Mistake, ...], *, more: int = 0) -> None:
        count = len(mistakes) + more
        head = f"the inventory has {count} mistake{'' if count == 1 else 's'}"
        lines = [head, *(f"  {mistake}" for mistake in mistakes)]
        if more:
            lines.append(f"  … and {more} more")
        super().__init__(
            "\n".join(lines),
            hint="correct the lines above, then: orchestrator inventory check",
        )
        self.mistakes = mistakes


@dataclass(slots=True)
class Mistakes:
    """Collects mistakes, so that all of them are told at once."""

    kept: list[Mistake] = field(default_factory=list)
    more: int = 0

    def add(
        self,
        place: Place,
        found: str,
        expected: str,
        *,
        meant: tuple[str, Iterable[str]] | None = None,
        also: Place | None = None,
    ) -> None:
        """Note a mistake.

        Args:
            place: Where it is.
            found: What is there.
            expected: What should be.
            meant: A name as written and the names it could have been, for "did you mean".
            also: The other place of a contradiction.
        """
        if len(self.kept) >= MAX_MISTAKES:
            self.more += 1
            return
        near = nearest(*meant) if meant else None
        self.kept.append(Mistake(place, found, expected, near, also))

    def settle(self) -> None:
        """Raise what was collected.

        Raises:
            InventoryError: There is at least one mistake.
        """
        if self.kept:
            unique = sorted(set(self.kept), key=lambda mistake: (mistake.place, mistake.found))
            raise InventoryError(tuple(unique), more=self.more)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The valid name that resembles ``name`` most, or ``None`` where none does."""
    if len(name) > _MAX_COMPARED:
        return None
    by_fold = {valid.casefold(): valid for valid in names}
    found = difflib.get_close_matches(name.casefold(), by_fold, n=1)
    return by_fold[found[0]] if found else None


def one_of(names: Iterable[str], nothing: str = "nothing") -> str:
    """The valid names as an expectation, shortened where there are many."""
    listed = sorted(names)
    if not listed:
        return nothing
    tail = f", … ({len(listed)} in all)" if len(listed) > _MAX_LISTED else ""
    return f"one of {', '.join(listed[:_MAX_LISTED])}{tail}"


def printable(text: str, limit: int | None = _MAX_SHOWN) -> str:
    """``text`` on one line without control characters, shortened to ``limit`` characters."""
    short = text if limit is None or len(text) <= limit else text[:limit] + "…"
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in short
    )


def quoted(text: str) -> str:
    """``text`` in single quotes, for messages."""
    return f"'{printable(text)}'"
