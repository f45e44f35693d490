"""Where a repository's secrets are: its ``secrets.nix``, and the repository itself."""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import UsageError
from orchestrator.secrets.files import repository

USUAL = ("secrets.nix", "secrets/secrets.nix")
"""Where ``secrets.nix`` is looked for, in the fleet's folder."""

# `{ config, pkgs, ... }:` or an option of agenix's or sops-nix's; agenix's rules take no arguments.
_MODULE = re.compile(
    r"\{[^{}]{0,2000}\b(?:config|lib|pkgs)\b[^{}]{0,2000}\}\s*(?:@\s*\w+\s*)?:"
    r"|\bage\.(?:secrets|identityPaths)\b"
    r"|\bsops\.(?:age|defaultSopsFile|secrets)\b"
    r"|\b(?:age|sops)\s*=\s*\{"
)
FOLDER = "inventory"
"""What makes a folder a fleet."""
_LARGEST = 2**20
"""Bytes of a module."""


@dataclass(frozen=True, slots=True)
class Place:
    """A repository of secrets.

    Attributes:
        file: The ``secrets.nix``; absolute.
        root: The git work tree that it lies in, else its folder; absolute.
        in_git: Whether there is a work tree.
    """

    file: Path
    root: Path
    in_git: bool

    @property
    def name(self) -> str:
        """The ``secrets.nix``, relative to the root."""
        return os.path.relpath(self.file, self.root)

    @property
    def folder(self) -> str:
        """The folder that the names in ``secrets.nix`` start from, relative to the root."""
        return os.path.relpath(self.file.parent, self.root)

    def beside(self, name: str) -> str:
        """The path of a file beside ``secrets.nix``, relative to the root."""
        return os.path.normpath(os.path.join(self.folder, name))  # noqa: PTH118 (a name, no file)


def find(root: Path) -> Path | None:
    """Find a fleet's ``secrets.nix``; ``None`` where it has none, or only modules of that name."""
    found = (root / name for name in USUAL if (root / name).is_file())
    return next((file for file in found if not _is_module(file)), None)


def _is_module(file: Path) -> bool:
    """Whether it cannot be rules: a module of NixOS, such as sops-nix's users have."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST + 1).decode(errors="replace")
    except OSError:
        return False  # to be told of by whoever reads the rules
    if len(text) > _LARGEST or "publicKeys" in text:
        return False
    return _MODULE.search(text) is not None


async def place_of(file: Path) -> Place:
    """Find the repository of a ``secrets.nix``.

    Raises:
        UsageError: There is no such file, or a link leads from it out of its repository or fleet.
        StepError: It is in a work tree, and git refuses it or is not there.
    """
    if not file.is_file():
        raise UsageError(
            f"there is no {file}",
            hint=f"it is looked for as {' and '.join(USUAL)}; name another with --rules FILE",
        )
    real = file.resolve()
    _require_inside(file, real)
    root = await repository.root_of(real.parent)
    return Place(real, root or real.parent, root is not None)


def _require_inside(file: Path, real: Path) -> None:
    """Refuse rules that a repository's link has somewhere else: they would be edited there."""
    for above in Path(os.path.abspath(file)).parents:  # noqa: PTH100 (as it is typed, no link followed)
        holds = (above / ".git").exists() or (above / FOLDER).is_dir()
        if holds and not real.is_relative_to(above.resolve()):
            raise UsageError(
                f"{file} leads out of {above} by a symbolic link, to {real}",
                hint=f"if these rules are meant: --rules {shlex.quote(str(real))}",
            )
