"""Units, timers and tables of cron's that the running system does not have."""

from __future__ import annotations

import re
from collections.abc import Iterator

from orchestrator.security.model import Base, Declared, Finding, Kind, Severity
from orchestrator.security.plan.answer import Seen, Unit
from orchestrator.security.plan.owners import has, is_declared

_HEALTH = re.compile(r"[0-9a-f]{64}(-[0-9a-f]+)?\.(timer|service)")
_TRANSIENT = "/run/systemd/transient/"
_WORD = (".service", ".socket", ".timer", ".path", ".mount", ".automount", ".swap", ".target")


def units(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give files of units that are not the running system's, loaded or not."""
    told: set[str] = set()
    for path, link in seen.pairs("unit-file"):
        if path in base.paths or _is_own(seen, base, path, link) or path.startswith(_TRANSIENT):
            continue
        told.add(path)
        yield _file(path)
    for unit in seen.units.values():
        if unit.name.endswith((".scope", ".slice")):
            continue  # They hold processes, and run none.
        if unit.transient:
            yield _transient(unit, declared)
        elif not is_declared(seen, base, unit) and unit.fragment not in told:
            told.add(unit.fragment)
            yield _file(unit.fragment)
        for path in unit.drop_ins:
            if path in told or _is_drop_in(seen, base, path) or unit.transient:
                continue
            told.add(path)
            yield _file(path)


def _is_own(seen: Seen, base: Base, path: str, link: str) -> bool:
    """Whether a file of a folder of units is the link that the system's own has there."""
    inside = path.removeprefix("/etc/systemd/system/")
    if path.startswith("/etc/systemd/user/"):
        return link == f"/etc/static{path.removeprefix('/etc')}" or has(seen, base, link)
    if link == f"/etc/static{path.removeprefix('/etc')}":
        return inside in seen.texts("own-unit")
    return inside in seen.texts("own-unit") and has(seen, base, link)


def _is_drop_in(seen: Seen, base: Base, path: str) -> bool:
    own = path.removeprefix("/etc/systemd/system/") in seen.texts("own-unit")
    made = path.startswith(("/run/systemd/generator", _TRANSIENT))
    return own or made or has(seen, base, path)


def _file(path: str) -> Finding:
    name = path.rsplit("/", 1)[-1]
    timer = name.endswith(".timer")
    control = "/system.control/" in path
    return Finding(
        Kind.TIMER if timer else Kind.UNIT,
        path,
        "no such unit" if name.endswith(_WORD) else "no such file of a unit",
        "a file that the running system does not have",
        Severity.LOW if control else Severity.HIGH,
        f"read it: systemctl cat {name}" if name.endswith(_WORD) else f"read it: cat {path}",
    )


def _transient(unit: Unit, declared: Declared) -> Finding:
    timer = unit.name.endswith(".timer")
    # Podman has such for its checks of containers' health.
    asks = declared.engines != () and _HEALTH.fullmatch(unit.name)
    return Finding(
        Kind.TIMER if timer else Kind.UNIT,
        unit.name,
        "no such unit",
        f"a transient unit, {unit.active}: systemd-run makes such",
        Severity.LOW if timer and not asks else Severity.NOTE,
        f"see what it is: systemctl cat {unit.name}",
    )


def tables(seen: Seen, base: Base, declared: Declared) -> Iterator[Finding]:
    """Give tables of cron's and jobs of at's."""
    for owner, path in seen.pairs("cron"):
        if path in base.paths:
            continue
        own = declared.cron is True and owner != "root"
        yield Finding(
            Kind.CRON,
            path,
            "no such table",
            f"what runs at times, of {owner}",
            Severity.NOTE if own else Severity.MODERATE,
            "if it is meant, declare a timer: systemd.timers; else remove the file",
        )
