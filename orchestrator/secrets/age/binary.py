"""The ``age`` program, for keys that pyrage cannot use: plaintext goes through pipes only."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.lines import split_lines
from orchestrator.secrets.age.errors import ClosedError
from orchestrator.secrets.model.recipient import Recipient

# Seconds: a plugin may wait for a person's touch.
_DEADLINE = 120.0
_MISSING = "install age 1.3 or later, and the plugin of the key where it has one"


async def encrypt(plaintext: bytes, recipients: Sequence[Recipient], *, armor: bool) -> bytes:
    """Encrypt by ``age``.

    Raises:
        StepError: There is no ``age``, or it cannot encrypt to one of these.
    """
    keys = [word for one in recipients for word in ("--recipient", one.text)]
    argv = ("age", "--encrypt", *(["--armor"] if armor else []), *keys)
    done = await _run(argv, plaintext)
    if done.rc != 0 or not done.stdout:
        raise StepError(
            f"age could not encrypt: {_last_line(done)}",
            hint=_MISSING,
            command=shlex.join(argv),
            stderr=done.err,
        )
    return done.stdout


async def decrypt(ciphertext: bytes, identities: Sequence[str]) -> bytes:
    """Decrypt by ``age``.

    Args:
        ciphertext: A whole file.
        identities: Files of private keys.

    Raises:
        ClosedError: It does not open.
        StepError: There is no ``age``.
    """
    files = [word for path in identities for word in ("--identity", path)]
    done = await _run(("age", "--decrypt", *files), ciphertext)
    if done.rc != 0:
        # What it wrote until then may be part of a plaintext: it is dropped.
        raise ClosedError(f"is not opened by age: {_last_line(done)}")
    return done.stdout


async def _run(argv: Sequence[str], stdin: bytes) -> process.CommandResult:
    try:
        return await process.run(argv, deadline=_DEADLINE, stdin=stdin)
    except StepError as error:
        error.hint = error.hint or _MISSING
        raise


def _last_line(done: process.CommandResult) -> str:
    said = [line for line in split_lines(done.err) if "report unexpected" not in line]
    return said[-1].removeprefix("age: error: ") if said else process.how_it_ended(done.rc)
