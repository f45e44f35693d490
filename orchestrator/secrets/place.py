"""Which repository is meant, and what is managed there."""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.changes.tree.place import repository as repository_of
from orchestrator.core import beneath
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.host import Fleet
from orchestrator.nix import verbs as nix
from orchestrator.secrets.files import files, repository
from orchestrator.secrets.files.rules import RulesError, evaluate
from orchestrator.secrets.model.repository import Rule, Rules, SecretUse

USUAL = ("secrets.nix", "secrets/secrets.nix")
"""Where ``secrets.nix`` is looked for, in the fleet's folder."""

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
    """

    file: Path
    root: Path
    in_git: bool
    fetch: tuple[str, ...] = ()

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
    try:
        with file.open("rb") as opened:
            text = opened.read(_LARGEST + 1).decode(errors="replace")
    except OSError:
        return False  # to be told of by whoever reads the rules
    if len(text) > _LARGEST or "publicKeys" in text:
        return False
    return _MODULE.search(text) is not None


async def place_of(file: Path, fleet: Fleet | None = None) -> SecretsRepository:
    """Find the repository of a ``secrets.nix``.

    Args:
        file: The ``secrets.nix``.
        fleet: The fleet, which says what may be fetched for it.

    Raises:
        UsageError: There is no such file, or a link leads from it out of its repository or fleet.
        StepError: It is in a work tree, and git refuses it or is not there.
    """
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
    root = await repository.root_of(real.parent)
    fetch = fleet.secrets_fetch if fleet else ()
    return SecretsRepository(real, root or real.parent, root is not None, fetch)


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


MOST = 128 * 2**20
"""Bytes of an encrypted file that is read at the most."""


@dataclass(frozen=True, slots=True)
class Vault:
    """A repository's secrets.

    Attributes:
        place: Where they are.
        rules: What its ``secrets.nix`` says.
        digest: SHA-256 of the ``secrets.nix`` that said so, in hex.
    """

    place: SecretsRepository
    rules: Rules
    digest: str | None

    def find(self, name: str, folder: Path) -> Rule | None:
        """Find the rule of a secret.

        Args:
            name: Its path from the repository, from ``secrets.nix`` or from ``folder``; ``.age``
                may be left out.
            folder: Where the person is.
        """
        rules = {rule.path: rule for rule in self.rules.rules}
        return next((rules[path] for path in self._spellings(name, folder) if path in rules), None)

    def rule(self, name: str, folder: Path) -> Rule:
        """Find the rule of a secret that has one, and that can be encrypted by it.

        Raises:
            UsageError: There is none; or it cannot be encrypted to whom it names.
        """
        found = self.find(name, folder)
        if found is None:
            near = difflib.get_close_matches(name, [rule.path for rule in self.rules.rules], n=3)
            raise UsageError(
                f"{self.place.name} has no rule for {name}",
                hint=f"is it {' or '.join(near)}?"
                if near
                else "add one, or see: orchestrator secrets status",
            )
        return found

    def ciphertext(self, rule: Rule) -> bytes | None:
        """Read an encrypted file; ``None`` where there is none.

        Raises:
            StepError: It is none that can be read.
        """
        try:
            content = files.read(str(self.place.root), rule.path, MOST)
        except files.FileReadError as error:
            raise StepError(f"{rule.path} {error}") from None
        if content is not None and not content.whole:
            raise StepError(f"{rule.path} has more than {MOST >> 20} MiB")
        return content.data if content else None

    def _spellings(self, name: str, folder: Path) -> tuple[str, ...]:
        here = os.path.relpath(folder / name, self.place.root)
        given = (os.path.normpath(name), self.place.beside(name), here)
        return (*given, *(f"{path}.age" for path in given))


async def open_vault(place: SecretsRepository) -> Vault:
    """Read the rules.

    Raises:
        UsageError: There is no Nix.
        StepError: ``secrets.nix`` does not evaluate.
    """
    nix.require()
    before = beneath.digest(place.root, place.name)
    try:
        return Vault(place, await evaluate(place.file, place.root, place.fetch), before)
    except RulesError as error:
        error.message = f"{place.name} {error.message}"
        raise


def require_usable(rule: Rule) -> None:
    """Find out before anything is typed whether a secret can be encrypted as its rule says.

    Raises:
        UsageError: Its entry has an error, a key is of no use, or there is none.
    """
    if rule.error is not None:
        raise UsageError(f"{rule.path}: {rule.error}", hint=_EXPLAIN)
    for key, why in rule.unusable:
        raise UsageError(f"{rule.path}: its key {key[:40]!r} {why}", hint=_EXPLAIN)
    if not rule.recipients:
        raise UsageError(f"{rule.path}: its publicKeys is empty: nobody could read it")


_EXPLAIN = "what is wrong with the rules: orchestrator secrets check"
