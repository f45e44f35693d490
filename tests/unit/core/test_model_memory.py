"""Sizes of memory, read and said."""

from __future__ import annotations

import pytest

from orchestrator.core.units import parse_size, size_text


@pytest.mark.parametrize(
    ("text", "size"), [("512M", 512 * 1024**2), ("3G", 3 * 1024**3), ("1.5T", 1536 * 1024**3)]
)
def test_a_size_is_read(text: str, size: int) -> None:
    """A size is read with its unit, M, G or T, as powers of 1024."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "3", "0G", "-1G", "3g", "3GB", "1e3M", " 3G", "3G\n"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """A number alone is refused, too: nobody means 3 bytes."""
    with pytest.raises(ValueError, match="not a size such as 512M or 3G"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 KiB"), (12 * 1024, "12 KiB"), (640 * 1024**2, "640 MiB"), (3 * 1024**3, "3.0 GiB")],
)
def test_a_size_is_said(size: int, text: str) -> None:
    """A size in bytes is said in the unit that a person would choose."""
    assert size_text(size) == text
