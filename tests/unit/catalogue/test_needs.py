"""What features and tiers need, against what is known of a machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orchestrator.catalogue.plan import (
    Machine,
    carried,
    fit,
    host_fit,
    nearest_tier,
    needed_by,
    tier_fit,
)
from orchestrator.core.catalogue import Feature, Needs, Tier
from orchestrator.core.facts import Fact, Facts
from orchestrator.core.host import Connect, Fleet, Host

GIB = 2**30
FEATURES = {
    "exporter": Feature("exporter", needs=Needs(memory=GIB // 4)),
    "vm": Feature("vm", needs=Needs(2 * GIB, 4, 40 * GIB, capability=("kvm",))),
    "ai": Feature("ai", requires=("exporter",), needs=Needs(8 * GIB, gpu="nvidia")),
    "desktop": Feature("desktop", needs=Needs(gpu="any")),
}
TIERS = {
    "minimal": Tier("minimal", features=("exporter",), needs=Needs(GIB, 1)),
    "standard": Tier("standard", features=("exporter", "vm"), needs=Needs(4 * GIB, 2)),
    "big": Tier("big", features=("ai",), needs=Needs(16 * GIB, 8)),
}


def facts(source: str = "lsblk", **values: Any) -> Facts:
    """Facts by their keys, with two underscores for a dot."""
    return Facts(
        "m",
        datetime(2026, 1, 1, tzinfo=UTC),
        {key.replace("__", "."): Fact(value, source) for key, value in values.items()},
    )


SMALL = facts(
    memory__installed=2 * GIB,
    cpu__threads=2,
    disk__largest=32 * GIB,
    gpu__vendors=["aspeed"],
    capabilities=["uefi"],
    capabilities__unknown=["ecc"],
    virtualisation="none",
)


def fleet(tier: str | None = None, *features: str, **hardware: Any) -> tuple[Fleet, Host]:
    """A fleet of one host."""
    host = Host("p620", "p620", Connect("p620"), tier=tier, features=features, hardware=hardware)
    return Fleet("f", "/f", "/f", {"p620": host}, features=FEATURES, tiers=TIERS), host


def test_what_is_lacking_is_told_with_both_values() -> None:
    """Each need that a machine does not meet names who needs it, both values and the source."""
    of, host = fleet(None, "vm", "exporter", "desktop")
    found = host_fit(of, host, Machine.of(SMALL, {}))
    assert [gap.text for gap in found.lacks] == [
        "2.2 GiB of memory needed, an estimate (vm 2.0 GiB, exporter 256 MiB); 2.0 GiB there "
        "(lsblk)",
        "40.0 GiB of disk needed, an estimate (vm 40.0 GiB); 32.0 GiB there (lsblk)",
        "4 CPUs needed (vm); 2 there (lsblk)",
        "the capability 'kvm' needed (vm); there: uefi (lsblk)",
        "a GPU 'any' needed (desktop); there: none (lsblk)",
    ]
    assert found.gaps == found.lacks


def test_what_is_unknown_is_no_lack() -> None:
    """A need whose fact is unknown is told as that, and is neither met nor lacking."""
    of, host = fleet(None, "vm")
    found = host_fit(of, host, Machine.of(None, {}))
    assert found.lacks == ()
    assert [gap.need for gap in found.gaps] == ["memory", "disk", "cpus", "capability"]
    assert found.gaps[2].text == "4 CPUs needed (vm); unknown: not asked"
    assert not found.is_known


def test_a_capability_that_could_not_be_known_is_unknown() -> None:
    """What the machine could not say of itself, or nothing can detect, is no lack of it."""
    needed = [("zfs", Needs(capability=("ecc", "sriov", "tpm2")))]
    assert [gap.known for gap in fit(needed, Machine.of(SMALL, {})).gaps] == [False, False, True]


@pytest.mark.parametrize("guest", ["container", "wsl"])
def test_a_container_is_not_compared(guest: str) -> None:
    """Where memory and processors are the outer machine's, nothing is compared."""
    of, host = fleet(None, "ai")
    found = host_fit(of, host, Machine.of(facts(virtualisation=guest), {}))
    assert found.skipped
    assert found.gaps == ()


def test_the_inventory_stands_before_facts() -> None:
    """What `hardware:` says counts, and the fact that it stands before is still known."""
    said = {"memory": "16G", "gpu": ["nvidia", "intel"], "cpus": 8, "disk": "1T", "kvm": True}
    machine = Machine.of(SMALL, {**said, "cpu": "amd", "rack": "b4"})
    of, host = fleet(None, "ai", "vm")
    assert host_fit(of, host, machine).is_known
    assert machine.overridden["memory.installed"].value == 2 * GIB
    assert machine.facts.fact("memory.installed").source == "inventory"


def test_what_the_kernel_took_is_no_lack() -> None:
    """Memory that only the kernel told of may be an eighth less; an exact one may not."""
    needed = [("x", Needs(memory=16 * GIB))]
    for source in ("/proc/meminfo", "/sys/devices/system/memory: in whole blocks"):
        of_kernel = facts(source, memory__installed=int(15.4 * GIB))
        assert fit(needed, Machine.of(of_kernel, {})).is_known
    exact = facts("DMI", memory__installed=int(15.4 * GIB))
    assert not fit(needed, Machine.of(exact, {})).is_known


def test_a_disk_is_sold_in_powers_of_ten() -> None:
    """A disk of 500 GB is one of `500G`, though those are powers of 1024."""
    disk = facts(disk__largest=500 * 10**9)
    assert fit([("x", Needs(disk=500 * GIB))], Machine.of(disk, {})).is_known


def test_a_tiers_sizes_are_of_the_whole_machine() -> None:
    """What features need is a part of what their tier needs, and not added to it."""
    needed = needed_by([FEATURES["vm"]], TIERS["standard"])
    assert needed[1] == ("tier standard", Needs(memory=2 * GIB, cpus=2))
    assert needed_by([FEATURES["ai"]], Tier("t", needs=Needs(memory=GIB))) == [
        ("ai", FEATURES["ai"].needs)
    ]


def test_the_tier_that_facts_carry() -> None:
    """The tier of a machine is the last one known to fit; one that nobody asked has none."""
    of, _ = fleet()
    assert carried(of, Machine.of(None, {})) is None
    assert carried(of, Machine.of(SMALL, {})) == TIERS["minimal"]
    large = facts(
        memory__installed=64 * GIB,
        cpu__threads=16,
        disk__largest=10**12,
        gpu__vendors=["nvidia"],
        capabilities=["kvm"],
    )
    assert carried(of, Machine.of(large, {})) == TIERS["big"]


def test_a_tier_counts_what_its_features_require() -> None:
    """A tier's needs are those of all that comes with it."""
    of, _ = fleet()
    text = tier_fit(of, TIERS["big"], Machine.of(SMALL, {})).lacks[0].text
    assert "exporter 256 MiB" in text


def test_the_nearest_tier_that_fits() -> None:
    """Of the tiers before a host's own the last that nothing speaks against is named."""
    of, host = fleet("big", "ai", "exporter")
    assert nearest_tier(of, host, Machine.of(SMALL, {})) == TIERS["minimal"]
    assert nearest_tier(of, host, Machine.of(None, {})) == TIERS["standard"]
    none, without = fleet(None)
    assert nearest_tier(none, without, Machine.of(SMALL, {})) is None
