"""Find out all that the checks judge."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.errors import StepError
from orchestrator.core.host import Fleet, Host
from orchestrator.core.store import DrvPath
from orchestrator.core.together import together
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.secrets.age import crypt, header
from orchestrator.secrets.age import file as age_file
from orchestrator.secrets.age import keys as age_keys
from orchestrator.secrets.age.crypt import Keyring
from orchestrator.secrets.age.file import AgeFormatError, ClosedError, DamagedError
from orchestrator.secrets.files import files, repository, transaction
from orchestrator.secrets.files import rules as rules_file
from orchestrator.secrets.files.rules import RulesError
from orchestrator.secrets.model.ciphertext import Ciphertext, Recipient, SecretFinding
from orchestrator.secrets.model.repository import HostSecrets, Repository, Rules, SecretUse
from orchestrator.secrets.place import SecretsRepository, seen_from
from orchestrator.secrets.plan.checks import leads_out
from orchestrator.secrets.plan.evidence import Evidence, Unreadable, finding, quoted
from orchestrator.secrets.sealing import require_own_journal
from orchestrator.secrets.vault import read_rules
from orchestrator.ssh.local import is_this_machine
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.verified import known_keys

OWN = Path("/etc/ssh")
"""Where this machine's own host keys are."""


async def keys_of_hosts(fleet: Fleet, settings: SshSettings) -> dict[str, tuple[str, ...]]:
    """Look up the keys of every host; one of which nothing is known has none.

    Returns:
        Host → its keys, as :class:`Recipient` has their text.
    """
    return {host.name: await _keys(host, settings) for host in fleet.hosts.values()}


async def _keys(host: Host, settings: SshSettings) -> tuple[str, ...]:
    if is_this_machine(host) and (own := tuple(_own_keys())):
        return own
    try:
        found = await known_keys(host, settings)
    except StepError:
        return ()
    return tuple(one.text for one in usable(found))


def _own_keys() -> Iterator[str]:
    """Look up the keys of the machine that this runs on: sshd(8), FILES."""
    for kind in ("ed25519", "rsa"):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            text = (OWN / f"ssh_host_{kind}_key.pub").read_text()
            yield from (one.text for one in usable([text.strip()]))


def by_key(
    keys: Mapping[str, Iterable[str]], declared: Iterable[Recipient]
) -> dict[str, tuple[str, ...]]:
    """Turn keys round: key → its hosts.

    A host of which no key is known is taken for the owner of a declared key whose comment says so,
    as ``ssh-keygen -A`` writes it: ``root@HOST``.
    """
    found: dict[str, dict[str, None]] = {}
    for host, texts in keys.items():
        for text in texts:
            found.setdefault(text, {})[host] = None
    silent = {f"root@{host}": host for host, texts in keys.items() if not texts}
    for one in declared:
        owner = silent.get(one.comment.partition(".")[0])
        if owner is not None:
            found.setdefault(one.text, {})[owner] = None
    return {text: tuple(hosts) for text, hosts in found.items()}


def usable(keys: Iterable[str]) -> tuple[Recipient, ...]:
    """Those of some keys that a secret could be encrypted to."""
    found = []
    for key in keys:
        try:
            found.append(age_keys.parse(key))
        except ValueError:
            continue
    return tuple(found)


_MOST = 128 * 2**20
"""Bytes of a file that is tried; a larger one is left untried."""


async def try_to_open(
    root: Path, found: Mapping[str, Ciphertext | Unreadable], keyring: Keyring
) -> dict[str, str | None]:
    """Decrypt each sound file that is for a key at hand.

    Returns:
        File → why it does not open, ``None`` where it does. Files that are for none of the keys
        are left out.

    Raises:
        IdentityError: A passphrase was wrong too often.
        StepError: A key needs the ``age`` program, and it is not there.
    """
    tried: dict[str, str | None] = {}
    for path, file in found.items():
        if isinstance(file, Unreadable) or file.fault is not None:
            continue
        content = files.read(str(root), path, _MOST)
        if content is None or not content.whole:
            continue
        try:
            await crypt.decrypt(content.data, keyring)
        except (AgeFormatError, DamagedError) as error:
            tried[path] = str(error)
        except ClosedError:
            continue
        else:
            tried[path] = None
    return tried


@dataclass(frozen=True, slots=True)
class Context:
    """What is known beside the repository of secrets.

    Attributes:
        fleet: ``None`` where the repository is no fleet of ours.
        ssh: Tells the hosts' keys.
        targets: The hosts whose secrets matter; empty means every one.
        uses: What the hosts' configurations do with secrets, where that was evaluated.
        sops: Of the hosts that use sops-nix, what their configurations say.
        evaluated: The hosts of which that is known.
        setup: For evaluating it; ``None`` where there is no fleet.
        keyring: Private keys to try files with; ``None`` where none was named.
        systems: The hosts' systems, to look for values in what they are made from.
    """

    fleet: Fleet | None = None
    ssh: SshSettings = field(default_factory=SshSettings)
    targets: tuple[str, ...] = ()
    uses: tuple[SecretUse, ...] = ()
    sops: tuple[HostSecrets, ...] = ()
    evaluated: frozenset[str] = frozenset()
    setup: Setup | None = None
    keyring: Keyring | None = None
    systems: tuple[DrvPath, ...] = ()


async def gather(place: SecretsRepository, context: Context) -> Evidence:
    """Evaluate the rules once, then look at the files, git, and what was written down.

    Raises:
        UsageError: There is no Nix, or ``secrets.lock.json`` or a private key cannot be used.
        RulesError: The only ``secrets.nix`` says nothing usable.
        RefusedError: git tracks the journal of a change.
        StepError: git refused, or a change of several files left a journal that cannot be read.
    """
    nix.require()
    async with together() as group:
        reading = group.create_task(read_rules(place))
        asking = group.create_task(_keys_of_hosts(context))
    (rules, broken), keys = reading.result(), asking.result()
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
        broken=tuple(broken_rules(name, error) for name, error in broken.items()),
        lock=place.lock(),
        uses=_uses(place, context),
        hosts=by_key(keys, (one for rule in rules.rules for one in rule.recipients)),
        targets=frozenset(context.targets or keys),
        known=(
            *usable(key for texts in keys.values() for key in texts),
            *(replace(one, comment=user.name) for user in users for one in usable(user.ssh_keys)),
        ),
        called=_called(place),
        opened=await _opened(place, files_there, context.keyring),
        pending=transaction.pending(place.root),
        in_lab=context.setup is not None and context.setup.in_lab,
    )


def broken_rules(name: str, error: RulesError) -> SecretFinding:
    """What is found of a ``secrets.nix`` that says nothing usable."""
    by_hand = f"correct it; by hand: nix-instantiate --eval --strict {quoted(name)}"
    return finding("RULES-EVAL", name, error.message, fix=error.hint or by_hand)


def _called(place: SecretsRepository) -> dict[str, str]:
    """What the rules call keys; the first file's name of a key counts."""
    called: dict[str, str] = {}
    for part in reversed(place.parts):
        called |= rules_file.names_in(part.file)
    return called


def _uses(place: SecretsRepository, context: Context) -> tuple[SecretUse, ...]:
    setup = context.setup
    if setup is None:
        return context.uses
    return tuple(
        seen
        for name, uses in itertools.groupby(context.uses, key=lambda use: use.host)
        for seen in seen_from(place.root, setup.flake.of(setup.fleet.hosts[name]).folder, uses)
    )


async def _opened(
    place: SecretsRepository, found: dict[str, Ciphertext | Unreadable], keyring: Keyring | None
) -> dict[str, str | None]:
    if keyring is None:
        return {}
    # Only now what decrypts, which takes long to import.

    return await try_to_open(place.root, found, keyring)


async def _keys_of_hosts(context: Context) -> dict[str, tuple[str, ...]]:
    return await keys_of_hosts(context.fleet, context.ssh) if context.fleet else {}


async def _repository(place: SecretsRepository, rules: Rules) -> Repository:
    """What git knows; without git, only the ``.age`` files that are there."""
    if not place.in_git:
        below = (path for part in place.parts for path in part.file.parent.rglob("*.age"))
        return Repository(
            secrets=tuple(sorted({str(path.relative_to(place.root)) for path in below}))
        )
    paths = [rule.path for rule in rules.rules if not leads_out(rule.path)]
    found = await repository.look(place.root, place.folders, list(dict.fromkeys(paths)))
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
        content = files.read(root, path, header.BINARY_PART)
        if content is not None and not content.whole and age_file.is_armored(content.data):
            content = files.read(root, path, header.ARMORED_PART)
    except files.FileReadError as error:
        return Unreadable(str(error))
    if content is None:
        return None
    return header.examine(path, content.data, content.size, content.last)
