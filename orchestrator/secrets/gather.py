"""Find out all that the checks of the secrets judge. No private key is needed, and no host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.core.host import Fleet
from orchestrator.core.store import DrvPath
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.secrets.age import armor, examine
from orchestrator.secrets.files import files, lock_file, repository, transaction
from orchestrator.secrets.files import rules as rules_file
from orchestrator.secrets.hosts import by_key, keys_of_hosts, usable
from orchestrator.secrets.model.ciphertext import Ciphertext
from orchestrator.secrets.model.repository import Repository
from orchestrator.secrets.model.rules import Rules
from orchestrator.secrets.model.use import SecretUse
from orchestrator.secrets.place import Place
from orchestrator.secrets.plan.evidence import Evidence, Unreadable
from orchestrator.secrets.plan.rules import leads_out
from orchestrator.secrets.recover import require_own_journal
from orchestrator.secrets.seen_from import seen_from
from orchestrator.ssh.settings import SshSettings

if TYPE_CHECKING:
    from orchestrator.secrets.age.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Context:
    """What is known beside the repository of secrets.

    Attributes:
        fleet: ``None`` where the repository is no fleet of ours.
        ssh: Tells the hosts' keys.
        targets: The hosts whose secrets matter; empty means every one.
        uses: What the hosts' configurations do with secrets, where that was evaluated.
        evaluated: The hosts of which it was.
        setup: For evaluating it; ``None`` where there is no fleet.
        keyring: Private keys to try files with; ``None`` where none was named.
        systems: The hosts' systems, to look for values in what they are made from.
    """

    fleet: Fleet | None = None
    ssh: SshSettings = field(default_factory=SshSettings)
    targets: tuple[str, ...] = ()
    uses: tuple[SecretUse, ...] = ()
    evaluated: frozenset[str] = frozenset()
    setup: Setup | None = None
    keyring: Keyring | None = None
    systems: tuple[DrvPath, ...] = ()


async def gather(place: Place, context: Context) -> Evidence:
    """Evaluate the rules once, then look at the files, git, and what was written down.

    Raises:
        UsageError: There is no Nix, or ``secrets.lock.json`` or a private key cannot be used.
        RulesError: ``secrets.nix`` says nothing usable.
        RefusedError: git tracks the journal of a change.
        StepError: git refused, or a change of several files left a journal that cannot be read.
    """
    nix.require()
    rules, keys = await asyncio.gather(
        rules_file.evaluate(place.file, place.root), _keys_of_hosts(context)
    )
    await require_own_journal(place)
    found = await _repository(place, rules)
    declared = {rule.path for rule in rules.rules}
    files_there = read_files(place.root, sorted(declared))
    users = context.fleet.users.values() if context.fleet else ()
    return Evidence(
        rules=rules,
        files=files_there,
        repository=found if place.in_git else None,
        undeclared=tuple(path for path in found.secrets if path not in declared),
        lock=lock_file.read_lock(str(place.root), place.beside(lock_file.NAME)),
        uses=_uses(place, context),
        hosts=by_key(keys, (one for rule in rules.rules for one in rule.recipients)),
        targets=frozenset(context.targets or keys),
        known=(
            *usable(key for texts in keys.values() for key in texts),
            *(replace(one, comment=user.name) for user in users for one in usable(user.ssh_keys)),
        ),
        opened=await _opened(place, files_there, context.keyring),
        pending=transaction.pending(place.root),
    )


def _uses(place: Place, context: Context) -> tuple[SecretUse, ...]:
    setup = context.setup
    return seen_from(place.root, setup.flake.folder, context.uses) if setup else context.uses


async def _opened(
    place: Place, found: dict[str, Ciphertext | Unreadable], keyring: Keyring | None
) -> dict[str, str | None]:
    if keyring is None:
        return {}
    # Only now what decrypts, which takes long to import.
    from orchestrator.secrets.trial import try_to_open

    return await try_to_open(place.root, found, keyring)


async def _keys_of_hosts(context: Context) -> dict[str, tuple[str, ...]]:
    return await keys_of_hosts(context.fleet, context.ssh) if context.fleet else {}


async def _repository(place: Place, rules: Rules) -> Repository:
    """What git knows; without git, only the ``.age`` files that are there."""
    if not place.in_git:
        there = (str(path.relative_to(place.root)) for path in place.file.parent.rglob("*.age"))
        return Repository(secrets=tuple(sorted(there)))
    paths = [rule.path for rule in rules.rules if not leads_out(rule.path)]
    found = await repository.look(place.root, place.folder, list(dict.fromkeys(paths)))
    there = (path for path in found.secrets if os.path.lexists(place.root / path))
    return Repository(found.tracked, found.ignored, found.not_binary, tuple(there))


def read_files(root: Path, paths: Sequence[str]) -> dict[str, Ciphertext | Unreadable]:
    """Examine each file that is there, reading no more of it than that takes."""
    found = {}
    for path in paths:
        if not leads_out(path) and (file := _read_file(str(root), path)) is not None:
            found[path] = file
    return found


def _read_file(root: str, path: str) -> Ciphertext | Unreadable | None:
    try:
        content = files.read(root, path, examine.BINARY_PART)
        if content is not None and not content.whole and armor.is_armored(content.data):
            content = files.read(root, path, examine.ARMORED_PART)
    except files.FileReadError as error:
        return Unreadable(str(error))
    if content is None:
        return None
    return examine.examine(path, content.data, content.size, content.last)
