"""Encrypt, prove, write; bring an interrupted change to its end."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core import beneath, git
from orchestrator.core.errors import RefusedError, StepError, cause_of
from orchestrator.secrets.age import crypt
from orchestrator.secrets.age.crypt import Keyring
from orchestrator.secrets.age.file import ClosedError
from orchestrator.secrets.age.header import examine
from orchestrator.secrets.files import files, repository
from orchestrator.secrets.files.files import digest_of
from orchestrator.secrets.files.journal import FOLDER
from orchestrator.secrets.files.rules import sweep
from orchestrator.secrets.files.transaction import writing
from orchestrator.secrets.model.ciphertext import Ciphertext
from orchestrator.secrets.model.repository import Journal, LockEntry, Rule
from orchestrator.secrets.place import SecretsRepository
from orchestrator.secrets.plan.readers import readers
from orchestrator.secrets.vault import Vault, require_usable

ATTRIBUTES = ".gitattributes"
LINE = "*.age binary"
_MOST = 2**20


@dataclass(frozen=True, slots=True)
class Untold:
    """What git does not know.

    Attributes:
        untracked: Files that a flake does not see until they are added.
        as_text: Files that git may take for text: a hook or a merge may damage them.
    """

    untracked: tuple[str, ...] = ()
    as_text: tuple[str, ...] = ()


async def untold(place: SecretsRepository, paths: Sequence[str]) -> Untold:
    """Ask what git does not know of files that were written.

    Raises:
        StepError: git refused.
    """
    if not place.in_git or not paths:
        return Untold()
    known = await repository.look(place.root, place.folders, paths)
    return Untold(
        tuple(path for path in paths if path not in known.tracked),
        tuple(path for path in paths if path.endswith(".age") and path in known.not_binary),
    )


def mark_binary(place: SecretsRepository) -> None:
    """Add the line to ``.gitattributes`` that keeps git from changing encrypted files.

    Raises:
        RefusedError: Somebody else changed it meanwhile.
        StepError: It cannot be read or written.
    """
    try:
        content = files.read(str(place.root), ATTRIBUTES, _MOST)
    except files.FileReadError as error:
        raise StepError(f"{ATTRIBUTES} {error}") from None
    old = content.data if content else b""
    if content is not None and not content.whole:
        raise StepError(f"{ATTRIBUTES} has more than {_MOST >> 20} MiB")
    gap = b"\n" if old and not old.endswith(b"\n") else b""
    new = old + gap + f"{LINE}\n".encode()
    with writing(place.root) as writer:
        was = digest_of(old) if content else None
        writer.commit("edit", {ATTRIBUTES: new}, {ATTRIBUTES: was})


async def recover(place: SecretsRepository) -> Journal | None:
    """End an interrupted change: forward where it was committed, else back.

    Args:
        place: The repository.

    Returns:
        What it was; ``None`` where nothing was interrupted.

    Raises:
        RefusedError: A file is neither what it was nor what it should become, or git tracks the
            journal.
        StepError: A file could not be written.
    """
    await require_own_journal(place)
    with writing(place.root, recovering=True) as writer:
        return writer.recover()


async def require_own_journal(place: SecretsRepository) -> None:
    """Refuse a journal that came with the repository: somebody else wrote down what it says.

    Raises:
        RefusedError: git tracks it, or a file beside it.
        StepError: git refused.
    """
    if place.in_git and os.path.lexists(place.root / FOLDER):
        found = await git.tracked(str(place.root), f":(icase){FOLDER}")
        if found:
            raise RefusedError(
                f"git tracks {found[0]}: the journal of an interrupted change is never committed, "
                "and this one is not believed. Nothing was touched",
                hint=f"if nobody here meant it, look who committed it: git log -- {FOLDER}\n"
                f"then take it out: git rm -r --cached {FOLDER} && rm -r {FOLDER}",
            )


def remove_leftovers(place: SecretsRepository) -> tuple[str, ...]:
    """Remove what a killed ``create`` left beside ``secrets.nix``; one at work keeps its own.

    Returns:
        The paths of what was removed, relative to the root.

    Raises:
        StepError: A file could not be removed.
    """
    try:
        left = [path for part in place.parts for path in sweep(part.file.parent)]
        return tuple(str(path.relative_to(place.root)) for path in left)
    except OSError as error:
        raise StepError(
            f"what a killed `create` left cannot be removed: {cause_of(error, named=True)}"
        ) from error


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret, encrypted and proved.

    Attributes:
        path: Relative to the repository.
        content: The encrypted file.
        entry: What ``secrets.lock.json`` keeps of it.
        opened: Whether a key at hand decrypted it to what was encrypted.
        source: Its rule's.
    """

    path: str
    content: bytes = field(repr=False)
    entry: LockEntry
    opened: bool
    source: str = ""


def look(path: str, content: bytes) -> Ciphertext:
    """Examine an encrypted file that was read whole."""
    return examine(path, content, len(content), content[-1:])


async def seal(rule: Rule, plaintext: bytes, keyring: Keyring) -> Sealed:
    """Encrypt, then prove that whom the rule names can read it, and that it is what it was.

    Raises:
        UsageError: The rule cannot be carried out.
        StepError: What was encrypted is not right; a bug, here or in age.
    """
    require_usable(rule)
    content = await crypt.encrypt(plaintext, rule.recipients, armor=rule.armor)
    seen = look(rule.path, content)
    found = readers(rule, seen.header, None, ()) if seen.header else None
    if found is None or seen.fault or found.missing or found.unknown or not found.count_is_right:
        raise StepError(f"{rule.path}: encrypted file has the wrong recipients")
    assert seen.header is not None
    entry = LockEntry.of(seen.header.digest, rule.recipients)
    opens = await _opens(rule, content, plaintext, keyring)
    return Sealed(rule.path, content, entry, opens, rule.source)


async def _opens(rule: Rule, content: bytes, plaintext: bytes, keyring: Keyring) -> bool:
    try:
        again = await crypt.decrypt(content, keyring)
    except ClosedError:
        return False
    if again != plaintext:
        raise StepError(f"{rule.path}: what was encrypted decrypts to something else")
    return True


def require_openable(sealed: Iterable[Sealed]) -> None:
    """Refuse to make secrets unreadable for who changes them.

    Raises:
        RefusedError: None of their private keys would open them any more.
    """
    closed = sorted(one.path for one in sealed if not one.opened)
    if closed:
        raise RefusedError(
            f"none of your private keys could open this any more: {', '.join(closed)}. "
            "Nothing was written",
            hint="add your public key to its rule; or, if that is what you want: --without-me",
        )


async def write(
    vault: Vault,
    what: str,
    sealed: Sequence[Sealed],
    expected: Mapping[str, str | None],
    also: Mapping[str, bytes] | None = None,
) -> tuple[str, ...]:
    """Write encrypted files and ``secrets.lock.json`` beside their rules, all or none.

    Args:
        vault: Where; its ``secrets.nix`` must still be what it was.
        what: The command, should it be interrupted.
        sealed: The secrets.
        expected: SHA-256 of what they were made from, by path; ``None`` for new ones.
        also: Other files that change with them.

    Returns:
        The paths that changed.

    Raises:
        RefusedError: Somebody else changed a file meanwhile, or git tracks a journal; nothing was
            written.
        StepError: A file could not be written.
        UsageError: ``secrets.lock.json`` is not what we write.
    """
    place = vault.place
    await require_own_journal(place)
    with writing(place.root) as writer:
        changes = {one.path: one.content for one in sealed}
        read, locks = dict(expected), dict[str, dict[str, LockEntry]]()
        for source, name, lock in vault.locks(one.source for one in sealed):
            read |= {name: vault.digests[name], lock: beneath.digest(place.root, lock)}
            entries = locks.setdefault(lock, files.read_lock(str(place.root), lock))
            entries |= {one.path: one.entry for one in sealed if one.source == source}
        changes |= {lock: files.form(entries) for lock, entries in locks.items()}
        return writer.commit(what, changes | dict(also or {}), read)
