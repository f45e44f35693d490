"""The feature firewall: refuses what is not asked for."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/firewall").exists


@pytest.mark.usefixtures("not_in_lab")
def test_service_runs(host: Any) -> None:
    """The rules were loaded, and no error ended that."""
    # NixOS has one unit for iptables and another one for nftables.
    units = ("firewall.service", "nftables.service")
    assert "active" in host.run("systemctl is-active " + " ".join(units)).stdout.split()
