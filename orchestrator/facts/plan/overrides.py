"""What the inventory says of hardware goes before what the machine says; and what it might say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from orchestrator.core.facts import Fact, Facts
from orchestrator.core.units import parse_size
from orchestrator.core.values import replace
from orchestrator.facts.model import BY_NAME, CAPABILITIES, Kind
from orchestrator.facts.plan.answer import Readings
from orchestrator.facts.plan.drift import OUTER

INVENTORY = "inventory"
"""The source of what the inventory says."""

_SHORT = {
    "cpu": "cpu.vendor",
    "gpu": "gpu.vendors",
    "memory": "memory.installed",
    "cpus": "cpu.threads",
    "cores": "cpu.cores",
    "disk": "disk.largest",
    "ecc": "memory.ecc",
}
"""A key of ``hardware:`` → the fact that it is."""

_NOTHING = Facts("", datetime.fromtimestamp(0, UTC))


def effective(facts: Facts | None, hardware: Mapping[str, Any]) -> Facts:
    """Facts with what the inventory says instead of what the machine says.

    A single word for what is a list is there beside what was found, such as a GPU that the drivers
    are chosen for beside the processor's own; a list is the whole of it.

    Args:
        facts: What is known of the machine; ``None``: nothing.
        hardware: The host's ``hardware:``. Its keys are short names (cpu, gpu, memory, cpus,
            cores, disk, ecc), facts' own, or capabilities; what is none of these, or of another
            kind than the fact, is for the templates alone.
    """
    known = facts or _NOTHING
    found = dict(known.facts)
    for name, said in hardware.items():
        key = BY_NAME.get(_SHORT.get(name, name))
        if key is not None and (value := _value(key.kind, said)) is not None:
            beside = known.value(key.name) if isinstance(said, str) else None
            if key.kind is Kind.WORDS and isinstance(beside, (list, tuple)):
                value = sorted({*value, *beside})
            found[key.name] = Fact(value, INVENTORY)
    said_of = dict(_capabilities(hardware))
    if said_of:
        held = set(known.value("capabilities") or ()) - said_of.keys()
        none = set(known.value("capabilities.unknown") or ()) - said_of.keys()
        held |= {name for name, holds in said_of.items() if holds}
        found["capabilities"] = Fact(sorted(held), INVENTORY)
        found["capabilities.unknown"] = Fact(sorted(none), INVENTORY)
    return replace(known, facts=found)


def _capabilities(hardware: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    """The capabilities that the inventory says are there, or are not."""
    for name, said in hardware.items():
        name = "ecc" if name == "memory.ecc" else name
        if name in CAPABILITIES and isinstance(said, bool):
            yield name, said
        elif name == "firmware" and isinstance(said, str):
            yield "uefi", said == "uefi"
        elif name == "tpm" and isinstance(said, str):
            yield "tpm2", said == "2.0"


def _value(kind: Kind, said: object) -> Any:
    """What the inventory says as a fact's value; ``None`` where it is of another kind."""
    match kind, said:
        case Kind.BYTES, str():
            try:
                return parse_size(said)
            except ValueError:
                return None
        case ((Kind.BYTES | Kind.NUMBER), int()) if not isinstance(said, bool) and said >= 0:
            return said
        case Kind.FLAG, bool():
            return said
        case Kind.TEXT, str() if said:
            return said
        case Kind.WORDS, str() if said:
            return [said]
        case Kind.WORDS, [*words] if all(isinstance(word, str) for word in words):
            return sorted(set(words))
    return None


def proposed(facts: Readings) -> dict[str, str]:
    """What the inventory might say of a machine: coarse, and of no one machine alone.

    Of several graphics it is what drivers are chosen for: a laptop's own is there beside it.
    """
    value = {key: fact.value for key, fact in facts.items()}
    if value.get("virtualisation") in OUTER:
        return {}
    vendors = value.get("gpu.vendors") or ()
    gpu = next((vendor for vendor in ("nvidia", "amd", "intel") if vendor in vendors), None)
    said = {"cpu": value.get("cpu.vendor"), "gpu": gpu}
    return {name: one for name, one in said.items() if isinstance(one, str)}
