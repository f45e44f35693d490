"""What a deployment changed on a host, or would, for a person: packages, units, size."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct


class PackageChange(Struct, frozen=True):
    """A package whose paths differ; a version is empty where the name has none.

    Attributes:
        package: The name, as Nix splits it from its version.
        before: Versions there before, sorted; empty where the package is new.
        after: Versions there afterwards; empty where it goes.
    """

    package: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class ClosureChange(Struct, frozen=True):
    """What differs between two systems' closures.

    Attributes:
        packages: Those that came, went or changed their version, the most important first.
        rebuilt: How many packages have the same version at another path.
        size: By how many bytes the closure grew, as archives; ``None`` where that is not known.
    """

    packages: tuple[PackageChange, ...] = ()
    rebuilt: int = 0
    size: int | None = None


class UnitChanges(Struct, frozen=True):
    """What an activation said that it did with units, by their names."""

    restarted: tuple[str, ...] = ()
    reloaded: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


class SystemChange(Struct, frozen=True):
    """What a deployment changed, as far as that is known.

    Attributes:
        closure: ``None`` where the two closures could not be compared.
        units: ``None`` where nothing was activated, or not all that was said was read.
    """

    closure: ClosureChange | None = None
    units: UnitChanges | None = None


# What follows is a plan's alone, and no deployment is to wait for it: dataclasses are made slower.
class UnitSource(Enum):
    """Who says what becomes of a host's units."""

    DRY_ACTIVATE = "dry-activate"
    UNIT_FILES = "unit-files"


class ForeseenUnits(Struct, frozen=True):
    """What an activation would do with units.

    Attributes:
        changes: In the words of an activation that was.
        kept: Units that changed and run on as they are: ``restartIfChanged = false`` and the like.
        source: Who says so; of units that are new, the unit files always do.
        systemd: Whether systemd itself would be executed again.
    """

    changes: UnitChanges
    kept: tuple[str, ...] = ()
    source: UnitSource = UnitSource.UNIT_FILES
    systemd: bool = False


class NamesChange(Struct, frozen=True):
    """Names that differ between two systems, each sorted."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()


class Note(Struct, frozen=True):
    """What one part of the tool says of a plan, under a heading of its own, such as ``risk``."""

    topic: str
    text: str


class Foreseen(Struct, frozen=True):
    """What a plan knows of a change before it is made. What it does not know is ``None``.

    Attributes:
        size: Of the whole closure, in bytes, as archives.
        budget: What that may be, in bytes; ``None`` where the inventory sets no limit.
        copy_size: Of what the host lacks of it, in bytes, as archives.
        copy_paths: How many paths that is.
        units: What becomes of units now.
        users: Accounts that are declared; what changes of one is named behind it.
        groups: Likewise.
        etc: Files below ``/etc``, without units.
        secrets: Encrypted files in the closure, by their names.
        reboot: What takes effect at the next boot only; nothing where no boot is needed.
        live: Whether NixOS switches to it live; a component that keeps it from that is in
            ``reboot``.
        notes: What else is said, in order.
        unknown: What is not known, and why, in words.
    """

    size: int | None = None
    budget: int | None = None
    copy_size: int | None = None
    copy_paths: int | None = None
    units: ForeseenUnits | None = None
    users: NamesChange | None = None
    groups: NamesChange | None = None
    etc: NamesChange | None = None
    secrets: NamesChange | None = None
    reboot: tuple[str, ...] | None = None
    live: bool = True
    notes: tuple[Note, ...] = ()
    unknown: tuple[str, ...] = ()
