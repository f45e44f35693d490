"""Bech32 of any length, as age writes its keys (BIP 173; C2SP age.md, "Conventions")."""

from __future__ import annotations

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
