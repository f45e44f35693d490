"""What a deployment changed on a host, for a person: packages, units, size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package whose paths differ; a version is empty where the name has none.

    Attributes:
        package: The name, as Nix splits it from its version.
        before: Versions there before, sorted; empty where the package is new.
        after: Versions there afterwards; empty where it goes.
    """

    package: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClosureChange:
    """What differs between two systems' closures.

    Attributes:
        packages: Those that came, went or changed their version, the most important first.
        rebuilt: How many packages have the same version at another path.
        size: By how many bytes the closure grew, as archives; ``None`` where that is not known.
    """

    packages: tuple[PackageChange, ...] = ()
    rebuilt: int = 0
    size: int | None = None


@dataclass(frozen=True, slots=True)
class UnitChanges:
    """What an activation said that it did with units, by their names."""

    restarted: tuple[str, ...] = ()
    reloaded: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    stopped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemChange:
    """What a deployment changed, as far as that is known.

    Attributes:
        closure: ``None`` where the two closures could not be compared.
        units: ``None`` where nothing was activated, or not all that was said was read.
    """

    closure: ClosureChange | None = None
    units: UnitChanges | None = None
