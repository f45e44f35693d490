"""What differs between what a host runs and what it should run."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.core.host import Host
from orchestrator.core.state import HostState
from orchestrator.core.store import OutPath


@dataclass(frozen=True, slots=True)
class Change:
    """A package whose paths differ; a version is empty where the name has none.

    Attributes:
        before: Versions there now, sorted; empty where the package is new.
        after: Versions there would be; empty where it goes.
    """

    package: str
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HostDiff:
    """A host's system against the one wanted."""

    host: Host
    state: HostState
    wanted: OutPath
    changes: tuple[Change, ...]
