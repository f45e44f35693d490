"""What a system consists of, and what of it runs, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Units:
    """Unit files of a system, by their paths below ``/etc/systemd/system``.

    Attributes:
        texts: Of each file its lines: a unit's, or a drop-in's, such as ``a.service.d/b.conf``.
        links: Of all that is no folder where it leads to; empty for a file.
    """

    texts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a system consists of, as far as a person sees it change.

    Attributes:
        etc: Files below ``/etc`` but for units: of each what tells whether it is another one.
        units: Its units.
        fstab: Lines of ``/etc/fstab``.
        users: Accounts that it declares: of each a digest of every setting. ``None`` where the
            system has no list of them.
        groups: Likewise.
        parts: What counts from its boot on.
        components: What is not to change live, by name.
    """

    etc: Mapping[str, str]
    units: Units
    fstab: tuple[str, ...] = ()
    users: Mapping[str, Mapping[str, str]] | None = None
    groups: Mapping[str, Mapping[str, str]] | None = None
    parts: Mapping[str, str] = field(default_factory=dict)
    components: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ActiveUnit:
    """A unit that systemd has loaded: its state, and the file that it comes from."""

    state: str
    fragment: str


@dataclass(frozen=True, slots=True)
class HostContents:
    """A host's answer.

    Attributes:
        running: Of the system that runs.
        booted: What of the system that was booted counts from a boot on.
        active: Units that are not inactive, by name; ``None`` where systemd did not say.
        other: Of another system, where that was asked and is there.
    """

    running: Contents
    booted: Mapping[str, str]
    active: Mapping[str, ActiveUnit] | None
    other: Contents | None = None
