"""Compression of a stream: frames that may be put one after the other in any order.

Both formats allow that: RFC 8878 section 3.1, RFC 1952 section 2.2. The zstandard library and not
the program: a frame a path, for thousands of paths, without a process for each.
"""

from __future__ import annotations

import zlib
from enum import Enum
from typing import Protocol, assert_never


class Frame(Protocol):
    """One frame under way."""

    def compress(self, data: bytes, /) -> bytes:
        """Take bytes in, give compressed ones out."""

    def flush(self) -> bytes:
        """End the frame."""


class Codec(Enum):
    """How a stream is compressed; the value is the program that undoes it."""

    ZSTD = "zstd"
    GZIP = "gzip"

    def frame(self) -> Frame:
        """Begin a frame, at the level that costs the least."""
        match self:
            case Codec.ZSTD:
                import zstandard

                return zstandard.ZstdCompressor(level=1).compressobj()
            case Codec.GZIP:
                return zlib.compressobj(1, zlib.DEFLATED, zlib.MAX_WBITS | 16)
            case _:
                assert_never(self)

    def whole(self, data: bytes) -> bytes:
        """One frame that holds just these bytes."""
        frame = self.frame()
        return frame.compress(data) + frame.flush()
