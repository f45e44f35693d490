"""Foreign text made fit for a terminal: no control characters, no more cells than there are."""

from __future__ import annotations

import re
import unicodedata

# ECMA-48: a control sequence; a string, which ST or BEL ends; any other escape; the 8-bit forms.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*+(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)

# Control, format (such as the bidirectional overrides), surrogate, line and paragraph separators.
_UNFIT = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

# Controls but for tab and newline, and what turns the direction of the text; not our own colours.
_CONTROLS = re.compile(
    "(?!\x1b\\[[0-9;]*m)[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]"
)


def harmless(text: str) -> str:
    """Take out of whole lines what controls a terminal: the last net below ``clean``."""
    return text if text.isascii() and text.isprintable() else _CONTROLS.sub("", text)


def clean(text: str) -> str:
    """Make one line of text that comes from a host or from Nix harmless to print."""
    text = _ESCAPES.sub("", text)
    if text.isascii() and text.isprintable():
        return text
    text = text.replace("\t", "    ").rstrip("\r\n")
    return "".join(_fit(character) for character in text)


def _fit(character: str) -> str:
    if character in "\r\n\v\f\u2028\u2029":
        return " "
    return "" if unicodedata.category(character) in _UNFIT else character


def width(text: str) -> int:
    """Count the terminal cells that a line takes."""
    return len(text) if text.isascii() else sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(text: str, cells: int) -> str:
    """Shorten a line to so many cells, with an ellipsis at its end."""
    if width(text) <= cells:
        return text
    kept, used = "", 1
    for character in text:
        used += _cells(character)
        if used > cells:
            break
        kept += character
    return kept + "…" if cells > 0 else ""


def pad(text: str, cells: int) -> str:
    """Fill a line with spaces to so many cells."""
    return text + " " * (cells - width(text))
