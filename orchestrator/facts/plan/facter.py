"""A report of nixos-facter, read as facts.

Its names are those of hwinfo's fields: ``hardware`` has lists of devices by class, ``smbios`` the
structures by type. What a report does not have is unknown.
https://github.com/nix-community/nixos-facter
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from orchestrator.core.facts import Fact
from orchestrator.core.units import parse_json
from orchestrator.facts.model import KEYS
from orchestrator.facts.plan.answer import Readings, known, listed, named, unknown, word
from orchestrator.facts.plan.devices import GPU_VENDORS
from orchestrator.facts.plan.processor import flags_of, vendor_named
from orchestrator.facts.plan.read import with_capabilities
from orchestrator.facts.plan.system import CONTAINERS

SOURCE = "facter.json"
_NONE = f"{SOURCE} does not say it"


def read_report(text: str) -> Readings:
    """Read a report; lines of a log before it, and after it, are left out.

    Raises:
        ValueError: It is no report.
    """
    begin = 0 if text.startswith("{") else text.find("\n{")
    report = parse_json(text[max(begin, 0) : text.rfind("}") + 1])
    hardware, smbios = named(report, "hardware"), named(report, "smbios")
    if not isinstance(hardware, dict) or not isinstance(named(report, "version"), int):
        raise ValueError("it has no `version` and `hardware`, as nixos-facter's reports have")
    found = {
        **dict.fromkeys((key.name for key in KEYS), unknown(_NONE)),
        **_processor(hardware),
        **_memory(hardware, smbios),
        **_devices(hardware),
        **_machine(report, smbios),
    }
    return with_capabilities(found)


def _said(value: Any) -> Fact:
    return known(value, SOURCE, _NONE)


def _processor(hardware: dict[str, Any]) -> Readings:
    """One entry for each package: ``cores`` of it, and ``siblings``, its threads."""
    packages = {_number(named(one, "physical_id")): one for one in listed(named(hardware, "cpu"))}
    ones = list(packages.values())
    features = listed(named(ones[0], "features")) if ones else []
    return {
        "cpu.vendor": _said(vendor_named(word(named(ones[0], "vendor_name"))) if ones else None),
        "cpu.model": _said(word(named(ones[0], "model_name")) if ones else None),
        "cpu.sockets": _said(len(ones) or None),
        "cpu.cores": _said(_sum(ones, "cores")),
        "cpu.threads": _said(_sum(ones, "siblings")),
        "cpu.flags": _said(flags_of(" ".join(filter(None, map(word, features)))) or None),
    }


def _sum(ones: list[Any], part: str) -> int | None:
    numbers = [_number(named(one, part)) for one in ones]
    return sum(number or 0 for number in numbers) or None if None not in numbers else None


def _number(value: object) -> int | None:
    is_one = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 60
    return value if is_one else None  # type: ignore[return-value]


def _memory(hardware: dict[str, Any], smbios: object) -> Readings:
    devices = listed(named(smbios, "memory_device"))
    sizes = [_number(named(one, "size")) for one in devices]  # KiB
    total = sum(size or 0 for size in sizes) * 1024 if None not in sizes else 0
    ranges = (
        _number(named(resource, "range"))
        for one in listed(named(hardware, "memory"))
        for resource in listed(named(one, "resources"))
        if named(resource, "type") == "phys_mem"
    )
    corrects = {
        {3: False, 4: False, 5: True, 6: True}.get(_number(named(named(one, "ecc"), "value")) or 0)
        for one in listed(named(smbios, "memory_array"))
    }
    return {
        "memory.installed": _said(total or next(ranges, None)),
        "memory.ecc": _said(corrects.pop() if len(corrects) == 1 else None),
    }


def _devices(hardware: dict[str, Any]) -> Readings:
    """Devices by class; of a class that is not there the report says nothing, not even none."""
    disks = [one for one in map(_disk, listed(named(hardware, "disk"))) if one["size"]]
    fixed = [one["size"] for one in disks if one["transport"] != "usb"]
    gpus = [_gpu(one) for one in listed(named(hardware, "graphics_card"))]
    nics = [_nic(one) for one in listed(named(hardware, "network_controller"))]
    groups = dict.fromkeys(_groups(hardware))
    return {
        "disks": _said(disks or None),
        "disk.largest": _said(max(fixed, default=None)),
        "gpus": _said(gpus or None),
        "gpu.vendors": _said(sorted({one["vendor"] for one in gpus if one["vendor"]}) or None),
        "nics": _said(nics or None),
        "iommu.groups": _said([{"group": one, "devices": []} for one in sorted(groups)] or None),
    }


def _name(one: object) -> str | None:
    names = [word(name) for name in listed(named(one, "unix_device_names"))]
    return next((name.rpartition("/")[2] for name in names if name), None)


def _disk(one: object) -> dict[str, Any]:
    sizes = [
        (_number(named(each, "value_1")) or 0) * (_number(named(each, "value_2")) or 512)
        for each in listed(named(one, "resources"))
        if named(each, "type") == "size" and named(each, "unit") == "sectors"
    ]
    driver = word(named(one, "driver"))
    is_usb = named(one, "hotplug") == "usb" or driver in ("usb-storage", "uas")
    return {
        "name": _name(one),
        "id": None,
        "size": next(iter(sizes), None),
        "rotational": None,
        "removable": None,
        "transport": "usb" if is_usb else None,
        "model": word(named(one, "model")),
        "serial": word(named(one, "serial")),
        "smart": None,
    }


def _pci(one: object) -> str | None:
    ids = [word(named(named(one, part), "hex")) for part in ("vendor", "device")]
    return ":".join(part for part in ids if part) or None


def _gpu(one: object) -> dict[str, Any]:
    vendor = word(named(named(one, "vendor"), "hex"))
    known_as = GPU_VENDORS.get((vendor or "").upper(), f"pci-{vendor}")
    driver = word(named(one, "driver"))
    return {"vendor": known_as if vendor else None, "driver": driver, "pci": _pci(one)}


def _nic(one: object) -> dict[str, Any]:
    return {
        "name": _name(one),
        "driver": word(named(one, "driver")),
        "pci": _pci(one),
        "speed": None,
        "wireless": "wlan_card" in listed(named(one, "class_list")),
        "mac": None,
    }


def _groups(hardware: dict[str, Any]) -> Iterator[int]:
    for devices in hardware.values():
        for one in listed(devices):
            if (group := _number(named(one, "sysfs_iommu_group_id"))) is not None:
                yield group


def _machine(report: object, smbios: object) -> Readings:
    virtual = (word(named(report, "virtualisation")) or "").replace("_", "-") or None
    is_container = bool(virtual and CONTAINERS.fullmatch(virtual))
    uefi = named(named(report, "uefi"), "supported")
    started = {True: "uefi", False: None}.get(uefi) if isinstance(uefi, bool) else None
    system, board = named(smbios, "system"), named(smbios, "board")
    arch = (word(named(report, "system")) or "").rpartition("-")[0]
    return {
        "virtualisation": _said("container" if is_container else virtual),
        "container": _said(virtual if is_container else None),
        "firmware": _said(started),
        "dmi.vendor": _said(word(named(system, "manufacturer"))),
        "dmi.product": _said(word(named(system, "product"))),
        "dmi.version": _said(word(named(system, "version"))),
        "dmi.board": _said(word(named(board, "product"))),
        "architecture": _said(arch or None),
    }
