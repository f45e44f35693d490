"""The facts that there are: their keys, what kind of value each has, and which of it identifies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, assert_never


class Kind(Enum):
    """What a fact's value is."""

    TEXT = "text"
    NUMBER = "number"
    BYTES = "bytes"
    FLAG = "flag"
    WORDS = "words"
    """A sorted list of texts."""
    SECONDS = "seconds"
    """Seconds by phase."""
    THINGS = "things"
    """A list of objects, of which ``Key.parts`` says what each has."""


@dataclass(frozen=True, slots=True)
class Key:
    """One fact that there is.

    Attributes:
        name: Its dotted name.
        group: Under which it is drawn.
        says: What it is, for people.
        parts: Of objects: what each has, with the type that JSON Schema gives it.
        identifies: Whether the value tells one machine from all others.
        changes: Whether it is another one each time without the machine being another.
    """

    name: str
    group: str
    kind: Kind
    says: str
    parts: Mapping[str, str] = field(default_factory=dict)
    identifies: bool = False
    changes: bool = False


IDENTIFYING = frozenset({"id", "serial", "mac"})
"""Parts of objects that tell one machine from all others."""


def _parts(text: str) -> dict[str, str]:
    return dict(pair.split(":") for pair in text.split())


KEYS = (
    Key("cpu.vendor", "processor", Kind.TEXT, "intel, amd, arm, apple, …"),
    Key("cpu.model", "processor", Kind.TEXT, "The model, as it names itself"),
    Key("cpu.sockets", "processor", Kind.NUMBER, "Processors"),
    Key("cpu.cores", "processor", Kind.NUMBER, "Cores of all processors"),
    Key("cpu.threads", "processor", Kind.NUMBER, "Logical processors that are online"),
    Key("cpu.flags", "processor", Kind.WORDS, "Flags of the first processor"),
    Key("numa.nodes", "processor", Kind.NUMBER, "NUMA nodes that are online"),
    Key("memory.installed", "memory", Kind.BYTES, "Memory that is installed"),
    Key("memory.usable", "memory", Kind.BYTES, "What the kernel left of it"),
    Key("memory.ecc", "memory", Kind.FLAG, "Whether its errors are corrected"),
    Key(
        "memory.modules",
        "memory",
        Kind.THINGS,
        "Modules; speed in MT/s",
        _parts("slot:string size:integer type:string speed:integer part:string serial:string"),
    ),
    Key(
        "disks",
        "disks",
        Kind.THINGS,
        "Disks; SMART: passed or failed",
        _parts(
            "name:string id:string size:integer rotational:boolean removable:boolean "
            "transport:string model:string serial:string smart:string"
        ),
    ),
    Key("disk.largest", "disks", Kind.BYTES, "The largest disk that is fixed"),
    Key(
        "partitions",
        "disks",
        Kind.THINGS,
        "Partitions",
        _parts("name:string disk:string size:integer filesystem:string"),
    ),
    Key(
        "filesystems",
        "disks",
        Kind.THINGS,
        "File systems that are mounted",
        _parts("mount:string device:string type:string"),
        changes=True,
    ),
    Key("gpu.vendors", "graphics", Kind.WORDS, "Who made the display controllers"),
    Key(
        "gpus",
        "graphics",
        Kind.THINGS,
        "Display controllers; PCI's ids",
        _parts("vendor:string driver:string pci:string"),
    ),
    Key(
        "nics",
        "networks",
        Kind.THINGS,
        "Network devices; speed in Mbit/s, while the link is up",
        _parts("name:string driver:string pci:string speed:integer wireless:boolean mac:string"),
    ),
    Key("virtualisation", "machine", Kind.TEXT, "none, kvm, qemu, vmware, …, container, wsl"),
    Key("container", "machine", Kind.TEXT, "The kind of container, where it is one"),
    Key("dmi.vendor", "machine", Kind.TEXT, "Who made it"),
    Key("dmi.product", "machine", Kind.TEXT, "What it is called"),
    Key("dmi.version", "machine", Kind.TEXT, "Which version of that"),
    Key("dmi.board", "machine", Kind.TEXT, "Its main board"),
    Key("dmi.bios", "machine", Kind.TEXT, "Its firmware's version"),
    Key("dmi.serial", "machine", Kind.TEXT, "Its serial number", identifies=True),
    Key("chassis", "machine", Kind.TEXT, "desktop, laptop, server, tablet, embedded, other"),
    Key("firmware", "machine", Kind.TEXT, "uefi, bios or devicetree"),
    Key("secure-boot", "machine", Kind.FLAG, "Whether UEFI starts only what is signed"),
    Key("tpm", "machine", Kind.TEXT, "2.0, 1.2 or none"),
    Key(
        "iommu.groups",
        "machine",
        Kind.THINGS,
        "PCI devices that can only be given away together",
        _parts("group:integer devices:array"),
    ),
    Key(
        "batteries",
        "machine",
        Kind.THINGS,
        "Batteries; health is the share of the first capacity",
        _parts("name:string health:number"),
        changes=True,
    ),
    Key(
        "sensors",
        "machine",
        Kind.THINGS,
        "Temperatures",
        _parts("chip:string label:string celsius:number"),
        changes=True,
    ),
    Key("architecture", "system", Kind.TEXT, "x86_64, aarch64, …"),
    Key("os", "system", Kind.TEXT, "ID of /etc/os-release"),
    Key("kernel", "system", Kind.TEXT, "Linux's release"),
    Key("nixos.version", "system", Kind.TEXT, "NixOS's version"),
    Key("nix.version", "system", Kind.TEXT, "Nix's version"),
    Key("boot.time", "system", Kind.SECONDS, "Seconds that booting took", changes=True),
    Key("time.source", "system", Kind.TEXT, "Which service sets the clock"),
    Key("time.synchronised", "system", Kind.FLAG, "Whether the clock is set by it", changes=True),
    Key("time.clocksource", "system", Kind.TEXT, "What the kernel counts time by"),
    Key("capabilities", "capabilities", Kind.WORDS, "What it can"),
    Key("capabilities.unknown", "capabilities", Kind.WORDS, "What could not be known of that"),
)
"""In the order in which they are drawn."""

CAPABILITIES = frozenset(
    {
        *("kvm", "aes", "avx", "avx2", "avx512", "ecc", "iommu", "numa", "uefi", "secure-boot"),
        *("tpm2", "battery", "wireless"),
    }
)
"""Every name that ``capabilities`` may have."""

BY_NAME: Mapping[str, Key] = {key.name: key for key in KEYS}


def without_identity(key: Key, value: Any) -> Any:
    """A value without what tells the machine from all others; ``None`` where nothing is left."""
    if key.identifies:
        return None
    if key.kind is Kind.THINGS and isinstance(value, list):
        return [{part: one[part] for part in one if part not in IDENTIFYING} for one in value]
    return value


_JSON: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
}


def fits(key: Key, value: Any) -> bool:
    """Whether a value that was kept is one that the fact may have; ``None`` is unknown."""
    match key.kind:
        case Kind.TEXT:
            return _is(value, "string")
        case Kind.NUMBER | Kind.BYTES:
            return _is(value, "integer") and value >= 0
        case Kind.FLAG:
            return _is(value, "boolean")
        case Kind.WORDS:
            return isinstance(value, list) and all(isinstance(one, str) for one in value)
        case Kind.SECONDS:
            return isinstance(value, dict) and all(_is(one, "number") for one in value.values())
        case Kind.THINGS:
            return isinstance(value, list) and all(_has_parts(key, one) for one in value)
        case _:
            assert_never(key.kind)


def _has_parts(key: Key, one: Any) -> bool:
    return isinstance(one, dict) and all(
        part in key.parts and _is(value, key.parts[part]) for part, value in one.items()
    )


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return value is None or isinstance(value, _JSON[kind])
