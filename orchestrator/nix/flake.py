"""A flake by its folder; a derivation and what it builds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.errors import UsageError
from orchestrator.core.store import DrvPath, OutPath

# One output, called `out`, whose path is known: what a NixOS system is. A path or a hash has no
# character that would be escaped.
_ONE_OUTPUT = re.compile(rb'Derive\(\[\("out","(/nix/store/[^"\\]+)","[^"\\]*","[^"\\]*"\)\],\[')
_LONGEST = 1024


def output_of(drv: DrvPath) -> OutPath | None:
    """Read the path that a derivation builds.

    Returns:
        ``None`` where the file does not say so beyond doubt: it is not here, is of another form,
        or the path is known only once it is built.
    """
    try:
        with Path(drv.path).open("rb") as file:
            found = _ONE_OUTPUT.match(file.read(_LONGEST))
        return OutPath(found[1].decode()) if found else None
    except (OSError, ValueError):
        return None


_ATTR = re.compile(r"[A-Za-z0-9_.-]+")
# Types of references whose content Nix fetches from elsewhere, by a revision or as a whole.
_REMOTE = re.compile(r"(github|gitlab|sourcehut|((git|hg|tarball|file)\+)?(https?|ssh)):")


@dataclass(frozen=True, slots=True)
class Copied:
    """The private copy that a flake is evaluated from.

    Attributes:
        root: The copy of the repository.
        original: The repository that it is of.
        shown: How a person names the flake in its folder.
    """

    root: str
    original: str
    shown: str


@dataclass(frozen=True, slots=True)
class Flake:
    """A flake to evaluate.

    Attributes:
        reference: A flake URL, or ``.`` for the flake in ``folder``.
        folder: Where Nix is started.
        overrides: ``--override-input`` pairs: the input's name and a flake URL.
        env: Variables for Nix: which cache it uses.
        eval_cache: Whether Nix may answer from its evaluation cache. Nix takes down its key and
            the files one after the other: where they are edited meanwhile, it keeps what came of
            other files, and gives that ever after.
        copied: Where it is a private copy: of what.
    """

    reference: str
    folder: str
    overrides: tuple[tuple[str, str], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, hash=False)
    eval_cache: bool = False
    copied: Copied | None = None

    @classmethod
    def at(cls, flake: str, root: str, overrides: tuple[tuple[str, str], ...] = ()) -> Flake:
        """Make one from the inventory's ``flake``: an absolute path or a URL.

        A path is never spliced into a URL: Nix is started there, whatever its characters.
        """
        if flake.startswith("/"):
            return cls(".", flake, overrides)
        return cls(flake, root, overrides)

    @property
    def is_remote(self) -> bool:
        """Whether its files are elsewhere, where nobody edits them while they are read."""
        return _REMOTE.match(self.reference) is not None

    @property
    def arguments(self) -> tuple[str, ...]:
        """Nix's options for it; nothing is written to the lock file where there are overrides."""
        pairs = [("--override-input", name, url) for name, url in self.overrides]
        return tuple(word for pair in pairs for word in pair)

    @property
    def evaluating(self) -> tuple[str, ...]:
        """Nix's options where it is evaluated: never does a copy get a lock file of its own."""
        cache = () if self.eval_cache else ("--no-eval-cache",)
        return (*cache, *(("--no-write-lock-file",) if self.copied else ()), *self.arguments)

    def configuration(self, attr: str) -> str:
        """The installable of a host's options."""
        if not _ATTR.fullmatch(attr):
            raise UsageError(f"{attr!r} is no attribute of nixosConfigurations")
        return f'{self.reference}#nixosConfigurations."{attr}".config'

    def toplevel(self, attr: str) -> str:
        """The installable of a host's system."""
        return f"{self.configuration(attr)}.system.build.toplevel"

    def by_hand(self, word: str) -> str:
        """A word of a command line as a person would have it: the fleet, and not its copy."""
        if self.copied is None:
            return word
        return word.replace(f"{self.reference}#", f"{self.copied.shown}#")

    def told(self, line: bytes) -> bytes:
        """What Nix says of a copy, said of what it is of."""
        if self.copied is None:
            return line
        return line.replace(self.copied.root.encode(), self.copied.original.encode())
