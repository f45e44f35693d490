"""A flake by its folder; all but its files that an evaluation depends on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.errors import StepError, UsageError
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


_LINKS = ("git",)
"""What else is below ``XDG_CACHE_HOME`` that Nix's children want: git's credential cache."""


def own_cache() -> Mapping[str, str]:
    """The variables for a cache that only evaluations of private copies write.

    What was downloaded is the person's: no file of it is ever changed.
    """
    folder = _base() / "orchestrator/nix"
    cache = folder / "nix"
    cache.mkdir(parents=True, exist_ok=True, mode=0o700)
    _link(_downloads(_persons_cache()), cache)
    _link((_base() / name for name in _LINKS if (_base() / name).exists()), folder)
    return _variables(folder)


def fresh_cache(folder: Path) -> Mapping[str, str]:
    """Make a copy of that cache for once, and give the variables that make Nix use it.

    What was fetched is linked, which inputs that was is copied, evaluations are left out.
    """
    own, copy = Path(own_cache()["NIX_CACHE_HOME"]), folder / "nix"
    copy.mkdir(parents=True)
    _link(_downloads(own), copy)
    for item in own.glob("fetcher-cache*.sqlite"):
        # Without it, inputs are looked up again: slower, and no other.
        with contextlib.suppress(sqlite3.Error):
            _copy_database(item, copy / item.name)
    return _variables(folder)


def _variables(folder: Path) -> Mapping[str, str]:
    # The second is known since 2.25, and goes first there.
    return {"XDG_CACHE_HOME": str(folder), "NIX_CACHE_HOME": str(folder / "nix")}


def _base() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()).absolute()


def _persons_cache() -> Path:
    named = os.environ.get("NIX_CACHE_HOME")
    return Path(named).absolute() if named else _base() / "nix"


def _downloads(cache: Path) -> Iterator[Path]:
    """Folders of git objects, which are what their names say."""
    for item in cache.iterdir() if cache.is_dir() else ():
        if item.is_dir() and not item.name.startswith("eval-cache"):
            yield item


def _link(items: Iterator[Path], into: Path) -> None:
    for link in into.iterdir():
        if link.is_symlink() and not link.exists():
            link.unlink(missing_ok=True)
    for item in items:
        with contextlib.suppress(FileExistsError):
            (into / item.name).symlink_to(item)


def _copy_database(source: Path, target: Path) -> None:
    """Copy a database that others may be writing."""
    with (
        contextlib.closing(
            sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro", uri=True)
        ) as old,
        contextlib.closing(sqlite3.connect(target)) as new,
    ):
        old.backup(new)


SCHEME = "2"
"""Counts up when fingerprints come to mean something else."""

# nix.conf(5) "Environment", and what moves the store or the evaluator's view of it.
_VARIABLES = (
    "NIX_CONFIG",
    "NIX_CONF_DIR",
    "NIX_REMOTE",
    "NIX_STORE_DIR",
    "NIX_STORE",
    "NIX_STATE_DIR",
)
_INCLUDE = re.compile(r"^\s*!?include\s+(\S+)", re.MULTILINE)


def context(flake: Flake) -> str:
    """Digest what counts besides the tree: SHA-256 in hexadecimal.

    Raises:
        StepError: An input is given by a URL whose content may change unseen.
    """
    lines = [SCHEME, flake.reference, *_nix(), *_settings()]
    for name, url in flake.overrides:
        lines.append(f"{name}={url} {_state_of(url)}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _nix() -> Iterator[str]:
    """Which Nix it is: in the store its path tells, elsewhere its file's size and times."""
    program = Path(shutil.which("nix") or "nix").resolve()
    yield str(program)
    if not program.is_relative_to("/nix/store") and program.exists():
        found = program.stat()
        yield f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _settings() -> Iterator[str]:
    for name in _VARIABLES:
        yield f"{name}={os.environ.get(name)}"
    for file in _files():
        yield from _with_includes(file, set())


def _files() -> Iterator[Path]:
    """The settings files that Nix reads: nix.conf(5); and what a person accepted of flakes."""
    yield Path(os.environ.get("NIX_CONF_DIR") or "/etc/nix", "nix.conf")
    home = Path("~").expanduser()
    own = os.environ.get("XDG_CONFIG_HOME") or str(home / ".config")
    others = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    named = os.environ.get("NIX_USER_CONF_FILES")
    if named is not None:
        yield from (Path(name) for name in named.split(":") if name)
    else:
        yield from (Path(folder, "nix/nix.conf") for folder in (own, *others.split(":")))
    data = os.environ.get("XDG_DATA_HOME") or str(home / ".local/share")
    yield Path(data, "nix/trusted-settings.json")


def _with_includes(file: Path, seen: set[Path]) -> Iterator[str]:
    if file in seen:
        return
    seen.add(file)
    try:
        text = file.read_text(errors="surrogateescape")
    except OSError as error:
        yield f"{file} {error.errno}"
        return
    yield f"{file} {text}"
    for name in _INCLUDE.findall(text):
        yield from _with_includes(file.parent / name, seen)


def _state_of(url: str) -> str:
    """What tells whether the content behind an override's URL changed."""
    if re.match(r"path:/nix/store/[^?#]+$", url):
        return "immutable"
    if not url.startswith("path:/") or "?" in url or "#" in url:
        raise StepError(f"the input {url} may change unseen")
    digest = hashlib.sha256()
    for folder, names, files in os.walk(url.removeprefix("path:")):
        names.sort()
        for name in sorted((*files, *names)):
            found = os.lstat(os.path.join(folder, name))  # noqa: PTH118 (thousands of them)
            facts = (folder, name, found.st_mode, found.st_ino, found.st_size, found.st_ctime_ns)
            digest.update(repr(facts).encode())
    return digest.hexdigest()
