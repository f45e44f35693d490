"""All facts of one answer, and the capabilities that follow from them."""

from __future__ import annotations

from collections.abc import Set

from orchestrator.core.facts import Fact
from orchestrator.facts.plan import devices, disks, processor, system
from orchestrator.facts.plan.answer import Answer, Readings, word

_READERS = (
    *(processor.processor, processor.memory, disks.disks, devices.graphics, devices.networks),
    *(devices.iommu, system.surroundings, system.firmware, devices.batteries, devices.sensors),
    system.running,
)


def read(text: str) -> tuple[str, Readings]:
    """Read what a machine said.

    Returns:
        Its machine-id, empty where it says none; and every fact there is, by its key: what it did
        not say, or not so that it is understood, is unknown.
    """
    answer = Answer.parse(text)
    facts: dict[str, Fact] = {}
    for reader in _READERS:
        facts |= reader(answer)
    shown = {"kvm": answer.has("kvm"), "iommu": answer.has("iommu.table")}
    facts = dict(with_capabilities(facts, {name for name, is_there in shown.items() if is_there}))
    return word(answer.line("/etc/machine-id")) or "", facts


def with_capabilities(facts: Readings, shown: Set[str] = frozenset()) -> Readings:
    """Facts, and the capabilities that follow from them.

    Args:
        facts: What is known of a machine.
        shown: Those that it has whatever the facts say: ``kvm`` by ``/dev/kvm``, ``iommu`` by
            firmware's table, although the kernel may not use it yet.
    """
    held = {**_capabilities(facts), **dict.fromkeys(shown, True)}
    none = sorted(name for name, holds in held.items() if holds is None)
    return {
        **facts,
        "capabilities": Fact(sorted(name for name, holds in held.items() if holds), "facts"),
        "capabilities.unknown": Fact(none, "facts"),
    }


def _capabilities(facts: Readings) -> dict[str, bool | None]:
    """What a machine can, by short names; ``None`` where that could not be known."""
    flags = facts["cpu.flags"].value
    groups, nodes = facts["iommu.groups"].value, facts["numa.nodes"].value
    nics = facts["nics"].value
    batteries = facts["batteries"].value
    firmware, tpm = facts["firmware"].value, facts["tpm"].value
    return {
        "kvm": None if flags is None else bool({"vmx", "svm"} & set(flags)),
        **{name: None if flags is None else flag in flags for name, flag in _FLAGS.items()},
        "ecc": facts["memory.ecc"].value,
        "iommu": None if groups is None else bool(groups),
        "numa": None if nodes is None else nodes > 1,
        "uefi": None if firmware is None else firmware == "uefi",
        "secure-boot": facts["secure-boot"].value,
        "tpm2": None if tpm is None else tpm == "2.0",
        "battery": None if batteries is None else bool(batteries),
        "wireless": None if nics is None else any(nic["wireless"] for nic in nics),
    }


_FLAGS = {"aes": "aes", "avx": "avx", "avx2": "avx2", "avx512": "avx512f"}
"""Capability → the flag of Linux that says it."""
