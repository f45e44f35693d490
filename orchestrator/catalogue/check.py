"""What is wrong with a catalogue beside the mistakes that keep an inventory from being read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from orchestrator.catalogue.plan import DETECTED, needed_by
from orchestrator.core.catalogue import Feature, Needs, Tier
from orchestrator.core.errors import cause_of
from orchestrator.core.host import Fleet
from orchestrator.core.members import entries_of
from orchestrator.core.resolution import resolve
from orchestrator.core.units import listing, size_text
from orchestrator.inventory.root import FEATURES, schema_file, schema_files
from orchestrator.inventory.setting_schemas import read_schema
from orchestrator.inventory.settings import default_errors


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, or odd.

    Attributes:
        name: The feature, or ``tier NAME``.
        text: What it is, in one sentence.
        wrong: Whether it is wrong; else it may be meant.
    """

    name: str
    text: str
    wrong: bool = True


def check(fleet: Fleet) -> tuple[Finding, ...]:
    """Look at a fleet's catalogue, and at the modules and schemas beside it."""
    root = Path(fleet.root)
    found = [*_modules(root, fleet), *_schemas(root, fleet)]
    used = {name for entry in entries_of(fleet.hosts) for name in entry.host.features}
    for feature in fleet.features.values():
        found += _feature(fleet, feature, is_used=feature.name in used)
    for tier in fleet.tiers.values():
        found += _tier(fleet, tier)
    return (*found, *_order(fleet))


def _modules(root: Path, fleet: Fleet) -> Iterator[Finding]:
    """Compare with the modules, where a fleet has them where the example has them."""
    if not (root / FEATURES).is_dir():
        return
    there = {file.name.removesuffix(".nix") for file in (root / FEATURES).glob("*.nix")}
    for name in sorted(fleet.features.keys() - there):
        yield Finding(name, f"nothing implements it: there is no {FEATURES}/{name}.nix")
    for name in sorted(there - fleet.features.keys()):
        yield Finding(name, f"{FEATURES}/{name}.nix is of no feature in the catalogue", wrong=False)


def _schemas(root: Path, fleet: Fleet) -> Iterator[Finding]:
    for name in schema_files(root):
        if name not in fleet.features:
            yield Finding(name, f"{schema_file(name)} is of no feature in the catalogue")
            continue
        try:
            schema = read_schema(root, name)
        except (OSError, ValueError) as error:
            yield Finding(name, f"{schema_file(name)} is no schema of settings: {cause_of(error)}")
            continue
        for text in default_errors(schema, fleet.hosts):
            yield Finding(name, f"a default in {schema_file(name)} is wrong: {text}")


def _feature(fleet: Fleet, feature: Feature, *, is_used: bool) -> Iterator[Finding]:
    if not is_used:
        yield Finding(feature.name, "no host has it", wrong=False)
    chains = resolve(fleet.features, [feature.name]).chains
    higher = [
        f"{name} ({risk.value})"
        for name in chains
        if (risk := fleet.features[name].risk) and feature.risk and risk > feature.risk
    ]
    if higher and feature.risk:
        text = f"its risk is {feature.risk.value}, and it requires {listing(higher)}"
        yield Finding(feature.name, text)
    if feature.because and feature.risk is None:
        yield Finding(feature.name, "it says why it is risky, and not how risky", wrong=False)
    for name in feature.needs.capability:
        if name not in DETECTED:
            text = f"no machine says whether it has the capability {name!r} that it needs"
            yield Finding(feature.name, text, wrong=False)


def _tier(fleet: Fleet, tier: Tier) -> Iterator[Finding]:
    name, found = f"tier {tier.name}", resolve(fleet.features, tier.features)
    for one in found.conflicts:
        ways = (" → ".join(way) for way in (one.one, one.other))
        yield Finding(name, f"no host can have it: {' conflicts with '.join(ways)}")
    needed = [needs for _, needs in needed_by(fleet.features[one] for one in found.chains)]
    for need in ("memory", "disk"):
        least = sum(getattr(needs, need) or 0 for needs in needed)
        said = getattr(tier.needs, need)
        if said is not None and said < least:
            text = f"it needs {size_text(said)} of {need}, and its features {size_text(least)}"
            yield Finding(name, text)
    least = max((needs.cpus or 0 for needs in needed), default=0)
    if tier.needs.cpus is not None and tier.needs.cpus < least:
        yield Finding(name, f"it needs {tier.needs.cpus} CPUs, and one of its features {least}")
    if tier.needs != Needs() and tier.needs.gpu is None:
        gpus = sorted({needs.gpu for needs in needed if needs.gpu})
        if gpus:
            yield Finding(name, f"it needs no GPU, and its features {', '.join(gpus)}")


def _order(fleet: Fleet) -> Iterator[Finding]:
    """Compare each tier with the one before it, which is the lesser one."""
    tiers = list(fleet.tiers.values())
    for before, tier in pairwise(tiers):
        for need in ("memory", "cpus", "disk"):
            less, more = getattr(before.needs, need), getattr(tier.needs, need)
            if less is not None and more is not None and more < less:
                text = f"it needs less {need} than {before.name}, which stands before it"
                yield Finding(f"tier {tier.name}", text)
