"""Encrypt a secret as its rule says, prove it, and write it with what it is remembered by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core import beneath
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.secrets.age import crypt
from orchestrator.secrets.age.errors import ClosedError
from orchestrator.secrets.age.examine import examine
from orchestrator.secrets.age.keyring import Keyring
from orchestrator.secrets.files import lock_file
from orchestrator.secrets.files.transaction import writing
from orchestrator.secrets.model.ciphertext import Ciphertext
from orchestrator.secrets.model.lock import LockEntry
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.plan.readers import readers
from orchestrator.secrets.recover import require_own_journal
from orchestrator.secrets.vault import Vault, require_usable


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret, encrypted and proved.

    Attributes:
        path: Relative to the repository.
        content: The encrypted file.
        entry: What ``secrets.lock.json`` keeps of it.
        opened: Whether a key at hand decrypted it to what was encrypted.
    """

    path: str
    content: bytes = field(repr=False)
    entry: LockEntry
    opened: bool


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
        raise StepError(f"{rule.path}: what was encrypted is not for whom it should be for")
    assert seen.header is not None
    entry = LockEntry.of(seen.header.digest, rule.recipients)
    return Sealed(rule.path, content, entry, await _opens(rule, content, plaintext, keyring))


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
    """Write encrypted files and ``secrets.lock.json``, all or none.

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
    lock = place.beside(lock_file.NAME)
    with writing(place.root) as writer:
        was = beneath.digest(place.root, lock)
        entries = lock_file.read_lock(str(place.root), lock)
        entries |= {one.path: one.entry for one in sealed}
        changes = {one.path: one.content for one in sealed}
        changes |= {lock: lock_file.form(entries), **(also or {})}
        read = {place.name: vault.digest, lock: was}
        return writer.commit(what, changes, {**expected, **read})
