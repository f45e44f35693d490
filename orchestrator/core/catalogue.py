"""What a fleet's hosts can have: features and tiers, as its inventory declares them."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.core.risk import Risk


class Needs(Struct, frozen=True):
    """What a machine must have; what is ``None`` or empty is not asked for.

    Attributes:
        memory: Bytes of memory, an estimate.
        cpus: Logical CPUs.
        disk: Bytes of the largest disk, an estimate.
        gpu: A vendor of one, such as ``nvidia``; ``any`` for whichever.
        capability: Short names of what the machine can do, such as ``kvm``.
    """

    memory: int | None = None
    cpus: int | None = None
    disk: int | None = None
    gpu: str | None = None
    capability: tuple[str, ...] = ()


class Feature(Struct, frozen=True):
    """A single ability, as the catalogue declares it.

    Attributes:
        requires: Features that come with it.
        conflicts: Features that no host can have beside it; it holds for both of them.
        one_of: The group of which a host has one at the most, such as ``desktop``.
        risk: What it is at least; ``None`` where only the evaluated system counts.
        because: Why it is so risky.
        mitigations: What makes it less so.
    """

    name: str
    description: str = ""
    requires: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    one_of: str | None = None
    needs: Needs = Needs()
    risk: Risk | None = None
    because: str = ""
    mitigations: tuple[str, ...] = ()


class Tier(Struct, frozen=True):
    """A bundle of features, one of an ordered few.

    Attributes:
        features: Its own, and those of the tiers that it extends.
        needs: What a machine must have to carry it.
    """

    name: str
    description: str = ""
    features: tuple[str, ...] = ()
    needs: Needs = Needs()
