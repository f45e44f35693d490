"""Whether the bytes of a public key are a point that can be encrypted to."""

from __future__ import annotations

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
    y = _coordinate(key)
    return (1 + y) * pow(1 - y, _P - 2, _P) % _P in _WEAK


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
