"""The rules of a repository, read; a secret found among them by its name."""

from __future__ import annotations

import asyncio
import difflib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core import beneath
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.units import listing
from orchestrator.core.values import replace
from orchestrator.nix import verbs as nix
from orchestrator.secrets.files import files
from orchestrator.secrets.files.rules import RulesError, evaluate
from orchestrator.secrets.model.repository import Rule, Rules
from orchestrator.secrets.place import SecretsRepository

_AT_ONCE = 4
"""Evaluations, each of which may take 1 GiB; of those that may fetch, one."""


async def read_rules(place: SecretsRepository) -> tuple[Rules, dict[str, RulesError]]:
    """Read all rules of a repository; of several files, each rule says which one it is from.

    Returns:
        The rules, and by file why it says nothing usable: the others are read all the same.

    Raises:
        RulesError: The only file says nothing usable.
    """
    if not place.more:
        return await evaluate(place.file, place.root, place.fetch), {}
    turn = asyncio.Semaphore(1 if place.fetch else _AT_ONCE)

    async def read(part: SecretsRepository) -> Rules | RulesError:
        async with turn:
            try:
                return await evaluate(part.file, part.root, part.fetch)
            except RulesError as error:
                return error

    async with asyncio.TaskGroup() as group:
        tasks = {part.name: group.create_task(read(part)) for part in place.parts}
    found = {name: task.result() for name, task in tasks.items()}
    said = [
        replace(rule, source=name)
        for name, one in found.items()
        if isinstance(one, Rules)
        for rule in one.rules
    ]
    rules = tuple(sorted(said, key=lambda rule: rule.path))
    broken = {name: one for name, one in found.items() if isinstance(one, RulesError)}
    return Rules(str(place.file), str(place.root), rules), broken


MOST = 128 * 2**20
"""Bytes of an encrypted file that is read at the most."""


@dataclass(frozen=True, slots=True)
class Vault:
    """A repository's secrets.

    Attributes:
        place: Where they are.
        rules: What its ``secrets.nix`` says.
        digests: SHA-256 of each ``secrets.nix`` that said so, in hex, by its name.
    """

    place: SecretsRepository
    rules: Rules
    digests: Mapping[str, str | None]

    def find(self, name: str, folder: Path) -> Rule | None:
        """Find the rule of a secret.

        Args:
            name: Its path from the repository, from its ``secrets.nix`` or from ``folder``;
                ``.age`` may be left out.
            folder: Where the person is.

        Raises:
            UsageError: Several are of that name, or two files have a rule for it.
        """
        rules = {rule.path: rule for rule in self.rules.rules}
        for spelled in self._spellings(name, folder):
            found = [path for path in dict.fromkeys(spelled) if path in rules]
            if len(found) > 1:
                raise UsageError(f"{name} may be {listing(found)}", hint="type the path of one")
            if found:
                self.require_one_source(found)
                return rules[found[0]]
        return None

    def rule(self, name: str, folder: Path) -> Rule:
        """Find the rule of a secret that has one, and that can be encrypted by it.

        Raises:
            UsageError: There is none; or it cannot be encrypted to whom it names.
        """
        found = self.find(name, folder)
        if found is None:
            near = difflib.get_close_matches(name, [rule.path for rule in self.rules.rules], n=3)
            raise UsageError(
                f"{listing(self.place.names)}: no rule for {name}",
                hint=f"is it {' or '.join(near)}?"
                if near
                else "add one, or see: orchestrator secrets status",
            )
        return found

    def require_one_source(self, paths: Iterable[str]) -> None:
        """Refuse secrets that have a rule in each of two files: nobody knows which one counts.

        Raises:
            UsageError: One has.
        """
        wanted, sources = set(paths), defaultdict(set)
        for rule in self.rules.rules:
            sources[rule.path].add(rule.source)
        for path in sorted(wanted):
            if len(found := sorted(sources[path])) > 1:
                raise UsageError(
                    f"{path} has a rule in each of {listing(found)}",
                    hint="remove one of them; or name the file that is meant: --rules FILE",
                )

    def for_new(self, name: str, folder: Path) -> Vault:
        """The one ``secrets.nix`` that has a secret's rule, or shall have it, alone.

        Raises:
            UsageError: There are several, and ``folder`` is in the folder of none of them.
        """
        if not self.place.more:
            return self
        found = self.find(name, folder)
        here = os.path.relpath(folder / name, self.place.root)
        place = self._part(found.source) if found else self.place.nearest(here)
        if place is None:
            raise UsageError(
                f"{name} may get its rule in {listing(self.place.names)}",
                hint="name the file that is meant: --rules FILE; or go to its folder",
            )
        mine = (rule for rule in self.rules.rules if rule.source == place.name)
        rules = tuple(replace(rule, source="") for rule in mine)
        return Vault(place, Rules(str(place.file), str(place.root), rules), self.digests)

    def _part(self, source: str) -> SecretsRepository:
        """A rule's file of rules alone."""
        return next(part for part in self.place.parts if source in ("", part.name))

    def locks(self, sources: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """For rules' files: as rules have it, its name, and the lock file beside it."""
        for source in dict.fromkeys(sources):
            part = self._part(source)
            yield source, part.name, part.beside(files.NAME)

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

    def _spellings(self, name: str, folder: Path) -> Iterator[tuple[str, ...]]:
        """Paths that a name may mean, the likeliest first; those beside each other alike."""
        here = os.path.relpath(folder / name, self.place.root)
        beside = tuple(part.beside(name) for part in self.place.parts)
        # Where there are several files, the folder that somebody is in says more than a name.
        own, there = ((here,), beside) if self.place.more else (beside, (here,))
        given = ((os.path.normpath(name),), own, there)
        yield from (*given, *(tuple(f"{path}.age" for path in paths) for paths in given))


async def open_vault(place: SecretsRepository) -> Vault:
    """Read the rules.

    Raises:
        UsageError: There is no Nix.
        StepError: A ``secrets.nix`` does not evaluate.
    """
    nix.require()
    before = {name: beneath.digest(place.root, name) for name in place.names}
    try:
        rules, broken = await read_rules(place)
    except RulesError as error:
        error.message = f"{place.name} {error.message}"
        raise
    for name, why in broken.items():
        why.message = f"{name} {why.message}"
        why.hint = why.hint or "to go on without it, name the file that is meant: --rules FILE"
        raise why
    return Vault(place, rules, before)


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
