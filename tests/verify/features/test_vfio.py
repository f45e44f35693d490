"""The feature vfio: devices that the guests drive."""

from __future__ import annotations

from typing import Any

import pytest

FEATURE = "/etc/fleet/features/vfio"


def devices(host: Any) -> list[str]:
    """Vendor and device of what is kept for guests."""
    _, _, ids = host.file(FEATURE).content_string.strip().partition(": ")
    return list(ids.split(","))


def test_next_boot_keeps_the_devices_for_guests(host: Any) -> None:
    """The kernel's command line of the running system names the devices of the inventory."""
    assert f"vfio-pci.ids={','.join(devices(host))}" in parameters(host)


def parameters(host: Any) -> list[str]:
    """What the running system's kernel is booted with."""
    text: str = host.file("/run/current-system/kernel-params").content_string
    return text.split()


@pytest.mark.usefixtures("not_in_any_lab")
def test_devices_are_kept_for_guests(host: Any) -> None:
    """Each device is vfio-pci's, so that no driver of the host has it."""
    for device in devices(host):
        assert "Kernel driver in use: vfio-pci" in host.check_output(f"lspci -nnk -d {device}")
