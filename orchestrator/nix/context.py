"""All that an evaluation depends on besides the fleet's tree, as one digest.

Nix itself, its settings, the flake's reference, and the inputs that are given in place of the lock
file's. Files' contents are digested, never kept: settings may hold access tokens.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from orchestrator.core.errors import StepError
from orchestrator.nix.verbs import Flake

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
