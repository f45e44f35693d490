"""Which units an activation stops, starts, restarts and reloads, by two systems' unit files.

The rules are those of NixOS's ``switch-to-configuration``:
https://github.com/NixOS/nixpkgs/blob/master/pkgs/by-name/sw/switch-to-configuration-ng/src/main.rs
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from string import ascii_letters, digits

from orchestrator.core.changed import ForeseenUnits, UnitChanges
from orchestrator.core.contents import ActiveUnit, Contents
from orchestrator.deploy.plan.unit_files import Section, UnitFiles, is_set, template_of

IGNORED = frozenset(
    {
        *("Description", "Documentation", "OnFailure", "OnSuccess", "OnFailureJobMode"),
        *("IgnoreOnIsolate", "StopWhenUnneeded", "RefuseManualStart", "RefuseManualStop"),
        *("AllowIsolate", "CollectMode", "SourcePath"),
    }
)
"""Keys of ``[Unit]`` that say nothing of a unit that runs."""

_PLAIN = f"{ascii_letters}{digits}:_."
_NOT_DIRECTLY = frozenset(
    {"sysinit.target", "basic.target", "multi-user.target", "graphical.target"}
)
_SLEEP = frozenset({"suspend.target", "hibernate.target", "hybrid-sleep.target"})
_RUNS = frozenset({"active", "activating"})
SETTINGS = "systemd/system.conf"
"""Below ``/etc``: where it is another one, systemd is executed again."""
FOLDER = "/etc/systemd/system/"
"""Units that come from elsewhere, such as a generator, are none of NixOS's to switch."""


class Difference(IntEnum):
    """What the difference of a unit's files asks for, the least first."""

    NONE = 0
    RELOAD = 1
    RESTART = 2


def compare(before: Mapping[str, Section], after: Mapping[str, Section]) -> Difference:
    """Compare a unit's sections with those that it will have."""
    for name in before.keys() ^ after.keys():
        keys = {*before.get(name, ()), *after.get(name, ())}
        if name != "Unit" and (name, keys) != ("Service", {"ExecReload"}):
            return Difference.RESTART
    if len(after.keys() - before.keys()) > 1:
        return Difference.RESTART
    asked = Difference.NONE
    for section in before.keys() | after.keys():
        was, will = before.get(section, {}), after.get(section, {})
        for key in was.keys() | will.keys():
            if was.get(key) != will.get(key):
                asked = max(asked, _asks(section, key, was.get(key), will.get(key)))
    return asked


def _asks(
    section: str, key: str, was: Sequence[str] | None, will: Sequence[str] | None
) -> Difference:
    """What one key asks for that differs; ``None`` where a side has none of it."""
    match section, key:
        case ("Unit", "X-Reload-Triggers") | ("Service", "ExecReload"):
            # What is taken away changes nothing of what runs, and is not there to reload by.
            return Difference.NONE if will is None else Difference.RELOAD
        case "Unit", _ if key in IGNORED:
            return Difference.NONE
        case "Mount", "Options" if was is not None and will is not None:
            return Difference.RELOAD
        case _:
            return Difference.RESTART


@dataclass(slots=True)
class _Orders:
    """What was decided so far."""

    stop: set[str] = field(default_factory=set)
    start: set[str] = field(default_factory=set)
    restart: set[str] = field(default_factory=set)
    reload: set[str] = field(default_factory=set)
    keep: set[str] = field(default_factory=set)


def foresee(before: Contents, after: Contents, active: Mapping[str, ActiveUnit]) -> ForeseenUnits:
    """Find what a switch from one system to another does with units.

    Args:
        before: The system that runs.
        after: The other one.
        active: All units that are not inactive.
    """
    old, new, orders = UnitFiles(before.units), UnitFiles(after.units), _Orders()
    running = {name for name, one in active.items() if one.state in _RUNS}
    for unit in sorted(running):
        if active[unit].fragment.startswith(FOLDER):
            _unit(unit, old, new, active, orders)
    _file_systems(before.fstab, after.fstab, orders)
    # A target is started again, and with it all that it wants and that does not run.
    targets = {unit for unit in running if unit.endswith(".target")} - orders.stop
    started = _started(old, new, targets, active) - orders.stop
    return ForeseenUnits(
        changes=UnitChanges(
            restarted=_sorted(orders.restart | (orders.stop & orders.start)),
            reloaded=_sorted(orders.reload - orders.restart - orders.stop),
            started=_sorted((orders.start - orders.stop) | started),
            stopped=_sorted(orders.stop - orders.start - orders.restart),
        ),
        kept=_sorted(orders.keep),
        systemd=before.parts.get("systemd") != after.parts.get("systemd")
        or before.etc.get(SETTINGS) != after.etc.get(SETTINGS),
    )


def _sorted(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(names))


def _started(
    before: UnitFiles, after: UnitFiles, targets: set[str], active: Mapping[str, ActiveUnit]
) -> set[str]:
    """Units that targets have started: what is new, newly wanted, or failed, and runs on then.

    What was wanted before and is inactive has ended by itself, or its conditions do not hold.
    """
    old, found = before.wanted(targets), set()
    for unit in after.wanted(targets):
        idle = unit not in active and not (unit in old and before.can_start(unit))
        failed = unit in active and active[unit].state == "failed"
        if (idle or failed) and after.can_start(unit) and not after.ends_at_once(unit):
            found.add(unit)
    return found


def _unit(
    unit: str,
    before: UnitFiles,
    after: UnitFiles,
    active: Mapping[str, ActiveUnit],
    orders: _Orders,
) -> None:
    """Decide on one unit that runs."""
    template = not (before.is_there(unit) or after.is_there(unit))
    base = template_of(unit) if template else unit
    if not before.is_there(base):
        return
    dropped = template and before.overrides(unit) and not after.overrides(unit)
    was = before.sections(unit, base)
    if dropped or not after.has(base):
        if is_set(was, "Unit", "X-StopOnRemoval", default=True):
            orders.stop.add(unit)
        return
    will = after.sections(unit, base)
    if unit.endswith(".target"):
        if is_set(will, "Unit", "X-StopOnReconfiguration") and not _restarts(unit, will):
            orders.stop.add(unit)
        return
    match compare(was, will):
        case Difference.RESTART:
            _modified(unit, base, will, after, active, orders)
        case Difference.RELOAD if unit not in orders.restart:
            orders.reload.add(unit)
        case _:
            pass


def _restarts(target: str, will: Mapping[str, Section]) -> bool:
    """Whether an active target is started again, whatever became of it: nobody is told of that."""
    by_hand = ("RefuseManualStart", "X-OnlyManualStart")
    return target not in _SLEEP and not any(is_set(will, "Unit", key) for key in by_hand)


def _modified(
    unit: str,
    base: str,
    will: Mapping[str, Section],
    after: UnitFiles,
    active: Mapping[str, ActiveUnit],
    orders: _Orders,
) -> None:
    """Decide on a unit that runs and needs more than a reload."""
    kind = unit.rpartition(".")[2]
    if unit in _NOT_DIRECTLY or kind in ("path", "slice", "socket"):
        return
    if kind == "mount":
        (orders.reload if unit in ("-.mount", "nix.mount") else orders.restart).add(unit)
    elif is_set(will, "Service", "X-ReloadIfChanged") and unit not in orders.restart | orders.stop:
        orders.reload.add(unit)
    elif (
        not is_set(will, "Service", "X-RestartIfChanged", default=True)
        or is_set(will, "Unit", "RefuseManualStop")
        or is_set(will, "Unit", "X-OnlyManualStart")
    ):
        orders.keep.add(unit)
    elif kind != "service" or not is_set(will, "Service", "X-StopIfChanged", default=True):
        orders.restart.add(unit)
    else:
        orders.stop.add(unit)
        if not _by_sockets(base, will, after, active, orders):
            orders.start.add(unit)


def _by_sockets(
    base: str,
    will: Mapping[str, Section],
    after: UnitFiles,
    active: Mapping[str, ActiveUnit],
    orders: _Orders,
) -> bool:
    """Stop and start a service's sockets, and say whether they are what starts it again."""
    named = " ".join(will.get("Service", {}).get("Sockets", ())).split()
    activated = False
    for socket in named or [f"{base.removesuffix('.service').removesuffix('@')}.socket"]:
        there = after.is_there(socket)
        if socket in active:
            orders.stop.add(socket)
        if socket in active and there:
            orders.start.add(socket)
        activated |= there
    return activated and not is_set(will, "Service", "X-NotSocketActivated")


def _file_systems(before: Iterable[str], after: Iterable[str], orders: _Orders) -> None:
    """Decide on what ``/etc/fstab`` no longer mounts, or mounts otherwise; swap is not told."""
    will = dict(map(_mount, filter(None, map(_fields, after))))
    for place, (device, kind, options) in map(_mount, filter(None, map(_fields, before))):
        unit = f"{_escaped(place)}.mount"
        if place not in will:
            automount = "x-systemd.automount" in options
            orders.stop.add(f"{_escaped(place)}.automount" if automount else unit)
        elif (device, kind) == will[place][:2]:
            if options != will[place][2]:
                orders.reload.add(unit)
        elif place not in ("/", "/nix"):
            orders.restart.add(unit)
        elif options != will[place][2]:
            orders.reload.add(unit)
        else:
            orders.keep.add(unit)


def _fields(line: str) -> list[str] | None:
    """Split a line of fstab(5); ``None`` for a comment, for swap, and for what is none."""
    fields = [] if "#" in line else line.split()
    return fields if len(fields) > 2 and fields[2] != "swap" else None


def _mount(fields: list[str]) -> tuple[str, tuple[str, str, str]]:
    return fields[1], (fields[0], fields[2], "".join(fields[3:4]))


def _escaped(path: str) -> str:
    """Name the unit of a mount point as ``systemd-escape --path`` does."""
    plain = "/".join(filter(None, path.split("/")))
    kept = "".join(
        chr(one) if chr(one) in _PLAIN else "-" if one == ord("/") else rf"\x{one:02x}"
        for one in plain.encode()
    )
    return rf"\x2e{kept[1:]}" if kept.startswith(".") else kept or "-"
