"""The feature network-stability: connections that outlive bad networks."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/network-stability").exists


def test_setting_is_there_at_the_next_boot(host: Any) -> None:
    """The kernel's settings for silent connections are in the running system."""
    settings = host.file("/etc/sysctl.d/60-nixos.conf").content_string
    assert "net.ipv4.tcp_keepalive_time=120\n" in settings


@pytest.mark.usefixtures("not_in_any_lab")
def test_setting_is_in_force(host: Any) -> None:
    """The kernel probes a silent connection after two minutes, before NAT forgets it."""
    assert host.file("/proc/sys/net/ipv4/tcp_keepalive_time").content_string.strip() == "120"
