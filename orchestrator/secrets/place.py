"""Which repository is meant, and what is managed there."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes.tree.place import repository as repository_of
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.host import Fleet
from orchestrator.core.values import replace
from orchestrator.secrets.files import files, repository
from orchestrator.secrets.model.repository import LockEntry, SecretUse

USUAL = ("secrets.nix", "secrets/secrets.nix")
"""Where ``secrets.nix`` is looked for, in the fleet's folder."""

_OF_HOSTS = (
    USUAL[1],
    "secrets/*/secrets.nix",
    *(
        f"{folder}/*/{below}secrets.nix"
        for folder in ("hosts", "machines", "nodes", "systems")
        for below in ("", "secrets/")
    ),
)
"""Where more of them are looked for: one by host, which names its own files from its folder."""

# `{ config, pkgs, ... }:` or an option of agenix's or sops-nix's; agenix's rules take no arguments.
_MODULE = re.compile(
    r"\{[^{}]{0,2000}\b(?:config|lib|pkgs)\b[^{}]{0,2000}\}\s*(?:@\s*\w+\s*)?:"
    r"|\bage\.(?:secrets|identityPaths)\b"
    r"|\bsops\.(?:age|defaultSopsFile|secrets)\b"
    r"|\b(?:age|sops)\s*=\s*\{"
)
SOPS_CONFIG = ".sops.yaml"
"""Where sops reads who is to read which file."""
FOLDER = "inventory"
"""What makes a folder a fleet."""
_LARGEST = 2**20
"""Bytes of a module."""


@dataclass(frozen=True, slots=True)
class SecretsRepository:
    """A repository of secrets.

    Attributes:
        file: The ``secrets.nix``; absolute.
        root: The git work tree that it lies in, else its folder; absolute.
        in_git: Whether there is a work tree.
        fetch: What its rules may fetch while they are read: beginnings of URLs.
        more: Other files of rules in the same repository, such as one by host.
    """

    file: Path
    root: Path
    in_git: bool
    fetch: tuple[str, ...] = ()
    more: tuple[Path, ...] = ()

    @property
    def parts(self) -> tuple[SecretsRepository, ...]:
        """The same with each of its files of rules alone."""
        return tuple(replace(self, file=file, more=()) for file in (self.file, *self.more))

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders of all files of rules, relative to the root."""
        return tuple(part.folder for part in self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        """All files of rules, relative to the root."""
        return tuple(part.name for part in self.parts)

    def nearest(self, path: str) -> SecretsRepository | None:
        """The file of rules in the deepest folder that a path is in; ``None`` where in none."""
        above = {"."} | {str(one) for one in Path(path).parents}
        found = [part for part in self.parts if part.folder in above]
        return max(found, key=lambda part: len(Path(part.folder).parts), default=None)

    def lock(self) -> dict[str, LockEntry]:
        """What was written down beside the rules when files were encrypted.

        Raises:
            UsageError: A ``secrets.lock.json`` is not what we write.
        """
        beside = (part.beside(files.NAME) for part in self.parts)
        return {
            path: entry
            for name in dict.fromkeys(beside)
            for path, entry in files.read_lock(str(self.root), name).items()
        }

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


def find(root: Path, named: Sequence[str] = ()) -> tuple[Path, ...]:
    """Find a fleet's files of rules; modules of that name are none.

    Args:
        root: The fleet's folder.
        named: Those that its inventory names, which are then all; relative to the folder.
    """
    if named:
        return tuple(root / name for name in named)
    usual = [root / name for name in USUAL if (root / name).is_file()]
    first = next((file for file in usual if not _is_module(file)), None)
    others = sorted(file for pattern in _OF_HOSTS for file in root.glob(pattern))
    more = (file for file in others if file != first and _is_of_host(root, file))
    return (*([first] if first else []), *more)


def rules_of(fleet: Fleet) -> tuple[Path, ...]:
    """Find the files of rules that a fleet has."""
    return find(Path(fleet.root), fleet.secrets_rules)


def _is_of_host(root: Path, file: Path) -> bool:
    """Whether it is rules of this fleet's: of no other fleet or repository below, by no link."""
    between = [above for above in file.parents if above != root and above.is_relative_to(root)]
    if any((above / ".git").exists() or (above / FOLDER).is_dir() for above in between):
        return False
    if not file.is_file() or file.is_symlink() or any(above.is_symlink() for above in between):
        return False
    text = _text(file)
    return text is not None and "publicKeys" in text and _MODULE.search(text) is None


def uses_sops(root: Path) -> bool:
    """Whether a fleet's folder has a ``.sops.yaml``, its ``secrets``, or one above in its git."""
    folders = [root / "secrets", root]
    while not (root / ".git").exists() and root != root.parent:
        root = root.parent
        folders.append(root)
    return any((folder / SOPS_CONFIG).is_file() for folder in folders)


AGENIX_REKEY = (
    "this fleet's secrets are agenix-rekey's: who reads them is said by its configurations, and by "
    "no secrets.nix, so they are not checked here; they are deployed as any file is"
)


def uses_agenix_rekey(fleet: Fleet) -> bool:
    """Whether a fleet's flake names agenix-rekey, which has no rules in a file."""
    try:
        with Path(fleet.flake, "flake.nix").open("rb") as opened:
            return b"agenix-rekey" in opened.read(_LARGEST)
    except OSError:
        return False  # a URL, or no flake: whoever evaluates is told


def _is_module(file: Path) -> bool:
    """Whether it cannot be rules: a module of NixOS, such as sops-nix's users have."""
    text = _text(file)
    return text is not None and "publicKeys" not in text and _MODULE.search(text) is not None


def _text(file: Path) -> str | None:
    """A file's text; ``None`` where it is too large or unread, which whoever reads it reports."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST + 1)
    except OSError:
        return None
    return None if len(text) > _LARGEST else text.decode(errors="replace")


async def place_of(*given: Path, fleet: Fleet | None = None) -> SecretsRepository:
    """Find the repository of a ``secrets.nix``, or of several.

    Args:
        given: The files.
        fleet: The fleet, which says what may be fetched for them.

    Raises:
        UsageError: There is no such file, a link leads from one out of its repository or fleet, or
            they are of several repositories.
        StepError: It is in a work tree, and git refuses it or is not there.
    """
    real = [_real(file, fleet) for file in given]
    first, *more = dict.fromkeys(real)
    root = await repository.root_of(first.parent)
    for file in more:
        if root is None or not file.is_relative_to(root) or repository_of(str(file.parent)) != root:
            raise UsageError(
                f"{file} is not in the git repository of {first}",
                hint="check each by itself, with --rules FILE; in one fleet they are of one",
            )
    fetch = fleet.secrets_fetch if fleet else ()
    return SecretsRepository(first, root or first.parent, root is not None, fetch, tuple(more))


def _real(file: Path, fleet: Fleet | None) -> Path:
    if not file.is_file():
        if fleet is not None and uses_agenix_rekey(fleet):
            raise UsageError(
                AGENIX_REKEY, hint="agenix rekey (its own command) is what checks them"
            )
        raise UsageError(
            f"there is no {file}",
            hint=f"it is looked for as {' and '.join(USUAL)}; name another with --rules FILE",
        )
    real = file.resolve()
    _require_inside(file, real)
    return real


def _require_inside(file: Path, real: Path) -> None:
    """Refuse rules that a repository's link has somewhere else: they would be edited there."""
    for above in Path(os.path.abspath(file)).parents:  # noqa: PTH100 (as it is typed, no link followed)
        holds = (above / ".git").exists() or (above / FOLDER).is_dir()
        if holds and not real.is_relative_to(above.resolve()):
            raise UsageError(
                f"{file} leads out of {above} by a symbolic link, to {real}",
                hint=f"if these rules are meant: --rules {shlex.quote(str(real))}",
            )


def seen_from(root: Path, flake: str, uses: Iterable[SecretUse]) -> tuple[SecretUse, ...]:
    """Name files as the rules do; one outside their repository is in none that they speak of.

    Args:
        root: The repository of the rules; its real path.
        flake: The folder of the flake.
        uses: As the configurations have them.
    """
    try:
        ours = repository_of(flake)
    except StepError:
        return tuple(uses)
    return tuple(_seen(root, ours, use) for use in uses)


def _seen(root: Path, ours: Path, use: SecretUse) -> SecretUse:
    if not use.in_repo or root == ours:
        return use
    file = ours / use.file
    if file.is_relative_to(root):
        return replace(use, file=str(file.relative_to(root)))
    return replace(use, file=str(file), in_repo=False)
