"""Nix's ``--log-format internal-json``, read line by line: bytes in, words out.

The format is Nix's own (``src/libutil/logging.cc``): ``@nix `` and a JSON object with ``action``
start, stop, result or msg. Activity types and result types are numbers of ``logging.hh``.
"""

from __future__ import annotations

import re
import signal

from orchestrator.core.json_text import parse_json
from orchestrator.core.lines import split_lines

_PREFIX = b"@nix "
_VERBS = {100: "copying", 105: "building", 108: "fetching"}
_BUILD_LOG_LINE = 101
_OUT_OF_MEMORY = re.compile(
    r"^(?:.*: )?(?:error: out of memory|Can't start up: not enough memory)$"
    r"|^GC Warning: Out of Memory!|std::bad_alloc|Cannot allocate memory",
    re.MULTILINE,
)
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


Event = dict[str, object]


def event(line: bytes) -> Event | None:
    """The event that a line holds; ``None`` for any other line."""
    if not line.startswith(_PREFIX):
        return None
    try:
        read = parse_json(line.removeprefix(_PREFIX))
    except ValueError:
        return None
    return read if isinstance(read, dict) else None


def progress(line: bytes) -> str | None:
    """What Nix begins with this line: ``nginx-1.26`` being built, copied or fetched."""
    found = event(line)
    if found is None or found.get("action") != "start":
        return None
    fields = found.get("fields")
    if not isinstance(fields, list) or not fields:
        return None
    name = short_name(str(fields[0]))
    kind = found.get("type")
    verb = _VERBS.get(kind) if isinstance(kind, int) else None
    return f"{verb} {name}" if verb else None


def short_name(path: str) -> str:
    """A store path's or derivation's name, such as ``nginx-1.26``."""
    return re.sub(r"^/nix/store/[^-]*-", "", path).removesuffix(".drv")


def text(line: bytes) -> str | None:
    """What a person would read of this line: a message, a build's own output, a plain line."""
    found = event(line)
    if found is None:
        return None if line.startswith(_PREFIX) else _plain(line.decode(errors="replace"))
    if found.get("action") == "msg":
        return _plain(str(found.get("msg", "")))
    if found.get("action") == "result" and found.get("type") == _BUILD_LOG_LINE:
        fields = found.get("fields")
        return _plain(str(fields[0])) if isinstance(fields, list) and fields else None
    return progress(line)


def _plain(words: str) -> str:
    return _ANSI.sub("", words).rstrip()


def readable(stderr: str) -> str:
    """A whole standard error as a person would read it."""
    lines = (text(line.encode(errors="replace")) for line in split_lines(stderr))
    return "\n".join(line for line in lines if line)


def cause(stderr: str) -> str | None:
    """The innermost error of a trace, in one line: the last ``error:`` and what belongs to it."""
    found = list(re.finditer(r"^[^\S\n]*error:(.*)$", readable(stderr), re.MULTILINE))
    if not found:
        return None
    if said := found[-1][1].strip():
        return said.rstrip(":")
    rest = found[-1].string[found[-1].end() :].split()
    return " ".join(rest)[:300] or None


def ran_out_of_memory(rc: int, stderr: str) -> bool:
    """Whether Nix failed because memory was short.

    Its own words, those of its garbage collector (bdwgc), of C++ and of the kernel; or SIGKILL,
    which is all that the kernel's killer says.
    """
    if rc in (-signal.SIGKILL, 128 + signal.SIGKILL):
        return True
    return rc != 0 and _OUT_OF_MEMORY.search(readable(stderr)) is not None
