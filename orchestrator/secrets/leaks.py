"""The values of secrets that a key at hand opens, looked for in memory alone."""

from __future__ import annotations

from pathlib import Path

from orchestrator.secrets.age import crypt
from orchestrator.secrets.age.keyring import Keyring
from orchestrator.secrets.files import files
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.known_values import LONGEST, KnownValues, forms, standing

_CIPHERTEXT = 2 * LONGEST
"""Bytes of an encrypted file: of a larger one the value is too long to be looked for."""

_TRACKED = 2**20
"""Bytes of a tracked file; what is behind them is not looked at."""


async def known_values(root: Path, evidence: Evidence, keyring: Keyring) -> KnownValues:
    """Decrypt what was seen to open.

    Raises:
        StepError: A key needs the ``age`` program, and it is not there.
    """
    opens = [path for path, error in evidence.opened.items() if error is None]
    values: dict[str, tuple[bytes, ...]] = {}
    for path in opens:
        content = files.read(str(root), path, _CIPHERTEXT)
        if content is not None and content.whole:
            values[path] = forms(await crypt.decrypt(content.data, keyring))
    return KnownValues(values)


def leaked_in_repository(
    root: Path, evidence: Evidence, known: KnownValues
) -> tuple[tuple[str, str], ...]:
    """Look for values in all files that git tracks but the secrets' own.

    Returns:
        A tracked file and the secret whose value stands in it, for each that was found.
    """
    tracked = evidence.repository.tracked if evidence.repository else frozenset()
    plain = {path: _read(str(root), path) for path in tracked - evidence.files.keys()}
    return tuple(standing(known, plain))


def _read(root: str, path: str) -> bytes:
    try:
        content = files.read(root, path, _TRACKED)
    except files.FileReadError:
        return b""
    return content.data if content is not None else b""
