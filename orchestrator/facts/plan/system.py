"""What a machine is in, what started it, and what it runs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from orchestrator.core.facts import Fact
from orchestrator.facts.plan import smbios
from orchestrator.facts.plan.answer import Answer, Readings, first, known, unknown, word
from orchestrator.facts.plan.processor import from_lscpu

_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,40}")
CONTAINERS = re.compile(
    "openvz|lxc|lxc-libvirt|systemd-nspawn|docker|podman|rkt|proot|pouch|container-other"
)
"""systemd-detect-virt(1)."""

_X86 = re.compile(r"x86_64|i[3-6]86")
_DMI = "/sys/class/dmi/id"


def surroundings(answer: Answer) -> Readings:
    """Read ``virtualisation``, and ``container``: its kind, where it is one."""
    inner = _container(answer)
    if inner is not None:
        kind = "wsl" if inner.value == "wsl" else "container"
        return {"virtualisation": Fact(kind, inner.source), "container": inner}
    return {
        "virtualisation": first(
            (_machine(answer), _by_vendor(answer), _by_lscpu(answer), _by_flag(answer))
        ),
        "container": unknown("it is none"),
    }


def _container(answer: Answer) -> Fact | None:
    """The kind of container that it is; ``None`` where nothing says that it is one."""
    release = answer.line("/proc/sys/kernel/osrelease") or ""
    said = _word(answer.value("virt"))
    if "microsoft" in release.lower() or said == "wsl":
        return Fact("wsl", "/proc/sys/kernel/osrelease")
    if said and CONTAINERS.fullmatch(said):
        return Fact(said, "systemd-detect-virt")
    if kind := _word(answer.line("/run/systemd/container")):
        return Fact(kind, "/run/systemd/container")
    if kind := _word(answer.value("container")):
        return Fact(kind, "/proc/1/environ")
    return Fact("docker", "/.dockerenv") if answer.has("docker") else None


def _word(text: str | None) -> str | None:
    return text if text and _WORD.fullmatch(text) else None


def _machine(answer: Answer) -> Fact:
    """What systemd says. But for x86, which has an instruction, it takes root to know of none."""
    said = _word(answer.value("virt"))
    if said == "none" and not answer.is_root and not _is_x86(answer):
        return unknown("systemd-detect-virt: only root can tell it here")
    why = answer.why_not("systemd-detect-virt", "virt")
    return known(said, "systemd-detect-virt", why)


def _is_x86(answer: Answer) -> bool:
    return _X86.fullmatch(answer.value("machine") or "") is not None


_VM_VENDORS = {
    "QEMU": "qemu",
    "VMware, Inc.": "vmware",
    "innotek GmbH": "oracle",
    "Xen": "xen",
    "Amazon EC2": "amazon",
    "Google": "google",
    "Parallels": "parallels",
}
"""By SMBIOS, as systemd-detect-virt(1) names them."""


def _by_vendor(answer: Answer) -> Fact:
    """What its firmware or the kernel says of a hypervisor."""
    if kind := _word(answer.line("/sys/hypervisor/type")):
        return Fact(kind, "/sys/hypervisor/type")
    vendor = answer.line(f"{_DMI}/sys_vendor") or ""
    if vendor in _VM_VENDORS:
        return Fact(_VM_VENDORS[vendor], f"{_DMI}/sys_vendor")
    return unknown("nothing says it")


def _by_lscpu(answer: Answer) -> Fact:
    found = from_lscpu(answer, "Hypervisor vendor")
    return known(_word((found.value or "").lower()), "lscpu", found.source)


def _by_flag(answer: Answer) -> Fact:
    """No hypervisor shows itself to the processor, and firmware names a maker: a real machine."""
    lines = answer.values.get("cpuinfo", ())
    flags = [line.partition(":")[2].split() for line in lines if line.startswith("flags")]
    real = flags and "hypervisor" not in flags[0] and answer.line(f"{_DMI}/sys_vendor")
    return known("none" if real else None, "/proc/cpuinfo", "nothing says it")


def firmware(answer: Answer) -> Readings:
    """Read ``firmware``, ``secure-boot``, ``tpm``, ``dmi.*`` and ``chassis``."""
    started = _firmware(answer)
    return {
        "firmware": started,
        "secure-boot": _secure_boot(answer, started),
        "tpm": _tpm(answer),
        **_made_by(answer),
    }


def _firmware(answer: Answer) -> Fact:
    if answer.has("efi"):
        return Fact("uefi", "/sys/firmware/efi")
    if not answer.has("sysfs.firmware"):
        return unknown("/sys/firmware is not there")
    if answer.has("devicetree"):
        return Fact("devicetree", "/sys/firmware/devicetree")
    return known("bios" if _is_x86(answer) else None, "/sys/firmware", "nothing says it")


def _secure_boot(answer: Answer, started: Fact) -> Fact:
    """Read UEFI's variable ``SecureBoot``: four bytes of attributes, and one that is 1 or 0."""
    if started.value != "uefi":
        why = started.source if started.value is None else ""
        return unknown(why) if why else Fact(False, started.source)
    data = answer.bytes("secure_boot")
    on = {0: False, 1: True}.get(data[4]) if len(data) == 5 else None
    return known(on, "UEFI's variable SecureBoot", "UEFI's variable SecureBoot cannot be read")


def _tpm(answer: Answer) -> Fact:
    majors = [said[0] for path, said in answer.files.items() if path.endswith("/tpm_version_major")]
    version = {"1": "1.2", "2": "2.0"}.get(majors[0].strip()) if majors else "none"
    if not answer.has("sysfs.tpm"):
        return unknown("/sys/class/tpm is not there")
    return known(version, "/sys/class/tpm", "its version is not understood")


_SAID = {
    "dmi.vendor": "sys_vendor",
    "dmi.product": "product_name",
    "dmi.version": "product_version",
    "dmi.board": "board_name",
    "dmi.bios": "bios_version",
}


def _made_by(answer: Answer) -> Readings:
    is_there = any(path.startswith(_DMI) for path in answer.files)
    none = "SMBIOS does not say it" if is_there else "there is no SMBIOS"
    found = {
        key: known(answer.line(f"{_DMI}/{file}"), f"{_DMI}/{file}", none)
        for key, file in _SAID.items()
    }
    model = answer.line("/sys/firmware/devicetree/base/model")
    found["dmi.product"] = first(
        (found["dmi.product"], known(model, "/sys/firmware/devicetree/base/model", none))
    )
    number = answer.number(f"{_DMI}/chassis_type")
    kind = smbios.CHASSIS.get(number & 0x7F) if number is not None else None
    table = [one for one in smbios.structures(answer.bytes("dmi")) if one.kind == 1]
    serial = table[0].text(0x07) if table else None
    return {
        **found,
        "chassis": known(kind, f"{_DMI}/chassis_type", none),
        "dmi.serial": known(serial, "SMBIOS", f"SMBIOS: {answer.why_no_root}"),
    }


_UNITS = ("systemd-timesyncd", "chronyd", "chrony", "ntpd", "ntpsec", "openntpd")
_PHASE = re.compile(
    r"(?:([0-9]{1,3})h )?(?:([0-9]{1,3})min )?([0-9]{1,5}(?:\.[0-9]{1,6})?)(ms|s) \(([a-z]+)\)"
)


def running(answer: Answer) -> Readings:
    """Read the kernel, how long booting took, the clock's source, NixOS's version and Nix's."""
    phases = _phases(answer.value("analyze") or "")
    return {
        "kernel": known(word(answer.value("kernel")), "uname", "uname did not answer"),
        "architecture": known(word(answer.value("machine")), "uname", "uname did not answer"),
        "boot.time": known(
            phases or None,
            "systemd-analyze",
            answer.why_not("systemd-analyze", "analyze"),
        ),
        **_clock(answer),
        **_versions(answer),
    }


def _phases(text: str) -> Mapping[str, float]:
    """Seconds by phase of ``systemd-analyze time``: firmware, loader, kernel, initrd, userspace."""
    found = {}
    for hours, minutes, number, unit, phase in _PHASE.findall(text[:2000]):
        seconds = float(number) / (1000 if unit == "ms" else 1)
        found[phase] = round(seconds + 60 * int(minutes or 0) + 3600 * int(hours or 0), 3)
    return found


def _clock(answer: Answer) -> Readings:
    states = (answer.value("active") or "").split()
    active = None
    if len(states) == len(_UNITS):
        on = [name for name, state in zip(_UNITS, states, strict=True) if state == "active"]
        active = on[0].replace("chronyd", "chrony") if on else "none"
    clock = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
    return {
        "time.source": known(active, "systemctl", answer.why_not("systemctl", "active")),
        "time.synchronised": _synchronised(answer, active),
        "time.clocksource": known(answer.line(clock), clock, f"{clock} is not there"),
    }


def _synchronised(answer: Answer, active: str | None) -> Fact:
    match active:
        case "systemd-timesyncd":
            return Fact(answer.has("timesync"), "/run/systemd/timesync/synchronized")
        case "chrony":
            said = re.search(
                r"Leap status +: (Normal|Not synchronised)", answer.value("chrony") or ""
            )
            value = said[1] == "Normal" if said else None
            return known(value, "chronyc", answer.why_not("chronyc", "chrony"))
        case "none":
            return Fact(False, "systemctl")
    return unknown("nothing that is asked says it")


def _versions(answer: Answer) -> Readings:
    said = answer.files.get("/etc/os-release", ())
    pairs = (line.partition("=") for line in said)
    release = {key: word(value.strip().strip("\"'")) for key, _, value in pairs}
    system = release.get("ID")
    nixos = answer.line("/run/current-system/nixos-version")
    if nixos is None and system == "nixos":
        nixos = release.get("VERSION_ID")
    nix = re.search(r"[0-9]+\.[0-9]+[A-Za-z0-9.+_-]{0,60}", answer.value("nix") or "")
    none = f"it runs {system}" if system not in (None, "nixos") else "nothing says it"
    return {
        "os": known(system, "/etc/os-release", "/etc/os-release does not say it"),
        "nixos.version": known(nixos, "/run/current-system/nixos-version", none),
        "nix.version": known(nix and nix[0], "nix", answer.why_not("nix")),
    }
