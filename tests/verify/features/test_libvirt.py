"""The feature libvirt: virtual machines."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/libvirt").exists


@pytest.mark.usefixtures("not_in_lab")
def test_machines_can_be_asked_for(host: Any) -> None:
    """Whoever asks for the list of virtual machines gets one, if only an empty one."""
    assert host.run("virsh --connect qemu:///system list --all").rc == 0


@pytest.mark.usefixtures("not_in_any_lab")
def test_machines_are_virtualised_by_the_processor(host: Any) -> None:
    """The processor runs virtual machines by itself: the kernel offers KVM."""
    assert host.file("/dev/kvm").exists
