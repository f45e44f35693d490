"""A system's unit files, as systemd reads them: systemd.syntax(7), systemd.unit(5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.core.contents import Units

Section = Mapping[str, Sequence[str]]
"""Values of each key, in order; one that is assigned nothing has none."""

_MASK = "/dev/null"
_YES = frozenset({"1", "yes", "true", "on"})
_WANTS = ("Wants", "Requires", "Requisite", "BindsTo", "Upholds")


def parse(lines: Iterable[str], into: dict[str, dict[str, list[str]]]) -> None:
    """Read a unit file or a drop-in on top of what was read before; ``[Install]`` is left out."""
    section = ""
    for line in _joined(lines):
        text = line.strip()
        if text.startswith("[") and text.endswith("]"):
            section = text[1:-1]
            if section != "Install":
                into.setdefault(section, {})
            continue
        key, found, value = text.partition("=")
        if not found or text[0] in "#;" or section in ("", "Install"):
            continue
        key, value = key.rstrip(), _plain(value.lstrip())
        if value:
            into[section].setdefault(key, []).append(value)
        else:
            into[section][key] = []


def _plain(value: str) -> str:
    """Take away what NixOS's reader of unit files does: quotes at the beginning, and a comment."""
    quoted, end = "", value.find(value[0], 1) if value[:1] in ("'", '"') else -1
    if end > 0:
        quoted, value = value[1:end], value[end + 1 :]
    return quoted + re.split(" [#;]", value, maxsplit=1)[0].rstrip()


def _joined(lines: Iterable[str]) -> Iterable[str]:
    """Join a line that ends with a backslash to the next one that is no comment."""
    begun = ""
    for line in lines:
        if begun and line.lstrip()[:1] in ("#", ";"):
            continue
        if (len(line) - len(line.rstrip("\\"))) % 2:
            begun += f"{line[:-1]} "
            continue
        yield begun + line
        begun = ""
    if begun:
        yield begun


def is_set(
    sections: Mapping[str, Section], section: str, key: str, *, default: bool = False
) -> bool:
    """Whether a key has a yes; what it has last counts."""
    values = sections.get(section, {}).get(key, ())
    return values[-1] in _YES if values else default


class UnitFiles:
    """Answers questions about one system's units.

    Args:
        units: Its files.
    """

    def __init__(self, units: Units) -> None:
        self._units = units
        self._parsed: dict[tuple[str, str], dict[str, dict[str, list[str]]]] = {}
        self._overrides: dict[str, list[str]] = {}
        self._wanted: dict[str, list[str]] = {}
        for path in sorted(units.links):
            folder, _, name = path.partition("/")
            by, _, kind = folder.rpartition(".")
            if kind == "d" and name.endswith(".conf"):
                self._overrides.setdefault(by, []).append(path)
            elif kind in ("wants", "requires") and name:
                self._wanted.setdefault(by, []).append(name)

    def is_there(self, unit: str) -> bool:
        """Whether there is a file of that name, be it a masked unit's."""
        return unit in self._units.links

    def has(self, unit: str) -> bool:
        """Whether there is a file of that name which masks nothing."""
        return self._units.links.get(unit, _MASK) != _MASK

    def can_start(self, unit: str) -> bool:
        """Whether a unit, or the template that it is of, is there and not masked."""
        return self.has(unit if self.is_there(unit) else template_of(unit))

    def overrides(self, unit: str) -> Sequence[str]:
        """The drop-ins of a unit that are no masks."""
        found = self._overrides.get(unit, ())
        return [path for path in found if self.has(path)]

    def sections(self, unit: str, base: str) -> Mapping[str, Section]:
        """What a unit's file says, with its drop-ins.

        Args:
            unit: Its name.
            base: The file's: its own, or the template's that it is of.
        """
        if (unit, base) not in self._parsed:
            found: dict[str, dict[str, list[str]]] = {}
            own = self.overrides(unit) if unit != base else ()
            for path in (base, *self.overrides(base), *own):
                parse(self._units.texts.get(path, ()), found)
            self._parsed[unit, base] = found
        return self._parsed[unit, base]

    def wanted(self, targets: Iterable[str]) -> frozenset[str]:
        """All that some units have started with them, and what those have, and so on."""
        waiting, found = list(targets), set()
        while waiting:
            for name in self._wants(waiting.pop()):
                if name not in found:
                    found.add(name)
                    waiting.append(name)
        return frozenset(found)

    def _wants(self, unit: str) -> Iterable[str]:
        base = unit if self.is_there(unit) else template_of(unit)
        yield from self._wanted.get(unit, ())
        sections = self.sections(unit, base)
        for key in _WANTS:
            yield from " ".join(sections.get("Unit", {}).get(key, ())).split()
        yield from " ".join(sections.get("Service", {}).get("Sockets", ())).split()

    def ends_at_once(self, unit: str) -> bool:
        """Whether a unit runs, ends, and does not count as running afterwards."""
        base = unit if self.is_there(unit) else template_of(unit)
        sections = self.sections(unit, base)
        kind = sections.get("Service", {}).get("Type") or ("",)
        return kind[-1] == "oneshot" and not is_set(sections, "Service", "RemainAfterExit")


def template_of(unit: str) -> str:
    """Name the template of an instance, ``getty@.service`` of ``getty@tty1.service``."""
    found = re.fullmatch(r"(.*)@[^.]*\.(.*)", unit)
    return f"{found[1]}@.{found[2]}" if found else unit
