"""Public keys: age's own and OpenSSH's, and their names in stanzas."""

from __future__ import annotations

import binascii
import hashlib
import re

from orchestrator.core.units import split_lines
from orchestrator.secrets.model.ciphertext import Recipient, RecipientKind

# Curve25519 and edwards25519: RFC 7748 section 4.1.
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P

# The u coordinates of points of small order: whoever sends to them sends to everybody (RFC 7748
# section 6.1).
_WEAK = {
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    _P - 1,
}

# P-256: SEC 2 section 2.4.2.
_P256 = 2**256 - 2**224 + 2**192 + 2**96 - 1
_P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def is_weak_x25519(key: bytes) -> bool:
    """Whether an X25519 public key is of small order."""
    return _coordinate(key) in _WEAK


def is_ed25519(key: bytes) -> bool:
    """Whether an Ed25519 public key is a point (RFC 8032 section 5.1.3)."""
    y = _coordinate(key)
    # A fraction is a square where the product of its two parts is one.
    return _is_square((y * y - 1) * (_D * y * y + 1), _P)


def is_weak_ed25519(key: bytes) -> bool:
    """Whether it is of small order, once it is turned into an X25519 key as age does."""
    return _montgomery(key) in _WEAK


def _montgomery(key: bytes) -> int:
    y = _coordinate(key)
    return (1 + y) * pow(1 - y, _P - 2, _P) % _P


def is_p256(key: bytes) -> bool:
    """Whether a compressed P-256 point is one (SEC 1 section 2.3.4)."""
    x = int.from_bytes(key[1:], "big")
    if len(key) != 33 or key[0] not in (2, 3) or x >= _P256:
        return False
    return _is_square(x * x * x - 3 * x + _P256_B, _P256)


def _coordinate(key: bytes) -> int:
    """A coordinate: 255 bits, little-endian; the last bit is a sign or nothing."""
    return (int.from_bytes(key, "little") & (2**255 - 1)) % _P


def _is_square(number: int, prime: int) -> bool:
    return pow(number, (prime - 1) // 2, prime) in (0, 1)


_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM = 6


def decode(text: str) -> tuple[str, bytes]:
    """Decode a lower-case Bech32 text.

    Returns:
        The human-readable part, and the data.

    Raises:
        ValueError: A character is wrong, the checksum is, or the padding.
    """
    name, separator, coded = text.rpartition("1")
    if not separator or not name or len(coded) < _CHECKSUM:
        raise ValueError("is cut off")
    if any(character not in _VALUES for character in coded):
        raise ValueError("has a character that no key has")
    values = [_VALUES[character] for character in coded]
    if _polymod([*_expand(name), *values]) != 1:
        raise ValueError("has a wrong checksum: it was mistyped or cut off")
    return name, _bytes(values[:-_CHECKSUM])


def encode(name: str, data: bytes) -> str:
    """Encode a text as :func:`decode` reads it.

    Args:
        name: The human-readable part.
        data: Any bytes.
    """
    padding = -len(data) * 8 % 5
    number = int.from_bytes(data, "big") << padding
    size = (len(data) * 8 + padding) // 5
    values = [number >> 5 * place & 31 for place in reversed(range(size))]
    check = _polymod([*_expand(name), *values, *(0,) * _CHECKSUM]) ^ 1
    values += [check >> 5 * place & 31 for place in reversed(range(_CHECKSUM))]
    return f"{name}1{''.join(_ALPHABET[value] for value in values)}"


def _expand(name: str) -> list[int]:
    codes = name.encode()
    return [*(code >> 5 for code in codes), 0, *(code & 31 for code in codes)]


def _polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(_GENERATOR):
            if top >> bit & 1:
                check ^= generator
    return check


def _bytes(values: list[int]) -> bytes:
    """Regroup 5 bits to 8; what is left over must be less than 5 bits, all zero."""
    number = 0
    for value in values:
        number = number << 5 | value
    size, padding = divmod(len(values) * 5, 8)
    if padding > 4 or number & ((1 << padding) - 1):
        raise ValueError("has a wrong padding")
    return (number >> padding).to_bytes(size, "big")


_UNSUPPORTED = {
    "ssh-dss": "is a DSA key",
    "ecdsa-sha2-nistp256": "is an ECDSA key",
    "ecdsa-sha2-nistp384": "is an ECDSA key",
    "ecdsa-sha2-nistp521": "is an ECDSA key",
    "sk-ssh-ed25519@openssh.com": "is a key on a security token (sk-)",
    "sk-ecdsa-sha2-nistp256@openssh.com": "is a key on a security token (sk-)",
}
_TAKEN = "age takes ssh-ed25519 and ssh-rsa keys only"
WEAK = "is a point of small order: everybody could read what is encrypted to it"
_RSA_BITS = range(2048, 16384 + 1)
_ED25519_SIZE = 32


def unsupported(algorithm: str) -> str | None:
    """Why an algorithm of SSH cannot be encrypted to; ``None`` where it is not one of these."""
    if "-cert-v0" in algorithm:
        return f"is an SSH certificate; {_TAKEN}"
    why = _UNSUPPORTED.get(algorithm)
    return f"{why}; {_TAKEN}" if why else None


def parse_ssh_key(algorithm: str, coded: str, comment: str) -> Recipient:
    """Read an SSH public key.

    Args:
        algorithm: ``ssh-ed25519`` or ``ssh-rsa``.
        coded: Its wire form in base64.
        comment: What follows it.

    Raises:
        ValueError: It is malformed, weak, or of another algorithm than it says.
    """
    try:
        wire = binascii.a2b_base64(coded + "=" * (-len(coded) % 4), strict_mode=True)
    except ValueError:
        raise ValueError("is no base64 after its algorithm: it was mistyped or cut off") from None
    canonical = binascii.b2a_base64(wire, newline=False).decode()
    if coded.rstrip("=") != canonical.rstrip("="):
        raise ValueError("is no canonical base64: it was mistyped or cut off")
    return of_wire(algorithm, wire, comment)


def as_x25519(ed25519: Recipient) -> Recipient:
    """Give age's own spelling of an Ed25519 key of SSH, as ``ssh-to-age`` does.

    Its curve's coordinate is u = (1 + y) / (1 - y): RFC 7748 section 4.1.
    """
    found = point(ed25519)
    assert found is not None
    encoded = encode("age", found.to_bytes(32, "little"))
    return Recipient(encoded, RecipientKind.X25519, None, ed25519.comment)


def point(recipient: Recipient) -> int | None:
    """The u coordinate that a recipient of Curve25519 is computed with; ``None`` for other kinds.

    Whoever has the private half of one has that of each other key of the same coordinate: the sign
    of an Ed25519 key and the top bit of an X25519 one do not count (RFC 7748 section 5).
    """
    if recipient.kind is RecipientKind.ED25519:
        return _montgomery(wire_fields(binascii.a2b_base64(recipient.text.split()[1]))[1])
    if recipient.kind is RecipientKind.X25519:
        return _coordinate(decode(recipient.text)[1]) % _P
    return None


def of_wire(algorithm: str, wire: bytes, comment: str = "") -> Recipient:
    """Make a recipient of a key's wire form.

    Raises:
        ValueError: It is malformed, weak, or of another algorithm than it says.
    """
    name, *fields = wire_fields(wire)
    if name != algorithm.encode():
        raise ValueError(f"says {algorithm} and holds a key of another algorithm")
    if algorithm == RecipientKind.ED25519.value:
        _check_ed25519(fields)
    else:
        _check_rsa(fields)
    text = f"{algorithm} {binascii.b2a_base64(wire, newline=False).decode()}"
    tag = hashlib.sha256(wire).digest()[:4]
    return Recipient(text, RecipientKind(algorithm), tag, comment)


def wire_fields(wire: bytes) -> list[bytes]:
    """The length-prefixed strings of a wire form (RFC 4251 section 5)."""
    found = []
    while wire:
        size = int.from_bytes(wire[:4], "big")
        field = wire[4 : 4 + size]
        if len(wire) < 4 or len(field) != size:
            raise ValueError("is cut off")
        found.append(field)
        wire = wire[4 + size :]
    if not found:
        raise ValueError("is cut off")
    return found


def _check_ed25519(fields: list[bytes]) -> None:
    if [len(field) for field in fields] != [_ED25519_SIZE]:
        raise ValueError("is malformed: an Ed25519 key has 32 bytes")
    if not is_ed25519(fields[0]):
        raise ValueError("is no point of its curve: it was mistyped")
    if is_weak_ed25519(fields[0]):
        raise ValueError(WEAK)


def _check_rsa(fields: list[bytes]) -> None:
    if len(fields) != 2:
        raise ValueError("is malformed: an RSA key has an exponent and a modulus")
    exponent, modulus = (int.from_bytes(field, "big", signed=True) for field in fields)
    if exponent < 3 or modulus < 3 or not exponent & modulus & 1:
        raise ValueError("is malformed: its exponent or modulus is none of RSA's")
    bits = modulus.bit_length()
    if bits not in _RSA_BITS:
        what = "weak" if bits < _RSA_BITS.start else "large"
        raise ValueError(
            f"is an RSA key of {bits} bits, which is too {what}; "
            f"age takes {_RSA_BITS.start} to {_RSA_BITS.stop - 1}"
        )


_LONGEST = 8192
_PLUGIN = re.compile(r"age1([a-z0-9+._-]+)")
_POST_QUANTUM_SIZE = 1216
_TAG_PQ_SIZE, _TAG_PQ_POINT = 1249, 1184


def parse(text: str) -> Recipient:
    """Read a public key: ``ssh-ed25519 …``, ``ssh-rsa …`` or ``age1…``.

    As strict as the ``age`` program, which agenix hands each key as it is written.

    Raises:
        ValueError: Nothing can be encrypted to it; the text is a fact about it, such as ``is an
            ECDSA key; age takes ssh-ed25519 and ssh-rsa keys only``.
    """
    if not text.strip():
        raise ValueError("is empty")
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than any key ({len(text)} characters)")
    if text.startswith("age1"):
        return _age(text)
    return _ssh(text)


def _ssh(text: str) -> Recipient:
    if len(split_lines(text.strip())) > 1:
        raise ValueError("has several lines: age would take the first and pass over the others")
    algorithm, _, rest = text.partition(" ") if " " in text else text.partition("\t")
    coded, *comment = rest.split(maxsplit=1) or [""]
    if algorithm in (RecipientKind.ED25519.value, RecipientKind.RSA.value):
        return parse_ssh_key(algorithm, coded, "".join(comment).strip())
    raise ValueError(unsupported(algorithm) or _not_a_key(text))


def _not_a_key(text: str) -> str:
    if text[0].isspace():
        return "begins with white space"
    if text.upper().startswith("AGE-SECRET-KEY-") or "PRIVATE KEY" in text:
        return "is a private key, which must never stand here"
    if text.startswith("AGE1"):
        return "is in capital letters; age takes it in small ones only"
    if "ssh-ed25519 " in text or "ssh-rsa " in text:
        return "has something before the key; age takes no options of authorized_keys"
    return "is no public key: neither ssh-ed25519, ssh-rsa nor age1…"


def _age(text: str) -> Recipient:
    if text.split() != [text]:
        raise ValueError("has white space in it or after it")
    name, data = decode(text)
    match name:
        case "age":
            return _x25519(text, data)
        case "age1pq":
            _check(len(data) == _POST_QUANTUM_SIZE)
            return Recipient(text, RecipientKind.MLKEM, None)
        case "age1tag":
            _check(is_p256(data))
            return Recipient(text, RecipientKind.P256TAG, _digest(data))
        case "age1tagpq":
            _check(len(data) == _TAG_PQ_SIZE)
            return Recipient(text, RecipientKind.MLKEM_P256TAG, _digest(data[_TAG_PQ_POINT:]))
        case "age1yubikey":
            _check(is_p256(data))
            return Recipient(text, RecipientKind.PIV, _digest(data))
    _check(_PLUGIN.fullmatch(name) is not None)
    return Recipient(text, RecipientKind.PLUGIN, None)


def _x25519(text: str, data: bytes) -> Recipient:
    _check(len(data) == 32)
    if is_weak_x25519(data):
        raise ValueError(WEAK)
    return Recipient(text, RecipientKind.X25519, None)


def _check(sound: bool) -> None:
    if not sound:
        raise ValueError("is malformed: it has not the form of its kind of key")


def _digest(point: bytes) -> bytes:
    """What the tags of P-256 keys begin from (C2SP age.md, "p256tag recipient stanza")."""
    return hashlib.sha256(point).digest()[:4]
