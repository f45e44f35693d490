"""The feature monitoring-server."""

from __future__ import annotations

from typing import Any

import pytest


def test_watches_itself(host: Any, fleet_host: dict[str, Any]) -> None:
    """The monitoring server watches some hosts, and itself if the inventory has it export."""
    watched = host.file("/etc/fleet/features/monitoring-server").content_string.split()
    assert watched
    assert (fleet_host["name"] in watched) == ("node-exporter" in fleet_host["features"])


@pytest.mark.usefixtures("not_in_lab")
def test_service_runs(host: Any) -> None:
    """The monitoring server's service, prometheus, is running on the host."""
    assert host.service("prometheus").is_running


@pytest.mark.usefixtures("not_in_lab")
def test_port_answers(host: Any) -> None:
    """Something listens where the fleet expects it."""
    assert host.socket("tcp://0.0.0.0:9090").is_listening
