"""What features and tiers need, against what is known of a machine. Unknown facts never refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.core.catalogue import Feature, Needs, Tier
from orchestrator.core.facts import Fact, Facts
from orchestrator.core.host import Fleet, Host
from orchestrator.core.resolution import resolve
from orchestrator.core.units import size_text
from orchestrator.core.values import replace
from orchestrator.facts.plan import overrides
from orchestrator.facts.plan.drift import OUTER

ANY = "any"
"""A GPU of whichever vendor."""

_BMC = frozenset({"aspeed", "matrox"})
"""Whose graphics are for a server's remote console, and compute nothing."""

# What the kernel left of it is less than what is installed; 1 TB is 0.91 TiB.
_OF_KERNELS, _OF_DISKS = 0.875, 0.9
_OF_A_KERNEL = ("/proc/meminfo", "/sys/devices/system/memory")

DETECTED = frozenset(
    [
        *("aes", "avx", "avx2", "avx512", "battery", "ecc", "iommu", "kvm", "numa"),
        *("secure-boot", "tpm2", "uefi", "wireless"),
    ]
)
"""Capabilities that facts say of a machine, or that it has them not; of others nothing is known."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What counts of a machine: facts, before which goes what the inventory says of its hardware.

    Attributes:
        facts: What counts.
        overridden: The facts that the inventory's values stand before, by their keys.
    """

    facts: Facts
    overridden: Mapping[str, Fact]

    @classmethod
    def of(cls, facts: Facts | None, hardware: Mapping[str, Any]) -> Machine:
        """Lay what the inventory says over what the machine said."""
        found = overrides.effective(facts, hardware)
        before = facts.facts if facts else {}
        changed = {key: one for key, one in before.items() if found.fact(key) != one}
        return cls(found, changed)

    @property
    def outer(self) -> str:
        """What it is a guest in that shows the outer machine's hardware; empty for none."""
        guest = self.facts.value("virtualisation")
        return str(guest) if guest in OUTER else ""


@dataclass(frozen=True, slots=True)
class Gap:
    """A need that a machine does not meet, or of which that is not known.

    Attributes:
        need: ``memory``, ``cpus``, ``disk``, ``gpu`` or ``capability``.
        text: Both values, who needs it, and where the machine's was read.
        known: Whether it is known.
    """

    need: str
    text: str
    known: bool = True


@dataclass(frozen=True, slots=True)
class Fit:
    """How needs stand to a machine.

    Attributes:
        gaps: What it does not meet, or what is not known.
        skipped: What it is a guest in, where nothing was compared: ``container``; else empty.
    """

    gaps: tuple[Gap, ...] = ()
    skipped: str = ""

    @property
    def lacks(self) -> tuple[Gap, ...]:
        """What is known not to be met."""
        return tuple(gap for gap in self.gaps if gap.known)

    @property
    def is_known(self) -> bool:
        """Whether all of it is known to be met."""
        return not (self.gaps or self.skipped)


Needed = tuple[str, Needs]
"""Who needs it: ``virtualisation``, ``tier standard``; and what."""


def fit(needed: Sequence[Needed], machine: Machine) -> Fit:
    """Compare what features need together with a machine.

    Args:
        needed: What each of them needs. Memory and disk are added up, an estimate.
        machine: What is known of it.
    """
    if machine.outer:
        return Fit(skipped=machine.outer)
    gaps = (*_sizes(needed, machine), *_cpus(needed, machine), *_named(needed, machine))
    return Fit(gaps)


def _sizes(needed: Sequence[Needed], machine: Machine) -> Iterator[Gap]:
    memory = machine.facts.fact("memory.installed")
    exact = not memory.source.startswith(_OF_A_KERNEL)
    for need, fact, share in (
        ("memory", memory, 1.0 if exact else _OF_KERNELS),
        ("disk", machine.facts.fact("disk.largest"), _OF_DISKS),
    ):
        amounts = {who: getattr(needs, need) or 0 for who, needs in needed}
        total = sum(amounts.values())
        if not total:
            continue
        what = f"{size_text(total)} of {need} needed, an estimate ({_parts(amounts)})"
        if not isinstance(fact.value, int):
            yield _unknown(need, what, fact)
        elif fact.value < total * share:
            yield Gap(need, f"{what}; {size_text(fact.value)} there ({fact.source})")


def _parts(amounts: Mapping[str, int]) -> str:
    """Say who needs how much, the most first."""
    most = sorted(((size, who) for who, size in amounts.items() if size), reverse=True)
    return ", ".join(f"{who} {size_text(size)}" for size, who in most)


def _cpus(needed: Sequence[Needed], machine: Machine) -> Iterator[Gap]:
    most, who = max(((needs.cpus or 0, who) for who, needs in needed), default=(0, ""))
    if not most:
        return
    fact, what = machine.facts.fact("cpu.threads"), f"{most} CPUs needed ({who})"
    if not isinstance(fact.value, int):
        yield _unknown("cpus", what, fact)
    elif fact.value < most:
        yield Gap("cpus", f"{what}; {fact.value} there ({fact.source})")


def _named(needed: Sequence[Needed], machine: Machine) -> Iterator[Gap]:
    unknown = machine.facts.value("capabilities.unknown") or ()
    for who, needs in needed:
        if needs.gpu is not None:
            yield from _lacking("gpu", needs.gpu, who, machine.facts.fact("gpu.vendors"))
        for name in needs.capability:
            fact = machine.facts.fact("capabilities")
            if name not in (fact.value or ()) and (name in unknown or name not in DETECTED):
                fact = Fact(None, "the machine did not say")
            yield from _lacking("capability", name, who, fact)


def _lacking(need: str, name: str, who: str, fact: Fact) -> Iterator[Gap]:
    what = f"{'a GPU' if need == 'gpu' else 'the capability'} {name!r} needed ({who})"
    if not isinstance(fact.value, (list, tuple)):
        yield _unknown(need, what, fact)
        return
    there = [str(one) for one in fact.value]
    if need == "gpu":
        there = [one for one in there if one not in _BMC]
    if not (there if name == ANY else name in there):
        yield Gap(need, f"{what}; there: {', '.join(there) or 'none'} ({fact.source})")


def _unknown(need: str, what: str, fact: Fact) -> Gap:
    return Gap(need, f"{what}; unknown: {fact.source}", known=False)


def needed_by(features: Iterable[Feature], tier: Tier | None = None) -> list[Needed]:
    """What features need, and where a tier needs more of memory or disk, that."""
    needed = [(feature.name, feature.needs) for feature in features if feature.needs != Needs()]
    return [*needed, *(_more_than(needed, tier) if tier else ())]


def _more_than(needed: Sequence[Needed], tier: Tier) -> Iterator[Needed]:
    """What a tier needs beside its features: its sizes are of the whole machine."""
    more = replace(
        tier.needs,
        memory=_rest(tier.needs.memory, (needs.memory for _, needs in needed)),
        disk=_rest(tier.needs.disk, (needs.disk for _, needs in needed)),
    )
    if more != Needs():
        yield f"tier {tier.name}", more


def _rest(whole: int | None, parts: Iterable[int | None]) -> int | None:
    return max((whole or 0) - sum(part or 0 for part in parts), 0) or None


def host_fit(fleet: Fleet, host: Host, machine: Machine) -> Fit:
    """How what a host has stands to its machine."""
    tier = fleet.tiers.get(host.tier or "")
    features = (fleet.features[name] for name in host.features if name in fleet.features)
    return fit(needed_by(features, tier), machine)


def tier_fit(fleet: Fleet, tier: Tier, machine: Machine) -> Fit:
    """How a tier stands to a machine, with all that its features require."""
    chains = resolve(fleet.features, tier.features).chains
    return fit(needed_by((fleet.features[name] for name in chains), tier), machine)


def carried(fleet: Fleet, machine: Machine) -> Tier | None:
    """The last tier that a machine is known to carry; ``None`` where it is of none."""
    if not machine.facts.facts:
        return None
    fitting = (one for one in fleet.tiers.values() if tier_fit(fleet, one, machine).is_known)
    return max(fitting, key=list(fleet.tiers.values()).index, default=None)


def nearest_tier(fleet: Fleet, host: Host, machine: Machine) -> Tier | None:
    """The nearest tier below a host's own that nothing speaks against."""
    names = list(fleet.tiers)
    if host.tier not in names:
        return None
    below = [fleet.tiers[name] for name in names[: names.index(host.tier)]]
    return next((one for one in below[::-1] if not tier_fit(fleet, one, machine).lacks), None)
