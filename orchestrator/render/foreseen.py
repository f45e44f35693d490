"""What a plan knows of a change: a block for each host, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.core.changed import (
    ClosureChange,
    Foreseen,
    ForeseenUnits,
    NamesChange,
    PackageChange,
    UnitSource,
)
from orchestrator.core.outcome import Deployed
from orchestrator.core.run import HostResult, Report
from orchestrator.core.stored import plain
from orchestrator.core.units import size_text
from orchestrator.render.output import Colour, Output, clean, cut

SHOWN = 8
"""Names of one kind in a block; ``-v`` and ``--json`` have them all."""

LISTED = 2000
"""Names of one kind, and packages, in JSON."""

_LONGEST = 200
"""Characters of a name."""

_SOURCES = {
    UnitSource.DRY_ACTIVATE: "by dry-activate",
    UnitSource.UNIT_FILES: "computed from the unit files",
}


def foreseen_json(foreseen: Foreseen) -> dict[str, object]:
    """Say it for a script; the keys are always there, ``null`` where that is not known."""
    units = foreseen.units
    return {
        "closure_size": foreseen.size,
        "closure_budget": foreseen.budget,
        "copy": None
        if foreseen.copy_size is None
        else {"size": foreseen.copy_size, "paths": foreseen.copy_paths},
        "units": units
        and {
            **{key: names[:LISTED] for key, names in plain(units.changes).items()},
            "kept": list(units.kept[:LISTED]),
            "systemd": units.systemd,
            "source": units.source.value,
        },
        "users": _names_json(foreseen.users),
        "groups": _names_json(foreseen.groups),
        "etc": _names_json(foreseen.etc),
        "secrets": _names_json(foreseen.secrets),
        "reboot": None if foreseen.reboot is None else list(foreseen.reboot),
        "live": foreseen.live,
        "notes": [plain(note) for note in foreseen.notes],
        "unknown": list(foreseen.unknown),
    }


def _names_json(names: NamesChange | None) -> dict[str, list[str]] | None:
    if names is None:
        return None
    return {key: found[:LISTED] for key, found in plain(names).items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a block: what it is about, a sign, and the names.

    Attributes:
        topic: Such as ``units``.
        sign: ``+``, ``-`` or ``~``, a verb such as ``restart``, or nothing.
        names: What is listed; one of them for a sentence.
        colour: Of the sign.
        own: Whether it is the tool's own sentence: nothing in it comes from a host or a file.
    """

    topic: str
    sign: str
    names: tuple[str, ...]
    colour: Colour | None = None
    own: bool = False


def rows(closure: ClosureChange | None, foreseen: Foreseen) -> Iterator[Row]:
    """Say what is known of a change, line by line."""
    if size := _sizes(closure, foreseen):
        yield _sentence("size", size)
    if closure is not None:
        yield from _packages(closure)
    yield from _units(foreseen.units)
    yield from _names("users", foreseen.users)
    yield from _names("groups", foreseen.groups)
    yield from _names("/etc", foreseen.etc)
    yield from _names("secrets", foreseen.secrets)
    if foreseen.reboot:
        what = "needed" if foreseen.live else "needed, as NixOS does not switch to it live"
        yield Row("reboot", f"{what}:", foreseen.reboot, Colour.WARN)
    elif foreseen.reboot is not None:
        yield _sentence("reboot", "not needed")
    for note in foreseen.notes:
        yield Row(note.topic, "", (note.text,))
    for text in foreseen.unknown:
        yield Row("unknown", "", (text,), Colour.WARN)


def _sentence(topic: str, text: str) -> Row:
    return Row(topic, "", (text,), own=True)


def _sizes(closure: ClosureChange | None, foreseen: Foreseen) -> str:
    said = []
    if foreseen.copy_size is not None:
        count = foreseen.copy_paths or 0
        paths = f"{count} path{'s'[: count != 1]}"
        copied = f"{size_text(foreseen.copy_size)} to copy ({paths})"
        said.append(copied if count else "nothing to copy")
    if foreseen.size is not None:
        said.append(f"closure {size_text(foreseen.size)}")
    if closure is not None and closure.size:
        sign = "+" if closure.size > 0 else "-"
        said.append(f"{sign}{size_text(abs(closure.size))}")
    if foreseen.budget is not None:
        over = foreseen.size is not None and foreseen.size > foreseen.budget
        said.append(f"{'OVER ' if over else ''}budget {size_text(foreseen.budget)}")
    return ", ".join(said)


def _packages(closure: ClosureChange) -> Iterator[Row]:
    came = tuple(one for one in closure.packages if not one.before)
    gone = tuple(one for one in closure.packages if not one.after)
    other = tuple(one for one in closure.packages if one.before and one.after)
    yield from _row("packages", "~", map(_change, other), Colour.WARN)
    yield from _row("packages", "+", (_version(one, one.after) for one in came), Colour.GOOD)
    yield from _row("packages", "-", (_version(one, one.before) for one in gone), Colour.BAD)
    if closure.rebuilt:
        yield _sentence("packages", f"{closure.rebuilt} rebuilt")
    elif not closure.packages:
        yield _sentence("packages", "the same")


def _version(change: PackageChange, versions: Sequence[str]) -> str:
    return f"{change.package} {', '.join(filter(None, versions))}".strip()


def _change(change: PackageChange) -> str:
    before, after = (", ".join(filter(None, one)) for one in (change.before, change.after))
    return f"{change.package} {before or '(no version)'} → {after or '(no version)'}"


def _units(units: ForeseenUnits | None) -> Iterator[Row]:
    if units is None:
        return
    changes = units.changes
    yield from _row("units", "stop", changes.stopped, Colour.BAD)
    yield from _row("units", "restart", changes.restarted, Colour.WARN)
    yield from _row("units", "reload", changes.reloaded, Colour.WARN)
    yield from _row("units", "start", changes.started, Colour.GOOD)
    yield from _row("units", "changed, not restarted:", units.kept)
    if units.systemd:
        yield _sentence("units", "systemd itself is executed again")
    nothing = changes == type(changes)() and not (units.kept or units.systemd)
    yield _sentence("units", f"{'none; ' if nothing else ''}{_SOURCES[units.source]}")


def _names(topic: str, names: NamesChange | None) -> Iterator[Row]:
    if names is None:
        return
    yield from _row(topic, "+", names.added, Colour.GOOD)
    yield from _row(topic, "-", names.removed, Colour.BAD)
    yield from _row(topic, "~", names.changed, Colour.WARN)


def _row(
    topic: str, sign: str, names: Iterable[str], colour: Colour | None = None
) -> Iterator[Row]:
    if found := tuple(names):
        yield Row(topic, sign, found, colour)


Groups = list[tuple[list[str], HostResult]]


def groups(report: Report) -> Groups:
    """Put hosts together of which a plan says the same: many equal machines are one block."""
    found: dict[object, tuple[list[str], HostResult]] = {}
    for name, result in report.hosts.items():
        outcome = result.outcome
        if isinstance(outcome, Deployed) and outcome.foreseen is not None:
            key = (outcome.goal, outcome.foreseen, outcome.changed)
            found.setdefault(key, ([], result))[0].append(name)
    return list(found.values())


def draw(report: Report, output: Output, *, verbose: bool = False) -> None:
    """Write a block for each host that would change; equal ones once."""
    for names, result in groups(report):
        outcome = result.outcome
        assert isinstance(outcome, Deployed)
        assert outcome.foreseen is not None
        would = f"{listed(names, verbose=verbose)}: would {outcome.goal.value}"
        output.line(output.paint(would, Colour.STRONG))
        closure = outcome.changed.closure if outcome.changed else None
        draw_rows(rows(closure, outcome.foreseen), output, verbose=verbose)
        output.line()


def draw_rows(told: Iterable[Row], output: Output, *, verbose: bool = False) -> None:
    """Write lines of a block; a topic is named once."""
    before = ""
    for row in told:
        topic = "" if row.topic == before else row.topic
        before = row.topic
        sign = f"{row.sign} " if row.sign else ""
        painted = output.paint(sign, row.colour) if row.colour else sign
        heading = output.paint(f"  {clean(topic):<9}", Colour.FAINT)
        output.line(f"{heading} {painted}{listed(row.names, verbose=verbose)}")


def listed(names: Sequence[str], *, verbose: bool = False) -> str:
    """Name a few things made harmless, and say how many there are beyond them."""
    most = len(names) if verbose else SHOWN
    shown = ", ".join(cut(clean(name), _LONGEST) for name in names[:most])
    more = len(names) - most
    return f"{shown}, … and {more} more" if more > 0 else shown
