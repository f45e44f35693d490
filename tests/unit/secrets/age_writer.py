"""Age files made by hand: any header text, with the authentication code that makes it genuine.

What a reader does with a malformed header is seen only where everything else about it is right.
"""

from __future__ import annotations

import os

import pyrage
from cryptography.hazmat.primitives import hashes, hmac, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa, x25519
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from orchestrator.secrets.age import file as age_file
from orchestrator.secrets.age import keys as age_keys

FILE_KEY = bytes(range(16))
PLAINTEXT = b"a value that nobody may see"
V1 = b"age-encryption.org/v1\n"
IDENTITY = pyrage.x25519.Identity.generate()

PrivateKey = ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def derived(key: bytes, salt: bytes, info: bytes) -> bytes:
    """``HKDF-SHA-256`` as the format uses it."""
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def own_stanza() -> bytes:
    """A stanza by which ``IDENTITY`` opens the file."""
    recipient = age_keys.decode(str(IDENTITY.to_public()))[1]
    secret = x25519.X25519PrivateKey.generate()
    share = secret.public_key().public_bytes_raw()
    shared = secret.exchange(x25519.X25519PublicKey.from_public_bytes(recipient))
    key = derived(shared, share + recipient, b"age-encryption.org/v1/X25519")
    body = ChaCha20Poly1305(key).encrypt(bytes(12), FILE_KEY, None)
    return b"-> X25519 %s\n%s\n" % (age_file.base64_encode(share), age_file.base64_encode(body))


def mac(header: bytes) -> bytes:
    """The authentication code of a header up to and with its three dashes."""
    code = hmac.HMAC(derived(FILE_KEY, b"", b"header"), hashes.SHA256())
    code.update(header)
    return age_file.base64_encode(code.finalize())


def payload(plaintext: bytes = PLAINTEXT) -> bytes:
    """A payload of one chunk."""
    nonce = os.urandom(16)
    cipher = ChaCha20Poly1305(derived(FILE_KEY, nonce, b"payload"))
    return nonce + cipher.encrypt(bytes(11) + b"\1", plaintext, None)


def written(stanzas: bytes, first: bytes = V1, plaintext: bytes = PLAINTEXT) -> bytes:
    """An age file with these stanzas, genuine in all else."""
    header = first + stanzas + b"---"
    return header + b" " + mac(header) + b"\n" + payload(plaintext)


def by_passphrase(passphrase: str, plaintext: bytes, work: int = 10) -> bytes:
    """An age file that a passphrase opens, with less work than any program would choose."""
    salt = os.urandom(16)
    # More than a machine could do is not done: nobody gets to see the key.
    rounds = 2 ** min(work, 10)
    kdf = Scrypt(b"age-encryption.org/v1/scrypt" + salt, 32, rounds, 8, 1)
    body = ChaCha20Poly1305(kdf.derive(passphrase.encode())).encrypt(bytes(12), FILE_KEY, None)
    words = (age_file.base64_encode(salt), str(work).encode(), age_file.base64_encode(body))
    return written(b"-> scrypt %s %s\n%s\n" % words, plaintext=plaintext)


def public(key: PrivateKey, comment: str = "") -> str:
    """A private key's public half, as its ``.pub`` file has it."""
    text = key.public_key().public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    return f"{text.decode()} {comment}".strip()


def private(
    key: PrivateKey,
    passphrase: bytes | None = None,
    form: serialization.PrivateFormat = serialization.PrivateFormat.OpenSSH,
) -> bytes:
    """A private key's file."""
    closed = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    return key.private_bytes(serialization.Encoding.PEM, form, closed)


def bech32_text(name: str, data: bytes) -> str:
    """A key as age writes it."""
    number, bits = int.from_bytes(data, "big"), len(data) * 8
    padding = -bits % 5
    number <<= padding
    count = (bits + padding) // 5
    values = [number >> 5 * (count - 1 - at) & 31 for at in range(count)]
    check = age_keys._polymod([*age_keys._expand(name), *values, 0, 0, 0, 0, 0, 0]) ^ 1
    values += [check >> 5 * (5 - at) & 31 for at in range(6)]
    return f"{name}1" + "".join(age_keys._ALPHABET[value] for value in values)
