"""Disks, their partitions, and what is mounted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.core.facts import Fact
from orchestrator.facts.plan.answer import (
    MOST,
    Answer,
    Readings,
    known,
    listed,
    named,
    unknown,
    word,
)

_SECTOR = 512
"""Bytes: sizes in /sys/block are in these, whatever the disk's own are."""

_DISK = re.compile(r"/sys/block/([^/\n]{1,64})")
_PARTITION = re.compile(r"/sys/block/([^/\n]{1,64})/([^/\n]{1,64})/partition")
_OWN = re.compile(
    r"(?<=/by-id/)[^/]+|(?<=/by-uuid/)[^/]+|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
)
"""What of a device's name is of one machine alone: UUIDs, and serials below ``by-id``."""
_TRANSPORTS = (
    ("usb", re.compile(r"/usb[0-9]")),
    ("nvme", re.compile(r"/nvme")),
    ("virtio", re.compile(r"/virtio[0-9]")),
    ("mmc", re.compile(r"/mmc_host/")),
    ("sata", re.compile(r"/ata[0-9]")),
    ("scsi", re.compile(r"/host[0-9]")),
)
_OF_DISKS = frozenset({"zfs", "btrfs", "nfs", "nfs4", "cifs", "9p", "virtiofs", "fuse.sshfs"})


def disks(answer: Answer) -> Readings:
    """Read ``disks``, ``disk.largest``, ``partitions`` and ``filesystems``."""
    none = "/sys/block is not there"
    if not answer.has("sysfs.block"):
        found: dict[str, Fact] = dict.fromkeys(
            ("disks", "disk.largest", "partitions"), unknown(none)
        )
    else:
        ones = list(_disks(answer))
        fixed = [one["size"] for one in ones if not one["removable"] and one["transport"] != "usb"]
        found = {
            "disks": Fact(ones, "/sys/block"),
            "disk.largest": known(max(fixed, default=None), "/sys/block", "no fixed disk is seen"),
            "partitions": Fact(_partitions(answer), "/sys/block, lsblk"),
        }
    mounted = _mounted(answer)
    why = "/proc/self/mounts is not there"
    return {**found, "filesystems": known(mounted, "/proc/self/mounts", why)}


def _disks(answer: Answer) -> Iterator[dict[str, Any]]:
    ids, said = _ids(answer), dict(_by_name(named(answer.json("lsblk"), "blockdevices"), 0))
    for found, target in answer.linked(_DISK):
        path = found[0]
        size = answer.number(f"{path}/size")
        # What is made of other disks has no device; NVMe's disks of several ways have none either.
        is_real = "/virtual/" not in target or "/nvme-subsystem/" in target
        if not size or not is_real:
            continue
        name = word(found[1])
        yield {
            "name": name,
            "id": ids.get(found[1]),
            "size": size * _SECTOR,
            "rotational": _flag(answer, f"{path}/queue/rotational"),
            "removable": _flag(answer, f"{path}/removable"),
            "transport": _transport(target),
            "model": answer.line(f"{path}/device/model"),
            "serial": answer.line(f"{path}/device/serial")
            or answer.line(f"{path}/serial")
            or word(named(said.get(found[1]), "serial")),
            "smart": _smart(answer, found[1]),
        }


def _flag(answer: Answer, path: str) -> bool | None:
    return {"0": False, "1": True}.get(answer.line(path) or "")


def _transport(target: str) -> str | None:
    return next((name for name, pattern in _TRANSPORTS if pattern.search(target)), None)


def _smart(answer: Answer, name: str) -> str | None:
    """Whether a disk's own judgement is that it is well: ``smart_status`` of smartctl's JSON."""
    passed = named(named(answer.json(f"smart.{name}"), "smart_status"), "passed")
    return {True: "passed", False: "failed"}.get(passed) if isinstance(passed, bool) else None


def _ids(answer: Answer) -> Mapping[str, str]:
    """The name below ``/dev/disk/by-id`` of each disk: one that says what it is, where there is."""
    found: dict[str, list[str]] = {}
    for path, target in answer.links.items():
        if path.startswith("/dev/disk/by-id/") and (name := word(path.rpartition("/")[2])):
            found.setdefault(target.rpartition("/")[2], []).append(name)
    return {disk: min(names, key=_plainness) for disk, names in found.items()}


def _plainness(name: str) -> tuple[bool, str]:
    return name.startswith(("wwn-", "nvme-eui.", "nvme-nvme.", "scsi-")), name


def _partitions(answer: Answer) -> list[dict[str, Any]]:
    said = dict(_by_name(named(answer.json("lsblk"), "blockdevices"), 0))
    found = []
    for path in sorted(answer.files)[: 100 * MOST]:
        if one := _PARTITION.fullmatch(path):
            size = answer.number(f"/sys/block/{one[1]}/{one[2]}/size")
            found.append(
                {
                    "name": word(one[2]),
                    "disk": word(one[1]),
                    "size": None if size is None else size * _SECTOR,
                    "filesystem": word(named(said.get(one[2]), "fstype")),
                }
            )
    return found[:MOST]


def _by_name(devices: object, depth: int) -> Iterator[tuple[str, Any]]:
    """What ``lsblk -J`` says of each device, and of those that are made of it."""
    for one in listed(devices) if depth < 10 else ():
        if name := word(named(one, "name")):
            yield name, one
        yield from _by_name(named(one, "children"), depth + 1)


def _mounted(answer: Answer) -> list[dict[str, Any]] | None:
    """What is mounted that keeps something: proc(5), /proc/mounts."""
    said = answer.files.get("/proc/self/mounts")
    if said is None:
        return None
    found: dict[str, dict[str, Any]] = {}
    for line in said:
        device, _, rest = line.partition(" ")
        mount, _, rest = rest.partition(" ")
        kind = rest.partition(" ")[0]
        if device.startswith("/dev/") or kind in _OF_DISKS or mount == "/":
            shown = word(_OWN.sub("…", device))
            found.setdefault(mount, {"mount": word(mount), "device": shown, "type": word(kind)})
    return list(found.values())[:MOST]
