"""What the fleet's repository says, and every content that it ever had while somebody edits it.

A content is two marks in two files, each of which goes into the system: a system tells from outside
what it was built from, and one that was read half before and half after an edit gives itself away.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import re
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.faults.campaign.oracle import Marks

_MODULE = """\
{{ pkgs, ... }}: let marker = "{mark}"; in {{
  environment.etc."marker".text = marker;
  environment.etc."second".text = import ./second.nix;
{body}
}}
"""
_PLACES = ("change.nix", "second.nix")
_MARK = re.compile(r'"([0-9a-z]+-[0-9]+)"')
_NUMBERS = itertools.count(1)
_GAPS = (0.005, 0.3)
_DONE = 4.0


@dataclass
class Content:
    """The content of a fleet's folder.

    Attributes:
        root: The folder.
        body: What the system is configured with beside the marks.
        had: Each content that the folder ever had, and since when.
    """

    root: Path
    body: str = ""
    had: list[tuple[float, Marks]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def now(self) -> Marks:
        """What the files say."""
        return tuple(_mark((self.root / name).read_text()) for name in _PLACES)

    def since(self, moment: float) -> frozenset[Marks]:
        """Every content that the folder had from a moment on."""
        at = [marks for when, marks in self.had if when <= moment][-1:]
        return frozenset([*at, *(marks for when, marks in self.had if when > moment)])

    def renew(self) -> None:
        """Write a content that there never was."""
        with self._lock:
            for name in _PLACES:
                self._write(name, f"{os.urandom(4).hex()}-{next(_NUMBERS)}")
            self._git("add", "--intent-to-add", *_PLACES)

    def edit(self, chance: random.Random) -> None:
        """Do to the repository what a person does, and write down what it says then."""
        with self._lock:
            what = chance.choice([self._edit_one, self._edit_both, self._commit, self._check_out])
            what(chance)

    def _edit_one(self, chance: random.Random) -> None:
        self._write(chance.choice(_PLACES), f"{os.urandom(4).hex()}-{next(_NUMBERS)}")

    def _edit_both(self, chance: random.Random) -> None:
        for name in chance.sample(_PLACES, 2):
            self._write(name, f"{os.urandom(4).hex()}-{next(_NUMBERS)}")

    def _commit(self, _: random.Random) -> None:
        self._git("commit", "--quiet", "--allow-empty", "-m", "an edit", "--", *_PLACES)

    def _check_out(self, chance: random.Random) -> None:
        """Have the files of an older commit; git writes one after the other, in either order."""
        before = self.now
        to = chance.choice(self._commits())
        if (wanted := self._at(to)) is None:
            return
        for half in ((before[0], wanted[1]), (wanted[0], before[1])):
            self.had.append((time.monotonic(), half))
        self._git("checkout", "--quiet", "--force", to, "--", *_PLACES)
        self.had.append((time.monotonic(), self.now))

    def _commits(self) -> list[str]:
        return self._git("log", "--format=%H", "-n", "5").split()

    def _at(self, commit: str) -> Marks | None:
        try:
            marks = tuple(_mark(self._git("show", f"{commit}:{name}")) for name in _PLACES)
        except subprocess.CalledProcessError:  # it was not there yet
            return None
        return None if None in marks else marks

    def _write(self, name: str, mark: str) -> None:
        """Write a file whole: whoever reads it finds the one content or the other."""
        now = [_mark(file.read_text()) if file.exists() else None for file in self._files()]
        now[_PLACES.index(name)] = mark
        self.had.append((time.monotonic(), tuple(now)))
        module = _MODULE.format(mark=mark, body=self.body)
        new = self.root / ".git" / f"{name}.new"
        new.write_text(module if name == _PLACES[0] else f'"{mark}"\n')
        new.replace(self.root / name)

    def _files(self) -> list[Path]:
        return [self.root / name for name in _PLACES]

    def _git(self, *words: str) -> str:
        done = subprocess.run(
            ("git", *words), cwd=self.root, capture_output=True, text=True, check=True
        )
        return done.stdout


class Editor:
    """Somebody who edits a repository until told to stop."""

    def __init__(self, content: Content, chance: random.Random) -> None:
        self.edits = 0
        self._content, self._chance = content, chance
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Have it end what it does, and no more."""
        self._over.set()
        self._thread.join(_DONE)

    def _work(self) -> None:
        while not self._over.wait(self._chance.uniform(*_GAPS)):
            with contextlib.suppress(subprocess.CalledProcessError):  # another git was at work
                self._content.edit(self._chance)
                self.edits += 1


def _mark(text: str) -> str | None:
    found = _MARK.search(text)
    return found[1] if found else None
