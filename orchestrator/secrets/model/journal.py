"""What a change of several files wrote down before it began, so that it can be ended later."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replacement:
    """One file of a change.

    Attributes:
        path: Relative to the root.
        staged: Where its new content waits until it is renamed; relative to the root.
        old: SHA-256 of what it held, in hex; ``None`` where there was no such file.
        new: SHA-256 of what it shall hold, in hex.
    """

    path: str
    staged: str
    old: str | None
    new: str


@dataclass(frozen=True, slots=True)
class Journal:
    """A change that was begun and has not ended.

    Attributes:
        id: Names the change; no two share it.
        what: The command that began it: ``rekey``.
        replacements: Its files.
        folders: Folders that it makes, the outermost first; relative to the root.
        committed: Whether everything was staged: it goes forward then, and back if not.
    """

    id: str
    what: str
    replacements: tuple[Replacement, ...]
    folders: tuple[str, ...] = ()
    committed: bool = False
