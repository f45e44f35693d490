"""Decrypt what private keys at hand may open, in memory, to see that it opens; nothing is kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator.secrets.age import crypt
from orchestrator.secrets.age.errors import AgeFormatError, ClosedError, DamagedError
from orchestrator.secrets.age.keyring import Keyring
from orchestrator.secrets.files import files
from orchestrator.secrets.model.ciphertext import Ciphertext
from orchestrator.secrets.plan.evidence import Unreadable

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
