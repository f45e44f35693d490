"""What git knows of a repository's secrets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree's files, by their paths relative to it.

    Attributes:
        tracked: All that is in the index.
        ignored: Files that were asked about and are ignored → what ignores them.
        not_binary: Files that git may take for text.
        secrets: The ``.age`` files that are tracked, or are there and not ignored.
    """

    tracked: frozenset[str] = frozenset()
    ignored: Mapping[str, str] = field(default_factory=dict)
    not_binary: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = ()
