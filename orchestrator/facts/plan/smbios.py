"""The table of SMBIOS, as firmware makes it: DMTF DSP0134, sections 6.1 and 7.

https://www.dmtf.org/standards/smbios
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from orchestrator.facts.plan.answer import table, word

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Structure:
    """One structure: its type, its bytes, and its strings, of which the first has number 1."""

    kind: int
    data: bytes
    strings: tuple[str, ...]

    def number(self, at: int, size: int) -> int | None:
        """A little-endian number; ``None`` where the structure ends before it."""
        part = self.data[at : at + size]
        return int.from_bytes(part, "little") if len(part) == size else None

    def text(self, at: int) -> str | None:
        """The string whose number stands there."""
        number = self.number(at, 1)
        return word(self.strings[number - 1]) if number and number <= len(self.strings) else None


def structures(table: bytes) -> Iterator[Structure]:
    """Take a table apart, as far as it goes."""
    at = 0
    for _ in range(_MOST):
        length = table[at + 1] if at + 4 <= len(table) else 0
        end = table.find(b"\0\0", at + length)
        if length < 4 or end < 0 or table[at] == 127:
            return
        texts = table[at + length : end].split(b"\0")
        yield Structure(
            table[at],
            table[at : at + length],
            tuple(text.decode("ascii", "replace") for text in texts),
        )
        at = end + 2


@dataclass(frozen=True, slots=True)
class Module:
    """A slot for memory.

    Attributes:
        size: Bytes; 0 where it is empty, ``None`` where it is not known.
        serial: Identifies it.
    """

    size: int | None
    slot: str | None
    kind: str | None
    speed: int | None
    part: str | None
    serial: str | None


_SYSTEM_MEMORY = 3
_KINDS = table(
    "18=DDR 19=DDR2 24=DDR3 26=DDR4 34=DDR5 27=LPDDR 28=LPDDR2 29=LPDDR3 30=LPDDR4 35=LPDDR5"
)


@dataclass(frozen=True, slots=True)
class Memory:
    """What SMBIOS says of memory.

    Attributes:
        modules: Slots of arrays that are the system's memory.
        ecc: Whether errors are corrected; ``None`` where it does not say.
    """

    modules: tuple[Module, ...]
    ecc: bool | None

    @property
    def installed(self) -> int | None:
        """Bytes; ``None`` where there is nothing, or a module does not say."""
        sizes = [module.size for module in self.modules]
        return sum(size or 0 for size in sizes) or None if None not in sizes else None


def memory(found: list[Structure]) -> Memory:
    """Read the arrays (type 16) and their devices (type 17)."""
    arrays = [one for one in found if one.kind == 16]
    systems = [one for one in arrays if one.number(5, 1) == _SYSTEM_MEMORY]
    others = {one.number(2, 2) for one in arrays if one not in systems}
    devices = [one for one in found if one.kind == 17 and one.number(4, 2) not in others]
    said = {_CORRECTS.get(one.number(6, 1) or 0) for one in systems}
    return Memory(tuple(map(_module, devices)), said.pop() if len(said) == 1 else None)


_CORRECTS = {3: False, 4: False, 5: True, 6: True}
"""Section 7.17.3: none, parity, single-bit ECC, multi-bit ECC."""


def _module(one: Structure) -> Module:
    return Module(
        _size(one),
        one.text(0x10),
        _KINDS.get(str(one.number(0x12, 1))),
        one.number(0x15, 2) or None,
        one.text(0x1A),
        one.text(0x18),
    )


def _size(one: Structure) -> int | None:
    """Section 7.18.4: MiB, or KiB where the highest bit is set; 0x7FFF: see the extended size."""
    size = one.number(0x0C, 2)
    if size is None or size == 0xFFFF:
        return None
    if size == 0x7FFF:
        extended = one.number(0x1C, 4)
        return None if extended is None else (extended & 0x7FFFFFFF) << 20
    return (size & 0x7FFF) << (10 if size & 0x8000 else 20)


CHASSIS: Mapping[int, str] = {
    **dict.fromkeys((3, 4, 5, 6, 7, 13, 15, 16, 24, 35, 36), "desktop"),
    **dict.fromkeys((8, 9, 10, 11, 12, 14), "laptop"),
    **dict.fromkeys((17, 22, 23, 25, 28, 29), "server"),
    **dict.fromkeys((30, 31, 32), "tablet"),
    **dict.fromkeys((33, 34), "embedded"),
    1: "other",
}
"""Section 7.4.1, by what people call them; a convertible is a tablet, a mini PC a desktop."""
