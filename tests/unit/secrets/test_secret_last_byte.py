"""What we encrypt is never taken for what a text hook has altered."""

from __future__ import annotations

import asyncio

import pyrage

from orchestrator.secrets.age import crypt
from orchestrator.secrets.age import keys as age_keys


def test_a_binary_file_never_ends_with_a_newline() -> None:
    """A binary file never ends with a newline, as one in 256 would by chance."""
    to = [age_keys.parse(str(pyrage.x25519.Identity.generate().to_public()))]

    async def last_bytes() -> set[bytes]:
        return {(await crypt.encrypt(b"a value", to, armor=False))[-1:] for _ in range(3000)}

    assert b"\n" not in asyncio.run(last_bytes())


def test_an_armored_file_ends_with_one() -> None:
    """An armored file ends with the armor's last line and a newline."""
    to = [age_keys.parse(str(pyrage.x25519.Identity.generate().to_public()))]
    assert asyncio.run(crypt.encrypt(b"a value", to, armor=True)).endswith(b"-----\n")
