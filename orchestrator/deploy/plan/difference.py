"""What differs between two closures, which of it matters, and how a person reads it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from orchestrator.core.changed import (
    ClosureChange,
    ForeseenUnits,
    PackageChange,
    SystemChange,
    UnitChanges,
    UnitSource,
)
from orchestrator.core.store import OutPath, without_output
from orchestrator.core.units import bytes_text, split_lines

# What NixOS makes of a configuration is no package, though its name may end in a number.
_MADE = re.compile(r"(?:nixos-system|unit|initrd)-")

NAMED = 3
"""So many packages are named in a sentence."""

_LONGEST = 40
"""Characters of a name or a version in a sentence."""


def diff(before: Iterable[OutPath], after: Iterable[OutPath]) -> tuple[PackageChange, ...]:
    """Compare two closures by package; a package with the same paths in both is left out."""
    there, wanted = set(before), set(after)
    old, new = _versions(there - wanted), _versions(wanted - there)
    return tuple(
        PackageChange(name, tuple(sorted(old.get(name, ()))), tuple(sorted(new.get(name, ()))))
        for name in sorted(old.keys() | new.keys())
    )


def _versions(paths: Iterable[OutPath]) -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for path in paths:
        name, version = path.package
        versions.setdefault(name, []).append(version)
    return versions


def summary(
    gone: Iterable[OutPath],
    new: Iterable[OutPath],
    direct: Collection[OutPath],
    size: int | None,
) -> ClosureChange:
    """Sum up what differs, the most important first.

    What a person chose goes before what came with it; a version that changed before what is new or
    gone; then by name.

    Args:
        gone: Paths of the old closure alone.
        new: Paths of the new one alone.
        direct: Those of either that its system names itself: its packages, what changed units run.
        size: By how many bytes the closure grew.
    """
    chosen = {path.package[0] for path in direct}
    told, rebuilt = [], 0
    for change in map(_without_outputs, diff(gone, new)):
        if not any(change.before + change.after) or _MADE.match(change.package):
            continue
        if change.before == change.after:
            rebuilt += 1
        else:
            told.append(change)
    told.sort(key=lambda one: (one.package not in chosen, not (one.before and one.after)))
    return ClosureChange(tuple(told), rebuilt, size)


def _without_outputs(change: PackageChange) -> PackageChange:
    before, after = (
        tuple(sorted({without_output(version) for version in versions}))
        for versions in (change.before, change.after)
    )
    return PackageChange(change.package, before, after)


# NixOS parts names with a comma, and says `stopping` and `starting` of most units that it restarts.
_UNIT = r"[A-Za-z0-9:_.\\@-]{1,256}\.[a-z]{1,16}"
_DID = re.compile(
    r"(?:(?P<verb>stopping|restarting|reloading|starting) the following units"
    rf"|the following new units were (?P<new>started)): *(?P<names>{_UNIT}(?:,? {_UNIT})*)"
)
_ACTIVATION_ENDS = "warning: the following units failed: "
_MOST_UNITS = 10_000


def units_of(said: str) -> UnitChanges:
    """Read which units ``switch-to-configuration`` said it restarted and so on.

    What follows its list of failed units are the units' own words.
    """
    did: dict[str, set[str]] = {}
    for line in split_lines(said):
        if line.startswith(_ACTIVATION_ENDS):
            break
        if (found := _DID.fullmatch(line.rstrip())) is not None:
            names = re.split(r",? ", found["names"])
            did.setdefault(found["verb"] or "starting", set()).update(names[:_MOST_UNITS])
    stopped, started = did.get("stopping", set()), did.get("starting", set())
    return UnitChanges(
        restarted=_sorted(did.get("restarting", set()) | (stopped & started)),
        reloaded=_sorted(did.get("reloading", set())),
        started=_sorted(started - stopped),
        stopped=_sorted(stopped - started),
    )


_WOULD = re.compile(
    r"would (?P<verb>stop|NOT stop|restart|reload|start) the following (?:changed )?units: *"
    rf"(?P<names>{_UNIT}(?:,? {_UNIT})*)"
)


def units_foretold(said: str) -> ForeseenUnits:
    """Read which units ``switch-to-configuration dry-activate`` said it would restart and so on."""
    would: dict[str, set[str]] = {}
    lines = split_lines(said)
    for line in lines:
        if (found := _WOULD.fullmatch(line.rstrip())) is not None:
            names = re.split(r",? ", found["names"])
            would.setdefault(found["verb"], set()).update(names[:_MOST_UNITS])
    stop, start = would.get("stop", set()), would.get("start", set())
    changes = UnitChanges(
        restarted=_sorted(would.get("restart", set()) | (stop & start)),
        reloaded=_sorted(would.get("reload", set())),
        started=_sorted(start - stop),
        stopped=_sorted(stop - start),
    )
    return ForeseenUnits(
        changes,
        kept=_sorted(would.get("NOT stop", set())),
        source=UnitSource.DRY_ACTIVATE,
        systemd="would restart systemd" in lines,
    )


def _sorted(names: set[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def in_words(change: SystemChange) -> str:
    """Say what changed: ``nginx 1.26 → 1.28, 3 units restarted, closure +12 MB``.

    Returns:
        Nothing where nothing is known.
    """
    parts = []
    if change.closure is not None:
        parts.append(_packages(change.closure))
    if change.units is not None:
        parts += _units(change.units)
    if change.closure is not None and change.closure.size:
        sign = "+" if change.closure.size > 0 else "-"
        parts.append(f"closure {sign}{bytes_text(abs(change.closure.size))}")
    return ", ".join(parts)


def _packages(closure: ClosureChange) -> str:
    if not closure.packages:
        rebuilt = closure.rebuilt
        return f"{_count(rebuilt, 'package')} rebuilt" if rebuilt else "same packages"
    named = ", ".join(map(package_in_words, closure.packages[:NAMED]))
    more = len(closure.packages) - NAMED
    return f"{named} and {_count(more, 'more package')}" if more > 0 else named


def package_in_words(change: PackageChange) -> str:
    """Say how one package changed: ``nginx 1.26 → 1.28``, ``hello 2.12 added``."""
    name, before, after = _cut(change.package), _listed(change.before), _listed(change.after)
    if not change.before:
        return f"{name} {after} added"
    return f"{name} {before} → {after}" if change.after else f"{name} {before} removed"


def _listed(versions: tuple[str, ...]) -> str:
    shown = [_cut(version) for version in versions[:2] if version]
    return " and ".join(shown) + ("…" if len(versions) > len(shown) else "")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _units(units: UnitChanges) -> list[str]:
    """Say how many; ``unit`` is said once."""
    counts = (
        ("restarted", units.restarted),
        ("reloaded", units.reloaded),
        ("started", units.started),
        ("stopped", units.stopped),
    )
    said = [(len(names), did) for did, names in counts if names]
    return [
        f"{_count(count, 'unit')} {did}" if at == 0 else f"{count} {did}"
        for at, (count, did) in enumerate(said)
    ]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s'[: number != 1]}"
