"""Servers on the loopback interface that show a host key and let nobody in."""

from __future__ import annotations

import base64
import contextlib
import copy
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncssh

from tests.trust.keys import Keys

LOCAL = "127.0.0.1"

SHOWN = {
    "ed": ("ed",),
    "ed2": ("ed2",),
    "ec": ("ec",),
    "ec384": ("ec384",),
    "rsa": ("rsa",),
    "rsa1024": ("rsa1024",),
    "ed+rsa": ("ed", "rsa"),
    "ed+ec+rsa": ("ed2", "ec", "rsa"),
}
"""The plain keys of each server that has no certificate."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server.

    Attributes:
        shown: By algorithm, what it shows: a key's or a certificate's name.
    """

    name: str
    port: int
    shown: dict[str, str]


@contextlib.asynccontextmanager
async def peers(keys: Keys) -> AsyncIterator[dict[str, Peer]]:
    """Start one server for each set of keys."""
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for name, plain in SHOWN.items():
            found[name] = await _listen(stack, keys, name, plain, None)
        for name in keys.certificates:
            key = "rsa" if name.startswith("rsa-") else "ed"
            found[name] = await _listen(stack, keys, name, (key,), name)
            found[f"{name}+rsa"] = await _listen(stack, keys, f"{name}+rsa", (key, "rsa"), name)
        yield found


async def _listen(
    stack: contextlib.AsyncExitStack,
    keys: Keys,
    name: str,
    plain: tuple[str, ...],
    certificate: str | None,
) -> Peer:
    shown: dict[str, str] = {}
    pairs = {}
    for one in dict.fromkeys(plain):
        (pair,) = asyncssh.load_keypairs([str(keys.folder / one)])
        for algorithm in pair.host_key_algorithms:
            shown[algorithm.decode()] = one
            pairs[algorithm] = pair
    if certificate is not None:
        certified = asyncssh.load_keypairs([str(keys.folder / plain[0])])[0]
        # asyncssh takes no certificate that is none of a host; a server may show what it likes.
        certified.public_data = base64.b64decode(keys.public(certificate).split()[1])
        for algorithm in list(pairs):
            if shown[algorithm.decode()] == plain[0]:
                by = algorithm + b"-cert-v01@openssh.com"
                shown[by.decode()] = certificate
                pairs[by] = certified
    acceptor = await asyncssh.listen(
        LOCAL,
        0,
        server_host_keys=[str(keys.folder / plain[0])],
        server_factory=lambda: _Server(pairs),
    )
    await stack.enter_async_context(acceptor)
    return Peer(name, acceptor.get_port(), shown)


class _Server(asyncssh.SSHServer):
    """Shows what it is told to, whatever asyncssh thinks of it."""

    def __init__(self, pairs: dict[bytes, asyncssh.SSHKeyPair]) -> None:
        self._pairs = pairs

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Put the keys in; a pair remembers what one client wanted of it."""
        conn._server_host_keys = {name: copy.copy(pair) for name, pair in self._pairs.items()}  # type: ignore[assignment]
        conn._server_host_key_algs = list(self._pairs)
