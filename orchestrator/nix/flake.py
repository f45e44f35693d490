"""A flake by its folder; a derivation and what it builds."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Host
from orchestrator.core.nix_settings import PLAIN, NixSettings
from orchestrator.core.patterns import pattern
from orchestrator.core.store import DrvPath, OutPath
from orchestrator.core.values import replace

# One output, called `out`, whose path is known: what a NixOS system is. A path or a hash has no
# character that would be escaped.
_ONE_OUTPUT = pattern(rb'Derive\(\[\("out","(/nix/store/[^"\\]+)","[^"\\]*","[^"\\]*"\)\],\[')
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


_ATTR = pattern(r"[A-Za-z0-9_.-]+")
# Types of references whose content Nix fetches from elsewhere, by a revision or as a whole.
_REMOTE = pattern(r"(github|gitlab|sourcehut|((git|hg|tarball|file)\+)?(https?|ssh)):")


class Copied(Struct, frozen=True):
    """The private copy that a flake is evaluated from.

    Attributes:
        root: The copy of the repository.
        original: The repository that it is of.
        shown: How a person names the flake in its folder.
    """

    root: str
    original: str
    shown: str


class Flake(Struct, frozen=True):
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
        settings: How Nix evaluates it.
        place: Where it is, seen from the fleet's flake; empty for that one itself.
    """

    reference: str
    folder: str
    overrides: tuple[tuple[str, str], ...] = ()
    env: Mapping[str, str] = {}
    eval_cache: bool = False
    copied: Copied | None = None
    settings: NixSettings = PLAIN
    place: str = ""

    def __hash__(self) -> int:
        return hash((self.where, self.overrides, self.settings, self.place))

    @classmethod
    def at(
        cls,
        flake: str,
        root: str,
        overrides: tuple[tuple[str, str], ...] = (),
        settings: NixSettings = PLAIN,
    ) -> Flake:
        """Make one from the inventory's ``flake``: an absolute path or a URL.

        A path is never spliced into a URL: Nix is started there, whatever its characters.
        """
        if flake.startswith("/"):
            return cls(".", flake, overrides, settings=settings)
        return cls(flake, root, overrides, settings=settings)

    def of(self, host: Host) -> Flake:
        """The flake that a host's configuration is in, with what the inventory says to Nix of it.

        Called of the fleet's flake itself; a copy is of one flake and has no other.
        """
        if host.flake is None:
            return replace(self, settings=host.nix)
        found = Flake.at(host.flake, self.folder, self.overrides, host.nix)
        place = os.path.relpath(host.flake, self.folder) if found.reference == "." else host.flake
        return replace(found, place="" if place == "." else place)

    @property
    def where(self) -> tuple[str, str]:
        """Tells flakes apart, however they are evaluated."""
        return self.reference, self.folder

    def key(self, attr: str) -> str:
        """Tells a host's configuration from all others of the fleet's."""
        return f"{self.place}#{attr}" if self.place else attr

    @property
    def is_remote(self) -> bool:
        """Whether its files are elsewhere, where nobody edits them while they are read."""
        return _REMOTE.match(self.reference) is not None

    @property
    def inputs(self) -> tuple[tuple[str, str], ...]:
        """What stands in for inputs: ``overrides``, and what the inventory says of the others."""
        named = {name for name, _ in self.overrides}
        others = [pair for pair in self.settings.override_inputs if pair[0] not in named]
        return (*self.overrides, *others)

    @property
    def arguments(self) -> tuple[str, ...]:
        """Nix's options for it; nothing is written to the lock file where there are overrides."""
        pairs = [("--override-input", name, url) for name, url in self.inputs]
        return (*self.settings.evaluating, *(word for pair in pairs for word in pair))

    @property
    def evaluating(self) -> tuple[str, ...]:
        """Nix's options where it is evaluated, which never writes a lock file."""
        # Its key does not know of settings.
        cached = self.eval_cache and self.settings == PLAIN
        cache = () if cached else ("--no-eval-cache",)
        return (*cache, "--no-write-lock-file", *self.arguments)

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
