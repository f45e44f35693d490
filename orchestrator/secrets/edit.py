"""Change a secret: decrypted, changed by a person, encrypted, unless somebody else was quicker."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.core.errors import UsageError
from orchestrator.secrets.age.keyring import Keyring
from orchestrator.secrets.files.places import digest_of
from orchestrator.secrets.model.rules import Rule
from orchestrator.secrets.sealing import require_openable, seal, write
from orchestrator.secrets.show import show
from orchestrator.secrets.vault import Vault, require_usable

Change = Callable[[bytes], bytes]
"""What a person makes of a plaintext."""


async def edit(
    vault: Vault, rule: Rule, keyring: Keyring, change: Change, *, without_me: bool
) -> tuple[str, ...]:
    """Change a secret.

    Args:
        vault: Where it is.
        rule: Whom it is encrypted to.
        keyring: What opens it.
        change: An editor, or what came on standard input.
        without_me: Whether it may end unreadable with these keys.

    Returns:
        The paths that changed; none where the plaintext did not.

    Raises:
        UsageError: It was left empty, or the rule cannot be carried out.
        RefusedError: The file changed meanwhile, or nobody here could read it any more.
        StepError: It could not be decrypted, edited or written.
    """
    require_usable(rule)
    content, plaintext = await show(vault, rule, keyring)
    changed = require_content(rule.path, change(plaintext))
    if changed == plaintext:
        return ()
    sealed = (await seal(rule, changed, keyring),)
    if not without_me:
        require_openable(sealed)
    return await write(vault, "edit", sealed, {rule.path: digest_of(content)})


def require_content(path: str, plaintext: bytes) -> bytes:
    """Refuse an empty secret: a host fails to activate one.

    Raises:
        UsageError: There is nothing in it but white space.
    """
    if not plaintext.strip():
        raise UsageError(f"{path} was left empty; nothing was written")
    return plaintext
