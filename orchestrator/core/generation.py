"""The systems that are on a host, and which of them it may go back to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field

from orchestrator.core.state import Attempt, HostState
from orchestrator.core.store import OutPath, Specialised
from orchestrator.core.stored import kebab


class Generation(Struct, frozen=True):
    """One generation of a host's system profile.

    Attributes:
        number: The profile's; a host that is deployed anew to an old system may have two of it.
        made: When the profile was set to it, by the host's clock; ``None`` where it does not say.
        system: ``None`` where it is no path of the store.
        version: The NixOS version, such as ``25.05.20250601.abcdef1``.
    """

    number: int
    made: datetime | None
    system: OutPath | None
    version: str | None = None


class HostSystems(Struct, frozen=True):
    """The systems that a host knows of.

    Attributes:
        state: What runs, boots and is the profile; and the last attempt to change it.
        generations: Newest first.
        committed: The last attempt that was committed.
        gone: Of all of these systems, those whose files are on the host no more.
        specialisations: Of a specialisation's path of which systems it is one, the newest first.
    """

    state: HostState
    generations: tuple[Generation, ...] = ()
    committed: Attempt | None = None
    gone: frozenset[OutPath] = frozenset()
    specialisations: Mapping[OutPath, tuple[Specialised, ...]] = field(default_factory=dict)

    @property
    def last(self) -> Attempt | None:
        """The last attempt, as far as the host knows of one."""
        return self.state.attempt or self.committed

    def number_of(self, system: OutPath) -> int | None:
        """The newest generation that is this system."""
        numbers = (each.number for each in self.generations if each.system == system)
        return next(numbers, None)

    def named(self, path: OutPath, profile: OutPath | None = None) -> tuple[OutPath, str]:
        """Of which system a path is a specialisation, and its name; else itself, and no name.

        Args:
            path: What a host ran.
            profile: Its profile then: several generations may have the same specialisation.
        """
        variants = self.specialisations.get(path, ())
        of_profile = (one for one in variants if one.system == profile)
        found = next(of_profile, variants[0] if variants else None)
        return (path, "") if found is None else (found.system, found.name)

    def came_from(self, attempt: Attempt) -> OutPath | None:
        """The system that an attempt led away from; ``None`` where that is not known.

        One that set what boots, and did not change what runs, led away from what booted, where a
        specialisation of its target ran already.
        """
        before = attempt.before
        variants = self.specialisations.get(before.running, ()) if before.running else ()
        staged = not attempt.goal.activates and attempt.target in (one.system for one in variants)
        return before.boot_default if staged and before.boot_default else attempt.came_from

    def before(self, path: OutPath) -> OutPath | None:
        """The profile that a host had when it ran ``path``, as far as its records say."""
        for attempt in (self.last, self.committed):
            if attempt is not None and attempt.before.running == path:
                return attempt.before.profile
        return None


class _WayBack(Struct, frozen=True, tag_field="to", tag=kebab):
    """In files, the name of the class tells which way it is."""


class BeforeLast(_WayBack, frozen=True):
    """Back to what the host ran before its last deployment."""


class ToGeneration(_WayBack, frozen=True):
    """Back to a generation of the system profile."""

    number: int


class ToSystem(_WayBack, frozen=True):
    """Back to a system by its path."""

    system: OutPath


class BeforeRun(_WayBack, frozen=True):
    """Back to what hosts ran before a run of this machine's.

    Attributes:
        run: Its number.
        who: ``user@machine`` of who ran it: other machines have runs of that number, too.
        systems: What each host ran then, where the history says so; else the host may.
    """

    run: int
    who: str
    systems: Mapping[str, OutPath]


WayBack = BeforeLast | ToGeneration | ToSystem | BeforeRun
