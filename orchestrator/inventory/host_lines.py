"""A host's entry as text, and the places in a file's text where it may belong.

YAML is not written anew and not parsed here: who asks has the result read, and compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orchestrator.inventory.node import resolve

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SECTION = re.compile(r"^hosts:[ \t]*(?:#[^\n]*)?\r?\n", re.MULTILINE)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True, slots=True)
class NewHost:
    """What is said of a host that is to be added.

    Attributes:
        profiles: Beside those of its template.
    """

    name: str
    address: str | None = None
    template: str | None = None
    profiles: tuple[str, ...] = ()
    user: str | None = None
    port: int | None = None

    def values(self) -> dict[str, Any]:
        """Give what its entry says, as YAML has it."""
        connect = {"user": self.user, "port": self.port}
        values = {
            "address": self.address,
            "template": self.template,
            "profiles": list(self.profiles),
            "connect": {key: said for key, said in connect.items() if said is not None},
        }
        return {key: said for key, said in values.items() if said}

    def lines(self, indent: str = "  ") -> list[str]:
        """Write it as it stands below ``hosts:``."""
        below = [f"{indent * 2}{key}: {_written(said)}" for key, said in self.values().items()]
        return [f"{indent}{_written(self.name)}:", *below]


def insertions(text: str, host: NewHost) -> Iterator[str]:
    """Put a host at the end of each section ``hosts`` that looks like one, in turn."""
    for section in _SECTION.finditer(text):
        yield _insert(text, section.end(), host)


def _insert(text: str, start: int, host: NewHost) -> str:
    """Put a host's lines after the last line of a section that begins at ``start``."""
    newline = "\r\n" if text[:start].endswith("\r\n") else "\n"
    lines = _LINE.findall(text, start)
    length = next((n for n, line in enumerate(lines) if _begins_section(line)), len(lines))
    used = [n for n in range(length) if lines[n].strip() and lines[n][0] in " \t"]
    if used and not lines[used[-1]].endswith("\n"):
        lines[used[-1]] += newline
    entries = [n for n in used if not lines[n].lstrip().startswith("#")]
    indent = _indent(lines[entries[0]]) if entries else "  "
    heads = [n for n in entries if _indent(lines[n]) == indent]
    spaced = len(heads) > 1 and any(not line.strip() for line in lines[heads[-2] : heads[-1]])
    added = [*([""] if spaced else []), *host.lines(indent)]
    at = used[-1] + 1 if used else 0
    lines[at:at] = [line + newline for line in added]
    return text[:start] + "".join(lines)


def _begins_section(line: str) -> bool:
    return bool(line.strip()) and line[0] not in " \t#"


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" "))]


def _written(said: object) -> str:
    """Write a value so that YAML reads it as what it is."""
    if isinstance(said, dict):
        return f"{{{', '.join(f'{key}: {_written(one)}' for key, one in said.items())}}}"
    if isinstance(said, list):
        return f"[{', '.join(map(_written, said))}]"
    if isinstance(said, str) and _PLAIN.fullmatch(said) and resolve(said) == said:
        return said
    return json.dumps(said, ensure_ascii=False)
