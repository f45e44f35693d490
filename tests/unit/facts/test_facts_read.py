"""What is read out of answers that no machine of ours gives: laptops, boards, containers, WSL."""

from __future__ import annotations

import base64
import struct
from typing import Any

import pytest

from orchestrator.core.facts import Fact
from orchestrator.facts.plan.read import read

LAPTOP = """\
/etc/machine-id:abc
root=yes
kernel=6.12.8
machine=x86_64
/etc/os-release:ID=nixos
/etc/os-release:VERSION_ID="24.11"
/run/current-system/nixos-version:24.11.20250101.abcdef
cpuinfo=vendor_id : GenuineIntel
cpuinfo=model name : 13th Gen Intel(R) Core(TM) i7-1360P
cpuinfo=flags : fpu vmx avx2 aes
sysfs.pci=yes
sysfs.net=yes
sysfs.power=yes
sysfs.hwmon=yes
sysfs.firmware=yes
sysfs.tpm=yes
efi=yes
kvm=yes
secure_boot=BgAAAAE=
/sys/class/tpm/tpm0/tpm_version_major:2
/sys/class/dmi/id/sys_vendor:LENOVO
/sys/class/dmi/id/chassis_type:10
/sys/bus/pci/devices/0000:00:02.0/uevent:DRIVER=i915
/sys/bus/pci/devices/0000:00:02.0/uevent:PCI_CLASS=30000
/sys/bus/pci/devices/0000:00:02.0/uevent:PCI_ID=8086:A7A0
/sys/bus/pci/devices/0000:01:00.0/uevent:PCI_CLASS=30200
/sys/bus/pci/devices/0000:01:00.0/uevent:PCI_ID=10DE:25A2
/sys/bus/pci/devices/0000:02:00.0/uevent:PCI_CLASS=nonsense
/sys/bus/pci/devices/0000:02:00.0/uevent:PCI_ID=10DE:25A2
link=/sys/class/net/wlp1s0 -> ../../devices/pci0000:00/0000:00:14.3/net/wlp1s0
link=/sys/class/net/lo -> ../../devices/virtual/net/lo
/sys/class/net/wlp1s0/device/uevent:DRIVER=iwlwifi
/sys/class/net/wlp1s0/device/uevent:PCI_ID=8086:51F0
/sys/class/net/wlp1s0/address:52:54:00:00:00:01
/sys/class/net/wlp1s0/speed:0
wireless=/sys/class/net/wlp1s0
/sys/class/power_supply/BAT0/uevent:POWER_SUPPLY_TYPE=Battery
/sys/class/power_supply/BAT0/uevent:POWER_SUPPLY_ENERGY_FULL=45000000
/sys/class/power_supply/BAT0/uevent:POWER_SUPPLY_ENERGY_FULL_DESIGN=50000000
/sys/class/power_supply/hidpp_battery_0/uevent:POWER_SUPPLY_TYPE=Battery
/sys/class/power_supply/hidpp_battery_0/uevent:POWER_SUPPLY_SCOPE=Device
/sys/class/power_supply/BAT1/uevent:POWER_SUPPLY_TYPE=Battery
/sys/class/power_supply/AC/uevent:POWER_SUPPLY_TYPE=Mains
/sys/class/hwmon/hwmon3/name:coretemp
/sys/class/hwmon/hwmon3/temp1_input:51000
/sys/class/hwmon/hwmon3/temp1_label:Package id 0
/sys/class/hwmon/hwmon4/temp1_input:-4500
/sys/class/hwmon/hwmon4/temp2_input:hot
virt=none
nix=nix (Nix) 2.24.11
analyze=Startup finished in 6.1s (firmware) + 1min 2.5s (loader) + 900ms (kernel) = 1min 9s
active=active inactive inactive inactive inactive inactive
timesync=yes
end=
"""


def facts(text: str) -> dict[str, Fact]:
    """What is read out of an answer."""
    return dict(read(text)[1])


def value(text: str, key: str) -> Any:
    """One value of it."""
    return facts(text)[key].value


def test_a_laptop_is_read_whole() -> None:
    """Battery, temperatures, both graphics, wireless, Secure Boot, TPM, boot time and versions."""
    found = {key: fact.value for key, fact in facts(LAPTOP).items()}
    expected = {
        "gpu.vendors": ["intel", "nvidia"],
        "chassis": "laptop",
        "virtualisation": "none",
        "firmware": "uefi",
        "secure-boot": True,
        "tpm": "2.0",
        "nixos.version": "24.11.20250101.abcdef",
        "nix.version": "2.24.11",
        "boot.time": {"firmware": 6.1, "loader": 62.5, "kernel": 0.9},
        "time.source": "systemd-timesyncd",
        "time.synchronised": True,
        "batteries": [{"name": "BAT0", "health": 0.9}, {"name": "BAT1", "health": None}],
        "sensors": [
            {"chip": "coretemp", "label": "Package id 0", "celsius": 51.0},
            {"chip": None, "label": None, "celsius": -4.5},
        ],
        "nics": [
            {
                "name": "wlp1s0",
                "driver": "iwlwifi",
                "pci": "8086:51f0",
                "speed": None,
                "wireless": True,
                "mac": "52:54:00:00:00:01",
            }
        ],
    }
    assert {key: found[key] for key in expected} == expected
    held = {"kvm", "aes", "avx2", "uefi", "secure-boot", "tpm2", "battery", "wireless"}
    assert set(found["capabilities"]) == held


def test_a_machine_whose_processor_shows_no_hypervisor_is_a_real_one() -> None:
    """Without systemd's tool, a processor without that flag and a maker's name say: no VM."""
    text = LAPTOP.replace("virt=none", "missing=systemd-detect-virt")
    assert facts(text)["virtualisation"] == Fact("none", "/proc/cpuinfo")
    assert value(text.replace("flags : fpu", "flags : hypervisor"), "virtualisation") is None


@pytest.mark.parametrize(
    ("line", "kind", "source"),
    [
        ("/sys/class/dmi/id/sys_vendor:VMware, Inc.", "vmware", "/sys/class/dmi/id/sys_vendor"),
        ("/sys/hypervisor/type:xen", "xen", "/sys/hypervisor/type"),
        (
            'lscpu={"lscpu": [{"field": "Hypervisor vendor:", "data": "KVM"}]}',
            "kvm",
            "lscpu",
        ),
    ],
)
def test_what_a_virtual_machine_is_in_is_found_without_systemd(
    line: str, kind: str, source: str
) -> None:
    """Firmware, the kernel and lscpu name a hypervisor where systemd's tool is not there."""
    assert facts(f"{line}\nmissing=systemd-detect-virt")["virtualisation"] == Fact(kind, source)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("virt=lxc", "lxc"),
        ("/run/systemd/container:systemd-nspawn", "systemd-nspawn"),
        ("container=podman", "podman"),
        ("docker=yes", "docker"),
    ],
)
def test_a_container_is_known_by_each_of_its_signs(line: str, kind: str) -> None:
    """Whatever it is that says it, a container is one, and its kind is named."""
    found = facts(f"{line}\n/sys/class/dmi/id/sys_vendor:QEMU")
    assert (found["virtualisation"].value, found["container"].value) == ("container", kind)


def test_wsl_is_known_by_its_kernel() -> None:
    """A kernel of Microsoft's is WSL, even in what says that it is a container."""
    text = "/proc/sys/kernel/osrelease:5.15.90.1-microsoft-standard-WSL2\nvirt=docker"
    assert value(text, "virtualisation") == "wsl"


def test_a_board_with_a_device_tree_has_its_graphics_and_its_name() -> None:
    """Graphics that are no PCI device are known by the device tree, which has the board's name."""
    text = (
        "sysfs.firmware=yes\ndevicetree=yes\nmachine=aarch64\n"
        "/sys/firmware/devicetree/base/model:Raspberry Pi 4 Model B Rev 1.4\n"
        "/sys/class/drm/card0/device/uevent:DRIVER=vc4-drm\n"
        "/sys/class/drm/card0/device/uevent:OF_COMPATIBLE_0=brcm,bcm2711-vc5\n"
        "/sys/class/drm/card1/device/uevent:PCI_ID=10DE:25A2\n"
        "cpuinfo=CPU implementer : 0x41\n"
    )
    found = {key: fact.value for key, fact in facts(text).items()}
    assert found["gpus"] == [{"vendor": "broadcom", "driver": "vc4-drm", "pci": None}]
    assert found["dmi.product"] == "Raspberry Pi 4 Model B Rev 1.4"
    assert found["firmware"] == "devicetree"
    assert found["cpu.vendor"] == "arm"


@pytest.mark.parametrize(
    ("active", "more", "source", "synchronised"),
    [
        ("inactive active active inactive inactive inactive", "Leap status : Normal", "chrony", 1),
        (
            "inactive active inactive inactive inactive inactive",
            "Leap status     : Not synchronised",
            "chrony",
            0,
        ),
        ("inactive inactive inactive inactive inactive inactive", "", "none", 0),
        ("inactive inactive inactive active inactive inactive", "", "ntpd", None),
        ("active", "", None, None),
    ],
)
def test_who_sets_the_clock_and_whether_it_is_set(
    active: str, more: str, source: str | None, synchronised: int | None
) -> None:
    """The active service is named; chrony says itself whether it is synchronised."""
    found = facts(f"active={active}\nchrony={more}")
    assert found["time.source"].value == source
    held = None if synchronised is None else bool(synchronised)
    assert found["time.synchronised"].value is held


def structure(kind: int, handle: int, body: bytes, *strings: str) -> bytes:
    """A structure of SMBIOS."""
    texts = b"".join(text.encode() + b"\0" for text in strings) or b"\0"
    return struct.pack("<BBH", kind, len(body) + 4, handle) + body + texts + b"\0"


def module(size: int, extended: int = 0, array: int = 1) -> bytes:
    """A memory device (type 17) with one slot's name."""
    head = struct.pack("<HHHHHBBBBBH", array, 0xFFFE, 72, 64, size, 9, 0, 1, 0, 26, 0)
    return structure(17, 9, head + struct.pack("<HBBBBBI", 3200, 0, 0, 0, 0, 0, extended), "A1")


def array(use: int, ecc: int, handle: int = 1) -> bytes:
    """A memory array (type 16)."""
    return structure(16, handle, struct.pack("<BBBIHH", 3, use, ecc, 0, 0xFFFE, 1))


@pytest.mark.parametrize(
    ("table", "installed", "ecc"),
    [
        (array(3, 6) + module(0x7FFF, 65536) + module(16384), (64 + 16) << 30, True),
        (array(3, 3) + module(0x8000 | 512), 512 << 10, False),
        (array(3, 5) + module(0) + module(1024), 1 << 30, True),
        (array(3, 2) + module(0xFFFF), None, None),
        (array(4, 3, 2) + array(3, 6) + module(8, array=2) + module(1024), 1 << 30, True),
        (array(3, 3) + array(3, 6, 2) + module(1024), 1 << 30, None),
        (array(3, 6) + module(1024) + structure(127, 99, b""), 1 << 30, True),
    ],
    ids=["extended", "KiB", "empty slot", "unknown", "cache", "two kinds", "end"],
)
def test_memory_is_what_smbios_says(table: bytes, installed: int | None, ecc: bool | None) -> None:
    """Sizes in MiB, KiB and extended are added up over slots of the system's memory."""
    found = facts(f"root=yes\ndmi={base64.b64encode(table).decode()}")
    assert found["memory.installed"].value == installed
    assert found["memory.ecc"].value is ecc


def test_the_kernel_knows_of_ecc_where_smbios_does_not_say() -> None:
    """A memory controller whose errors the kernel counts has ECC."""
    text = "/sys/devices/system/edac/mc/mc0/mc_name:AMD64 memory controller"
    assert value(text, "memory.ecc") is True


def test_memory_that_nothing_else_says_is_what_the_kernel_left() -> None:
    """Without SMBIOS and blocks it is MemTotal, and the source says that some is missing."""
    found = facts("/proc/meminfo:MemTotal:       16314308 kB")["memory.installed"]
    assert found.value == 16314308 * 1024
    assert "without what the kernel keeps" in found.source


@pytest.mark.parametrize("online", ["", "3-1", "x", "0-", "0-999999", "1,,2", "-"])
def test_a_list_of_processors_that_is_none_counts_nothing(online: str) -> None:
    """What is no list of processors is unknown, and never a number."""
    assert value(f"/sys/devices/system/cpu/online:{online}", "cpu.threads") is None
    assert value("/sys/devices/system/cpu/online:0-3,8", "cpu.threads") == 5


def test_disks_that_are_made_of_others_are_none() -> None:
    """Loops, memory and mappings are no disks; NVMe over several ways is one."""
    text = (
        "sysfs.block=yes\n"
        "link=/sys/block/dm-0 -> ../devices/virtual/block/dm-0\n/sys/block/dm-0/size:8\n"
        "link=/sys/block/nvme0n1 -> "
        "../devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1\n/sys/block/nvme0n1/size:8\n"
        "link=/sys/block/sr0 -> ../devices/pci/ata1/host0/sr0\n/sys/block/sr0/size:0\n"
        "link=/dev/disk/by-id/wwn-0x5 -> ../../nvme0n1\n"
        "link=/dev/disk/by-id/nvme-X_1 -> ../../nvme0n1\n"
        "/proc/self/mounts:/dev/mapper/luks-01234567-89ab-cdef-0123-456789abcdef / ext4 rw 0 0\n"
        "/proc/self/mounts:tank/home /home zfs rw 0 0\n"
        "/proc/self/mounts:proc /proc proc rw 0 0\n"
    )
    found = {key: fact.value for key, fact in facts(text).items()}
    assert [(disk["name"], disk["id"]) for disk in found["disks"]] == [("nvme0n1", "nvme-X_1")]
    assert found["filesystems"] == [
        {"mount": "/", "device": "/dev/mapper/luks-…", "type": "ext4"},
        {"mount": "/home", "device": "tank/home", "type": "zfs"},
    ]


@pytest.mark.parametrize(("said", "held"), [("", False), ("iommu.table=yes\n", True)])
def test_an_iommu_that_the_kernel_does_not_use_yet_is_there(said: str, held: bool) -> None:
    """Where firmware names an IOMMU the machine can, before the kernel is told to use it."""
    _, facts = read(f"{LAPTOP}sysfs.iommu=yes\n{said}")
    assert facts["iommu.groups"].value == []
    assert ("iommu" in facts["capabilities"].value) is held
    assert "iommu" not in facts["capabilities.unknown"].value
