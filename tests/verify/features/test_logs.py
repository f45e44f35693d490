"""The feature logs: sent to another host, or kept for others."""

from __future__ import annotations

from typing import Any

import pytest


def test_knows_its_counterpart(host: Any, fleet_host: dict[str, Any]) -> None:
    """A client sends its logs to the server of the inventory; a server says that it keeps them."""
    settings = fleet_host["settings"]["logs"]
    said = host.file("/etc/fleet/features/logs").content_string
    expected = "Keeps logs" if settings["mode"] == "server" else f"To {settings['server']}"
    assert said == f"{expected}, on port {settings['port']}.\n"


@pytest.mark.usefixtures("not_in_lab")
def test_service_runs(host: Any, fleet_host: dict[str, Any]) -> None:
    """The syslog daemon runs; on a server it takes what others send."""
    settings = fleet_host["settings"]["logs"]
    assert host.service("syslog").is_running
    if settings["mode"] == "server":
        assert host.socket(f"tcp://0.0.0.0:{settings['port']}").is_listening
