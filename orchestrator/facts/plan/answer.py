"""An answer to ``question.py``, taken apart; and what becomes of its words.

A host may say anything. What is not understood was not said; of a text that is kept, so much is.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.core.facts import Fact
from orchestrator.core.units import parse_json, split_lines, whole_number

Readings = Mapping[str, Fact]

_LONGEST = 200
"""Characters of a text that is kept."""

MOST = 1000
"""Things of one kind, such as disks."""

# A folder's name may have colons (0000:00:02.0), a file's own name has none, and is one of these.
_LEAVES = (
    "machine-id osrelease nixos-version container type os-release online physical_package_id "
    "core_id meminfo block_size_bytes mc_name size rotational removable model vendor serial "
    "partition mounts uevent address speed tpm_version_major sys_vendor product_name "
    "product_version board_vendor board_name bios_vendor bios_version bios_date chassis_type "
    "compatible name temp[0-9]+_input temp[0-9]+_label current_clocksource"
)
_FILE = re.compile(rf"(/(?:[^\n]*?/)?(?:{'|'.join(_LEAVES.split())})):(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Answer:
    """What one machine said.

    Attributes:
        files: Lines of each file.
        links: Where each link leads, as the link says it.
        values: What was said by each key.
    """

    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Answer:
        """Read what the question prints; what else there is, such as a greeting, is left out."""
        files: dict[str, list[str]] = {}
        values: dict[str, list[str]] = {}
        links: dict[str, str] = {}
        for line in split_lines(text):
            if line.startswith("/"):
                if found := _FILE.fullmatch(line):
                    files.setdefault(found[1], []).append(found[2])
                continue
            key, is_said, value = line.partition("=")
            if key == "link":
                path, _, target = value.partition(" -> ")
                links.setdefault(path, target)
            elif is_said:
                values.setdefault(key, []).append(value)
        return cls(_frozen(files), links, _frozen(values))

    @property
    def is_root(self) -> bool:
        """Whether root was asked."""
        return self.value("root") == "yes"

    def value(self, key: str) -> str | None:
        """What was said first by a key; ``None`` where that is nothing."""
        return self.values.get(key, ("",))[0].strip() or None

    def has(self, key: str) -> bool:
        """Whether something is there: see ``there`` in the question."""
        return self.value(key) == "yes"

    def line(self, path: str) -> str | None:
        """A file's first line, made a text that can be kept; ``None`` where there is none."""
        return word(self.files.get(path, ("",))[0])

    def number(self, path: str) -> int | None:
        """The whole number that a file has."""
        return whole_number(self.files.get(path, ("",))[0].strip())

    def matching(self, pattern: re.Pattern[str]) -> Iterator[tuple[re.Match[str], str]]:
        """The files whose whole path matches, and their first lines as they are."""
        for path, said in self.files.items():
            if found := pattern.fullmatch(path):
                yield found, said[0].strip()

    def linked(self, pattern: re.Pattern[str]) -> list[tuple[re.Match[str], str]]:
        """The links whose whole path matches, by their paths, and where they lead."""
        every = ((pattern.fullmatch(path), target) for path, target in sorted(self.links.items()))
        return [(found, target) for found, target in every if found][:MOST]

    def variables(self, path: str) -> Mapping[str, str]:
        """The ``NAME=VALUE`` lines of a file, such as a device's uevent."""
        pairs = (line.partition("=") for line in self.files.get(path, ()))
        return {name: value for name, _, value in pairs}

    def json(self, program: str) -> Any:
        """What a program said in JSON; ``None`` where that is nothing, or no JSON."""
        try:
            return parse_json(self.value(program) or "null")
        except ValueError:
            return None

    def bytes(self, key: str) -> bytes:
        """A file of bytes; none where there is none, or it cannot be read."""
        try:
            return base64.b64decode(self.value(key) or "", validate=True)
        except ValueError:
            return b""

    def why_not(self, program: str, key: str = "") -> str:
        """Why a program told nothing that counts."""
        if program in self.values.get("missing", ()):
            return f"there is no {program}"
        said = self.value(key or program)
        return f"{program} {'was not understood' if said else 'did not answer'}"

    @property
    def why_no_root(self) -> str:
        """Why there is nothing that only root can read."""
        return "it has none" if self.is_root else "only root can read it"


def _frozen(found: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(said) for key, said in found.items()}


def word(text: object) -> str | None:
    """Make a stranger's text one that can be kept; ``None`` where nothing is left of it."""
    if not isinstance(text, str):
        return None
    kept = "".join(each for each in text[: 2 * _LONGEST] if each.isprintable())
    return kept.strip()[:_LONGEST] or None


def unknown(why: str) -> Fact:
    """What is known not to be known."""
    return Fact(None, why)


def known(value: Any, source: str, why: str) -> Fact:
    """A fact where there is a value, and else why there is none."""
    return unknown(why) if value is None else Fact(value, source)


def first(facts: Iterable[Fact]) -> Fact:
    """The first of several that is known; else the last one's reason."""
    found = unknown("nothing says it")
    for found in facts:
        if found.value is not None:
            break
    return found


def listed(value: object) -> list[Any]:
    """What should be a list; of anything else none."""
    return value[:MOST] if isinstance(value, list) else []


def named(value: object, key: str) -> Any:
    """What should be in a mapping; of anything else nothing."""
    return value.get(key) if isinstance(value, dict) else None


def table(text: str) -> dict[str, str]:
    """Write a mapping as words: ``KEY=VALUE KEY=VALUE``."""
    return dict(pair.split("=", 1) for pair in text.split())
