"""Decrypt a secret, for a person to see or to change."""

from __future__ import annotations

from orchestrator.core.errors import StepError, UsageError
from orchestrator.secrets.age import crypt
from orchestrator.secrets.age.errors import ClosedError, DamagedError
from orchestrator.secrets.age.keyring import Keyring
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.plan.severity import quoted
from orchestrator.secrets.sealing import look
from orchestrator.secrets.vault import Vault


async def show(vault: Vault, rule: Rule, keyring: Keyring) -> tuple[bytes, bytes]:
    """Decrypt a secret.

    Returns:
        The encrypted file as it was read, and what is in it.

    Raises:
        UsageError: There is no such file.
        StepError: The file is damaged, or none of the keys at hand opens it.
    """
    content = vault.ciphertext(rule)
    if content is None:
        raise UsageError(
            f"{rule.path} is not there yet",
            hint=f"make it: orchestrator secrets create {quoted(rule.path)}",
        )
    return content, await unseal(rule, content, keyring)


async def unseal(rule: Rule, content: bytes, keyring: Keyring) -> bytes:
    """Decrypt an encrypted file.

    Raises:
        StepError: It is damaged, or none of the keys at hand opens it.
    """
    seen = look(rule.path, content)
    if seen.fault is not None:
        raise StepError(
            f"{rule.path} {seen.detail}",
            hint="take it from git again; what is wrong: orchestrator secrets check",
        )
    try:
        return await crypt.decrypt(content, keyring)
    except DamagedError as error:
        raise StepError(f"{rule.path} {error}", hint="take it from git again") from None
    except ClosedError:
        raise StepError(
            f"none of your private keys opens {rule.path}",
            hint="name another with --identity FILE; who can: orchestrator secrets status",
        ) from None
