"""All but the fleet's files that an evaluation depends on."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.core.errors import StepError
from orchestrator.core.machine import home
from orchestrator.nix.flake import Flake

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
    return Path(os.environ.get("XDG_CACHE_HOME") or home() / ".cache").absolute()


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
        StepError: An input is given by a URL whose content may change unseen, or the flake itself
            says whether it is evaluated purely.
    """
    if _sets_purity(flake):
        raise StepError("flake.nix sets pure-eval, so it may read what no file of the fleet says")
    lines = [SCHEME, flake.reference, *_nix(), *_settings(), *flake.settings.evaluating]
    for name, url in flake.inputs:
        lines.append(f"{name}={url} {_state_of(url)}")
    return hashlib.sha256("\n".join(lines).encode(errors="surrogateescape")).hexdigest()


def _sets_purity(flake: Flake) -> bool:
    """Whether its ``nixConfig`` may set ``pure-eval``, which Nix lets it where that is accepted.

    Nix takes no names there but those that are written out, in quotes perhaps, where any character
    may have a backslash; accepted it may be in many places, nix.conf and the inventory among them.
    """
    start = Path(flake.folder)
    found = (place / "flake.nix" for place in (start, *start.parents))
    file = next(filter(Path.is_file, found), None)
    return file is not None and b"pure-eval" in file.read_bytes().replace(b"\\", b"")


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
    own = os.environ.get("XDG_CONFIG_HOME") or str(home() / ".config")
    others = os.environ.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    named = os.environ.get("NIX_USER_CONF_FILES")
    if named is not None:
        yield from (Path(name) for name in named.split(":") if name)
    else:
        yield from (Path(folder, "nix/nix.conf") for folder in (own, *others.split(":")))
    data = os.environ.get("XDG_DATA_HOME") or str(home() / ".local/share")
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


# A reference that names a content for ever: nix3-flake(1) "Types".
_REV = r"[0-9a-f]{40}(?:[0-9a-f]{24})?"
_PINNED = re.compile(
    rf"(?:github|gitlab|sourcehut):[^/?#]+/[^/?#]+/{_REV}(?:\?[^#]*)?"
    rf"|git\+[a-z]+:[^?#]+\?(?:[^#]*&)?rev={_REV}(?:&[^#]*)?"
    r"|(?:tarball\+|file\+)?https?:[^?#]+\?(?:[^#]*&)?narHash=sha256-[^&#]+(?:&[^#]*)?"
)


def _state_of(url: str) -> str:
    """What tells whether the content behind an override's URL changed."""
    if re.match(r"path:/nix/store/[^?#%]+$", url) or _PINNED.fullmatch(url):
        return "immutable"
    # Nix reads %2e as a dot.
    if not url.startswith("path:/") or any(char in url for char in "?#%"):
        raise StepError(f"the input {url} may change unseen")
    digest = hashlib.sha256()
    for folder, names, files in os.walk(url.removeprefix("path:")):
        names.sort()
        for name in sorted((*files, *names)):
            found = os.lstat(os.path.join(folder, name))  # noqa: PTH118 (thousands of them)
            facts = (folder, name, found.st_mode, found.st_ino, found.st_size, found.st_ctime_ns)
            digest.update(repr(facts).encode())
    return digest.hexdigest()
