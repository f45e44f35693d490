"""Who edits while others read: few files of few contents, so that the same tree comes again."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from random import Random

from repository import Repository

VALUES = ("1\n", "2\n", "3\n")
PATHS = ("v/a", "zz/b", "zz/c.nix")
_PAUSES = (0.0, 0.002, 0.02, 0.02, 0.02)
"""Seconds, at the most, between two edits in a row."""
_LULLS = (0.1, 0.5, 1.0, 2.0)
"""Seconds, at the most, between two such rows: too short for a copy of the tree, or long enough."""
_MOMENTS = (0.002, 0.02, 0.1)
"""Seconds, at the most, for which a file is another one; a copy of Nix's takes such a while."""
_FLIPS = 0.7
"""The share of edits that are rolled back: what was read in between may be kept as the tree's."""


class Editor:
    """Edits one repository.

    Args:
        repository: With two branches, ``main`` and ``side``.
        random: Chooses the edits.
        counted: Where each is counted that is made while others read.
    """

    def __init__(self, repository: Repository, random: Random, counted: Counter[str]) -> None:
        self._repository = repository
        self._random = random
        self._counted = counted

    def until(self, stop: threading.Event) -> None:
        """Edit on and on, most often there and back."""
        random = self._random
        pauses = (*_PAUSES, random.choice(_LULLS))
        while not stop.is_set():
            how = self._flip(stop) if random.random() < _FLIPS else self.edit()
            self._counted[how] += 1
            stop.wait(random.random() * random.choice(pauses))

    def _flip(self, stop: threading.Event) -> str:
        """Make a file another one for a moment."""
        random = self._random
        place = self._repository.root / random.choice(PATHS)
        with contextlib.suppress(OSError):
            before = place.read_bytes()
            place.write_bytes(random.choice(VALUES).encode())
            stop.wait(random.random() * random.choice(_MOMENTS))
            place.write_bytes(before)
        return "there and back"

    def edit(self) -> str:
        """Edit once, at random; tell how."""
        repository, random = self._repository, self._random
        how = random.choices(
            ("write", "undo", "branch", "stash", "pop", "commit", "list", "touch"),
            (10, 3, 2, 2, 2, 1, 2, 1),
        )[0]
        path = random.choice(PATHS)
        match how:
            case "write":
                repository.write(path, random.choice(VALUES))
            case "undo":
                repository.git("checkout", "-q", "--", random.choice((path, ".")))
            case "branch":
                repository.git("checkout", "-q", "-f", random.choice(("main", "side")))
            case "stash":
                repository.git("stash", "-q")
            case "pop":
                repository.git("stash", "pop", "-q")
            case "commit":
                repository.commit("-a", "--allow-empty")
                repository.git("reset", "-q", random.choice(("--soft", "--hard")), "HEAD~1")
            case "list":
                repository.write("v/new", "new\n")
                repository.git(*random.choice((("add",), ("add", "-N"), ("rm", "-qf"))), "v/new")
            case _:
                with contextlib.suppress(OSError):
                    (repository.root / path).touch()
        return how
