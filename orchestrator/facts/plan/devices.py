"""Graphics, networks, IOMMU groups, batteries, sensors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from orchestrator.core.facts import Fact
from orchestrator.core.units import whole_number
from orchestrator.facts.plan.answer import MOST, Answer, Readings, table, unknown, word

_PCI = re.compile(r"/sys/bus/pci/devices/([0-9a-f:.]{1,20})/uevent")
_DRM = re.compile(r"/sys/class/drm/card[0-9]+/device/uevent")
_PCI_ID = re.compile(r"([0-9A-F]{4}):[0-9A-F]{4}")
_DISPLAY = 0x03
"""PCI's base class of display controllers: https://pci-ids.ucw.cz/read/PD/"""

# By PCI's ids: https://pci-ids.ucw.cz
GPU_VENDORS = table(
    "10DE=nvidia 1002=amd 8086=intel 1A03=aspeed 102B=matrox 1234=qemu 1B36=qemu 1AF4=virtio "
    "15AD=vmware 80EE=virtualbox 1414=microsoft 1013=cirrus 1D17=zhaoxin 1ED5=mthreads"
)
_TREE_VENDORS = table("brcm=broadcom qcom=qualcomm")


def graphics(answer: Answer) -> Readings:
    """Read ``gpus`` and ``gpu.vendors``: PCI's display controllers, and those of a device tree."""
    cards = [*_on_pci(answer), *_on_tree(answer)]
    if not cards and not answer.has("sysfs.pci"):
        none = unknown("/sys/bus/pci is not there")
        return {"gpus": none, "gpu.vendors": none}
    vendors = sorted({card["vendor"] for card in cards})
    return {
        "gpus": Fact(cards, "/sys/bus/pci, /sys/class/drm"),
        "gpu.vendors": Fact(vendors, "/sys/bus/pci, /sys/class/drm"),
    }


def _on_pci(answer: Answer) -> Iterator[dict[str, Any]]:
    for found, _ in list(answer.matching(_PCI))[: 10 * MOST]:
        said = answer.variables(found[0])
        pci = _PCI_ID.fullmatch(said.get("PCI_ID", ""))
        if pci is not None and _base_class(said) == _DISPLAY:
            yield {
                "vendor": GPU_VENDORS.get(pci[1], f"pci-{pci[1].lower()}"),
                "driver": word(said.get("DRIVER")),
                "pci": pci[0].lower(),
            }


def _base_class(said: Any) -> int | None:
    try:
        return int(said.get("PCI_CLASS", "")[:8], 16) >> 16
    except ValueError:
        return None


def _on_tree(answer: Answer) -> Iterator[dict[str, Any]]:
    for found, _ in answer.matching(_DRM):
        said = answer.variables(found[0])
        maker = said.get("OF_COMPATIBLE_0", "").partition(",")[0]
        if "PCI_ID" not in said and (name := word(maker)):
            vendor = _TREE_VENDORS.get(name, name)
            yield {"vendor": vendor, "driver": word(said.get("DRIVER")), "pci": None}


_NET = re.compile(r"/sys/class/net/([^/\n]{1,32})")
_NAMED_BY_MAC = re.compile(r"((?:en|wl|ww|ib)x)[0-9a-f]{12}")
"""systemd.net-naming-scheme(7): the name of what has no place of its own, such as on USB."""


def networks(answer: Answer) -> Readings:
    """Read ``nics``: those that are devices, not what is made of them."""
    if not answer.has("sysfs.net"):
        return {"nics": unknown("/sys/class/net is not there")}
    found = []
    for name, target in answer.linked(_NET):
        path = name[0]
        if "/virtual/" in target:
            continue
        said = answer.variables(f"{path}/device/uevent")
        pci = _PCI_ID.fullmatch(said.get("PCI_ID", ""))
        found.append(
            {
                "name": word(_NAMED_BY_MAC.sub(r"\1…", name[1])),
                "driver": word(said.get("DRIVER")),
                "pci": pci and pci[0].lower(),
                "speed": answer.number(f"{path}/speed") or None,
                "wireless": path in answer.values.get("wireless", ()),
                "mac": answer.line(f"{path}/address"),
            }
        )
    return {"nics": Fact(found, "/sys/class/net")}


def iommu(answer: Answer) -> Readings:
    """Read ``iommu.groups``: which PCI devices can only be given away together."""
    if not answer.has("sysfs.iommu"):
        return {"iommu.groups": unknown("/sys/kernel/iommu_groups is not there")}
    groups: dict[int, list[str]] = {}
    for line in answer.values.get("iommu", ()):
        number, _, device = line.partition("/devices/")
        if (group := whole_number(number)) is not None and (name := word(device)):
            groups.setdefault(group, []).append(name)
    listed = [{"group": group, "devices": sorted(groups[group])} for group in sorted(groups)]
    return {"iommu.groups": Fact(listed, "/sys/kernel/iommu_groups")}


_SUPPLY = re.compile(r"/sys/class/power_supply/([^/\n]{1,64})/uevent")


def batteries(answer: Answer) -> Readings:
    """Read ``batteries``: the machine's own, and how much of its first capacity each has."""
    if not answer.has("sysfs.power"):
        return {"batteries": unknown("/sys/class/power_supply is not there")}
    found = []
    for supply, _ in answer.matching(_SUPPLY):
        said = {
            name.removeprefix("POWER_SUPPLY_"): value
            for name, value in answer.variables(supply[0]).items()
        }
        # A mouse has one, too.
        if said.get("TYPE") == "Battery" and said.get("SCOPE") != "Device":
            found.append({"name": word(supply[1]), "health": _health(said)})
    return {"batteries": Fact(found[:MOST], "/sys/class/power_supply")}


def _health(said: dict[str, str]) -> float | None:
    """The share of the capacity that it was made with: 0.0 to 1.0, or a little more."""
    for kind in ("ENERGY", "CHARGE"):
        full = whole_number(said.get(f"{kind}_FULL", ""))
        design = whole_number(said.get(f"{kind}_FULL_DESIGN", ""))
        if full is not None and design:
            return round(full / design, 2)
    return None


_SENSOR = re.compile(r"(/sys/class/hwmon/hwmon[0-9]+)/(temp[0-9]+)_input")


def sensors(answer: Answer) -> Readings:
    """Read ``sensors``: temperatures as they were when it was asked, in degrees Celsius."""
    if not answer.has("sysfs.hwmon"):
        return {"sensors": unknown("/sys/class/hwmon is not there")}
    found = []
    for sensor, text in answer.matching(_SENSOR):
        below = text.startswith("-")
        if (milli := whole_number(text.removeprefix("-"))) is not None and milli < 10_000_000:
            found.append(
                {
                    "chip": answer.line(f"{sensor[1]}/name"),
                    "label": answer.line(f"{sensor[1]}/{sensor[2]}_label"),
                    "celsius": round((-milli if below else milli) / 1000, 1),
                }
            )
    return {"sensors": Fact(found[:MOST], "/sys/class/hwmon")}
