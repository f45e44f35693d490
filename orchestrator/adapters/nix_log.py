"""Nix's ``--log-format internal-json``, read line by line: bytes in, words out.

The format is Nix's own (``src/libutil/logging.cc``): ``@nix `` and a JSON object with ``action``
start, stop, result or msg. Activity types and result types are numbers of ``logging.hh``.
"""

from __future__ import annotations

import json
import re

_PREFIX = b"@nix "
_VERBS = {100: "copying", 105: "building", 108: "fetching"}
_BUILD_LOG_LINE = 101
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def _event(line: bytes) -> dict[str, object] | None:
    if not line.startswith(_PREFIX):
        return None
    try:
        event = json.loads(line.removeprefix(_PREFIX))
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def progress(line: bytes) -> str | None:
    """What Nix begins with this line: ``nginx-1.26`` being built, copied or fetched."""
    event = _event(line)
    if event is None or event.get("action") != "start":
        return None
    fields = event.get("fields")
    if not isinstance(fields, list) or not fields:
        return None
    name = re.sub(r"^/nix/store/[^-]*-", "", str(fields[0])).removesuffix(".drv")
    kind = event.get("type")
    verb = _VERBS.get(kind) if isinstance(kind, int) else None
    return f"{verb} {name}" if verb else None


def text(line: bytes) -> str | None:
    """What a person would read of this line: a message, a build's own output, a plain line."""
    event = _event(line)
    if event is None:
        return None if line.startswith(_PREFIX) else _plain(line.decode(errors="replace"))
    if event.get("action") == "msg":
        return _plain(str(event.get("msg", "")))
    if event.get("action") == "result" and event.get("type") == _BUILD_LOG_LINE:
        fields = event.get("fields")
        return _plain(str(fields[0])) if isinstance(fields, list) and fields else None
    return progress(line)


def _plain(words: str) -> str:
    return _ANSI.sub("", words).rstrip()


def readable(stderr: str) -> str:
    """A whole standard error as a person would read it."""
    lines = (text(line) for line in stderr.encode().splitlines())
    return "\n".join(line for line in lines if line)


def cause(stderr: str) -> str | None:
    """The innermost error of a trace, in one line: the last ``error:`` and what belongs to it."""
    found = list(re.finditer(r"^\s*error:(.*)$", readable(stderr), re.MULTILINE))
    if not found:
        return None
    if said := found[-1][1].strip():
        return said.rstrip(":")
    rest = found[-1].string[found[-1].end() :].split()
    return " ".join(rest)[:300] or None
