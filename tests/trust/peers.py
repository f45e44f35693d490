"""Servers on the loopback interface that show a host key and let nobody in."""

from __future__ import annotations

import base64
import contextlib
import copy
from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncssh

from orchestrator.core.values import replace
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

CERTIFIED = "-cert-v01@openssh.com"
ODD = {
    "ed+ec+another-kind": ({"ssh-ed25519": "ec", "ecdsa-sha2-nistp256": "ed"}, None),
    "ed+rsa+another-kind": ({"ssh-ed25519": "rsa", "rsa-sha2-512": "ed"}, None),
    "ed+bare": ({f"ssh-ed25519{CERTIFIED}": "ed"}, None),
    "good+dressed": ({"ssh-ed25519": "good"}, None),
    "rsa+bare": ({f"rsa-sha2-512{CERTIFIED}": "rsa"}, None),
    "rsa-good+dressed": ({"rsa-sha2-512": "rsa-good"}, None),
    "rsa+shorter": ({"rsa-sha2-512": "rsa"}, "rsa-sha2-256"),
    "rsa+longer": ({"rsa-sha2-256": "rsa"}, "rsa-sha2-512"),
    "rsa+sha1": ({"rsa-sha2-512": "rsa", "rsa-sha2-256": "rsa"}, "ssh-rsa"),
    "rsa-good+shorter": ({f"rsa-sha2-512{CERTIFIED}": "rsa-good"}, "rsa-sha2-256"),
}
"""What each server shows that keeps to nothing: by the algorithm agreed on; how it signs."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server.

    Attributes:
        shown: By algorithm, what it shows: a key's or a certificate's name.
        signs: The algorithm of its signatures, where it is always the same.
    """

    name: str
    port: int
    shown: dict[str, str]
    signs: str | None = None


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
        for name, (shown, signs) in ODD.items():
            found[name] = await _listen_oddly(stack, keys, Peer(name, 0, shown, signs))
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
                by = algorithm + CERTIFIED.encode()
                shown[by.decode()] = certificate
                pairs[by] = certified
    return Peer(name, await _serve(stack, keys, pairs), shown)


async def _listen_oddly(stack: contextlib.AsyncExitStack, keys: Keys, peer: Peer) -> Peer:
    pairs = {}
    for algorithm, name in peer.shown.items():
        key = keys.of(name)
        (pair,) = asyncssh.load_keypairs([str(keys.folder / key)])
        pair.public_data = base64.b64decode(keys.public(name).split()[1])
        pairs[algorithm.encode()] = pair
    return replace(peer, port=await _serve(stack, keys, pairs, peer))


async def _serve(
    stack: contextlib.AsyncExitStack,
    keys: Keys,
    pairs: dict[bytes, asyncssh.SSHKeyPair],
    odd: Peer | None = None,
) -> int:
    acceptor = await asyncssh.listen(
        LOCAL,
        0,
        server_host_keys=[str(keys.folder / "ed")],
        server_factory=lambda: _Server(pairs, odd),
    )
    await stack.enter_async_context(acceptor)
    return acceptor.get_port()


class _Server(asyncssh.SSHServer):
    """Shows what it is told to, whatever asyncssh thinks of it."""

    def __init__(self, pairs: dict[bytes, asyncssh.SSHKeyPair], odd: Peer | None) -> None:
        self._pairs = pairs
        self._odd = odd

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Put the keys in; a pair remembers what one client wanted of it."""
        own = {name: copy.copy(pair) for name, pair in self._pairs.items()}
        for name, pair in own.items() if self._odd else ():
            _sign_as_it_likes(pair, name, self._odd.signs if self._odd else None)
        conn._server_host_keys = own  # type: ignore[assignment]
        conn._server_host_key_algs = list(self._pairs)


def _sign_as_it_likes(pair: asyncssh.SSHKeyPair, agreed: bytes, signs: str | None) -> None:
    """Have a pair sign by one algorithm, whatever a client wants of it."""
    if signs is None:
        plain = agreed.removesuffix(CERTIFIED.encode())
        signs = (plain if plain in pair.sig_algorithms else pair.sig_algorithms[0]).decode()
    pair.sig_algorithm = signs.encode()
    pair.set_sig_algorithm = lambda _: None  # type: ignore[method-assign]
