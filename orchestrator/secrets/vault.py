"""What managing secrets works on: the rules as they are now, and the files that they name."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core import beneath
from orchestrator.core.errors import StepError, UsageError
from orchestrator.nix import verbs as nix
from orchestrator.secrets.files import files
from orchestrator.secrets.files.rules import RulesError, evaluate
from orchestrator.secrets.model.rules import Rule, Rules
from orchestrator.secrets.place import Place

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

    place: Place
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


async def open_vault(place: Place) -> Vault:
    """Read the rules.

    Raises:
        UsageError: There is no Nix.
        StepError: ``secrets.nix`` does not evaluate.
    """
    nix.require()
    before = beneath.digest(place.root, place.name)
    try:
        return Vault(place, await evaluate(place.file, place.root), before)
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
