"""Encrypt secrets to whom their rules name now: all of them or none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.errors import OrchestratorError, StepError
from orchestrator.secrets.age.crypt import Keyring
from orchestrator.secrets.files.files import digest_of
from orchestrator.secrets.manage import unseal
from orchestrator.secrets.model.repository import LockEntry, Rule
from orchestrator.secrets.plan.readers import readers
from orchestrator.secrets.sealing import Sealed, look, require_openable, seal, write
from orchestrator.secrets.vault import Vault


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What became of the secrets that were looked at.

    Attributes:
        done: Re-encrypted.
        right: Were right already, and were left alone.
        absent: Have a rule and no file.
        damaged: Cannot be read as they are; no rekey cures that.
    """

    done: tuple[str, ...]
    right: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


async def rekey(
    vault: Vault,
    rules: Sequence[Rule],
    keyring: Keyring,
    *,
    every: bool,
    without_me: bool,
) -> Rekeyed:
    """Re-encrypt what is not encrypted as its rule says.

    Args:
        vault: Where.
        rules: Those to look at.
        keyring: What opens them.
        every: Whether those that are right are re-encrypted, too.
        without_me: Whether they may end unreadable with these keys.

    Raises:
        RefusedError: Somebody else changed a file meanwhile, or nobody here could read one any
            more. Nothing was written.
        StepError: Some cannot be decrypted or encrypted, all of which are named, or written.
        UsageError: ``secrets.lock.json`` is not what we write, or a secret has rules in two files.
    """
    vault.require_one_source(rule.path for rule in rules)
    found = {rule: vault.ciphertext(rule) for rule in rules}
    present = {rule: content for rule, content in found.items() if content is not None}
    damaged = [rule for rule, content in present.items() if look(rule.path, content).fault]
    lock = vault.place.lock()
    wanted = {
        rule: content
        for rule, content in present.items()
        if rule not in damaged and (every or not is_right(rule, content, lock.get(rule.path)))
    }
    sealed = await _seal_all(wanted, keyring)
    if not without_me:
        require_openable(sealed)
    if sealed:
        expected = {rule.path: digest_of(content) for rule, content in wanted.items()}
        await write(vault, "rekey", sealed, expected)
    return Rekeyed(
        done=tuple(one.path for one in sealed),
        right=tuple(r.path for r in present if r not in wanted and r not in damaged),
        absent=tuple(rule.path for rule, content in found.items() if content is None),
        damaged=tuple(rule.path for rule in damaged),
    )


def is_right(rule: Rule, content: bytes, lock: LockEntry | None) -> bool:
    """Whether those who can read a file are, as far as can be known, those who should."""
    seen = look(rule.path, content)
    if seen.header is None or seen.armored != rule.armor or rule.error or rule.unusable:
        return False
    found = readers(rule, seen.header, lock, ())
    return found.count_is_right and not (found.missing or found.extra or found.unknown)


async def _seal_all(wanted: dict[Rule, bytes], keyring: Keyring) -> list[Sealed]:
    sealed, failures = [], []
    for rule, content in wanted.items():
        try:
            sealed.append(await seal(rule, await unseal(rule, content, keyring), keyring))
        except OrchestratorError as error:
            failures.append(error)
    if failures:
        told = "\n".join(f"  {error.message}" for error in failures)
        raise StepError(
            f"{len(failures)} of {len(wanted)} secrets cannot be re-encrypted; "
            f"nothing was written:\n{told}",
            hint=failures[0].hint,
        )
    return sealed
