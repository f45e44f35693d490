"""Processor and memory."""

from __future__ import annotations

import re

from orchestrator.core.facts import Fact
from orchestrator.core.units import whole_number
from orchestrator.facts.plan import smbios
from orchestrator.facts.plan.answer import (
    Answer,
    Readings,
    first,
    known,
    listed,
    named,
    table,
    word,
)

_CPU = "/sys/devices/system/cpu"
_TOPOLOGY = re.compile(rf"{_CPU}/cpu([0-9]+)/topology/(physical_package_id|core_id)")
_FLAG = re.compile(r"[a-z0-9_.]{1,40}")

_VENDORS = table(
    "GenuineIntel=intel AuthenticAMD=amd HygonGenuine=hygon CentaurHauls=centaur Shanghai=zhaoxin"
)
# MIDR_EL1.Implementer, as Linux and lscpu name them.
_IMPLEMENTERS = table(
    "0x41=arm 0x42=broadcom 0x43=cavium 0x46=fujitsu 0x48=hisilicon 0x4e=nvidia 0x50=apm "
    "0x51=qualcomm 0x53=samsung 0x61=apple 0x6d=microsoft 0xc0=ampere"
)


def processor(answer: Answer) -> Readings:
    """Read ``cpu.*``."""
    said = _cpuinfo(answer)
    none = "/proc/cpuinfo does not say it"
    vendor = from_lscpu(answer, "Vendor ID")
    flags = said.get("flags", said.get("Features"))
    return {
        "cpu.vendor": first(
            (
                known(_vendor(said), "/proc/cpuinfo", none),
                known(vendor_named(vendor.value), "lscpu", vendor.source),
            )
        ),
        "cpu.model": first(
            (
                known(word(said.get("model name")), "/proc/cpuinfo", none),
                from_lscpu(answer, "Model name"),
            )
        ),
        "cpu.flags": known(None if flags is None else flags_of(flags), "/proc/cpuinfo", none),
        **_counts(answer),
    }


def _cpuinfo(answer: Answer) -> dict[str, str]:
    pairs = (line.partition(":") for line in answer.values.get("cpuinfo", ()))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _vendor(said: dict[str, str]) -> str | None:
    if (name := vendor_named(word(said.get("vendor_id")))) is not None:
        return name
    return _IMPLEMENTERS.get(said.get("CPU implementer", "").lower())


def vendor_named(name: str | None) -> str | None:
    """A processor's vendor as facts name it."""
    return None if name is None else _VENDORS.get(name, name.lower())


def from_lscpu(answer: Answer, wanted: str) -> Fact:
    """A field of ``lscpu -J``: it knows the names of ARM's models, and of hypervisors."""
    fields = listed(named(answer.json("lscpu"), "lscpu"))
    said = (named(one, "data") for one in fields if named(one, "field") == f"{wanted}:")
    text = word(next(said, None))
    return known(None if text == "-" else text, "lscpu", answer.why_not("lscpu"))


def flags_of(text: str) -> list[str]:
    """The flags in a text, sorted; what is no flag is left out."""
    return sorted({flag for flag in text[:20_000].split() if _FLAG.fullmatch(flag)})


def _counts(answer: Answer) -> Readings:
    where: dict[str, dict[str, int]] = {}
    for found, text in answer.matching(_TOPOLOGY):
        if (number := whole_number(text)) is not None:
            where.setdefault(found[1], {})[found[2]] = number
    whole = [one for one in where.values() if len(one) == 2]
    packages = {one["physical_package_id"] for one in whole}
    cores = {(one["physical_package_id"], one["core_id"]) for one in whole}
    topology, none = f"{_CPU}/cpu*/topology", f"{_CPU} does not say it"
    nodes = _online(answer.line("/sys/devices/system/node/online"))
    return {
        "cpu.threads": known(_online(answer.line(f"{_CPU}/online")), f"{_CPU}/online", none),
        "cpu.cores": known(len(cores) or None, topology, none),
        "cpu.sockets": known(len(packages) or None, topology, none),
        "numa.nodes": known(nodes, "/sys/devices/system/node/online", "the kernel knows no nodes"),
    }


def _online(text: str | None) -> int | None:
    """Count what a list such as ``0-3,8`` names: cpu lists in the kernel's documentation."""
    total = 0
    for part in (text or "").split(","):
        low, is_range, high = part.partition("-")
        numbers = whole_number(low), whole_number(high if is_range else low)
        if numbers[0] is None or numbers[1] is None or not numbers[0] <= numbers[1] < 100_000:
            return None
        total += numbers[1] - numbers[0] + 1
    return total


def memory(answer: Answer) -> Readings:
    """Read ``memory.*``: what is installed by SMBIOS, by the kernel's blocks, or what is left."""
    found = smbios.memory(list(smbios.structures(answer.bytes("dmi"))))
    modules = [_module_json(one) for one in found.modules if one.size]
    none = answer.why_no_root
    return {
        "memory.installed": first(
            (
                known(found.installed, "SMBIOS", none),
                _blocks(answer, none),
                _usable(answer, "/proc/meminfo: without what the kernel keeps"),
            )
        ),
        "memory.usable": _usable(answer, "/proc/meminfo"),
        "memory.modules": known(modules or None, "SMBIOS", f"SMBIOS: {none}"),
        "memory.ecc": _ecc(answer, found),
    }


def _module_json(one: smbios.Module) -> dict[str, object]:
    return {
        "slot": one.slot,
        "size": one.size,
        "type": one.kind,
        "speed": one.speed,
        "part": one.part,
        "serial": one.serial,
    }


def _usable(answer: Answer, source: str) -> Fact:
    text = (answer.line("/proc/meminfo") or "").removeprefix("MemTotal:").removesuffix("kB")
    total = whole_number(text.strip())
    return known(total * 1024 if total else None, source, "/proc/meminfo does not say it")


def _blocks(answer: Answer, none: str) -> Fact:
    """Memory that can be taken away in blocks: their count and their size, which is hexadecimal.

    The last one need not be full: it may be a block too much.
    """
    count = whole_number(answer.value("memory_blocks") or "")
    try:
        size = int((answer.line("/sys/devices/system/memory/block_size_bytes") or "")[:16], 16)
    except ValueError:
        return Fact(None, none)
    return known(count * size if count and size > 0 else None, f"{BLOCKS}{size >> 20} MiB", none)


BLOCKS = "/sys/devices/system/memory: in whole blocks, which may be one too many, of "
"""The source of memory that is counted so; a block's size follows."""


def _ecc(answer: Answer, found: smbios.Memory) -> Fact:
    if found.ecc is not None:
        return Fact(found.ecc, "SMBIOS")
    if any(path.endswith("/mc_name") for path in answer.files):
        return Fact(True, "/sys/devices/system/edac: the kernel counts its errors")
    why = "SMBIOS does not say it" if found.modules else f"SMBIOS: {answer.why_no_root}"
    return Fact(None, why)
