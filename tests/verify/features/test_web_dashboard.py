"""The feature web-dashboard: monitoring in a browser."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/web-dashboard").exists


def test_shows_what_this_host_collects(host: Any, fleet_host: dict[str, Any]) -> None:
    """The dashboard asks a Prometheus of its own host, so the host is a monitoring server."""
    assert "http://127.0.0.1:9090" in host.file("/etc/fleet/features/web-dashboard").content_string
    assert fleet_host["settings"]["monitoring"]["mode"] == "server"


@pytest.mark.usefixtures("not_in_lab")
def test_port_answers(host: Any, fleet_host: dict[str, Any]) -> None:
    """Grafana runs, and listens where browsers look for it."""
    assert host.service("grafana").is_running
    port = fleet_host["settings"]["web-dashboard"]["port"]
    assert host.socket(f"tcp://0.0.0.0:{port}").is_listening
