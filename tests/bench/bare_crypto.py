"""What cryptography alone takes of asking many hosts: no packets, no sockets, no event loop.

``python -m tests.bench.bare_crypto COUNT``
"""

from __future__ import annotations

import os
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PACKETS, BYTES = 20, 256
"""Of one connection with one command, in both directions."""


def connect(count: int) -> None:
    """Agree on a key, verify a host's signature, sign, and seal packets, so many times."""
    ours, theirs = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    shown, packet = theirs.public_key(), os.urandom(BYTES)
    peer = X25519PrivateKey.generate().public_key()
    signature = theirs.sign(packet)
    for _ in range(count):
        secret = X25519PrivateKey.generate().exchange(peer)
        shown.verify(signature, packet)
        ours.sign(packet)
        cipher = AESGCM(secret[:16])
        for number in range(PACKETS):
            cipher.encrypt(number.to_bytes(12, "big"), packet, b"")


if __name__ == "__main__":
    connect(int(sys.argv[1]))
