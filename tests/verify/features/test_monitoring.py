"""The feature monitoring: how the host is, said or collected."""

from __future__ import annotations

from typing import Any

import pytest

FEATURE = "/etc/fleet/features/monitoring"


def test_knows_its_counterpart(host: Any, fleet_host: dict[str, Any]) -> None:
    """A server watches at least itself; a client knows the server of the inventory."""
    settings = fleet_host["settings"]["monitoring"]
    said = host.file(FEATURE).content_string
    if settings["mode"] == "server":
        assert fleet_host["name"] in said.split()
    else:
        assert f"To {settings['server']}, on port {settings['port']}." in said


@pytest.mark.usefixtures("not_in_lab")
def test_host_can_be_asked(host: Any, fleet_host: dict[str, Any]) -> None:
    """The node exporter runs, and listens on the port of the inventory."""
    assert host.service("prometheus-node-exporter").is_running
    port = fleet_host["settings"]["monitoring"]["port"]
    assert host.socket(f"tcp://0.0.0.0:{port}").is_listening


@pytest.mark.usefixtures("not_in_lab")
def test_server_collects(host: Any, fleet_host: dict[str, Any]) -> None:
    """On a server Prometheus runs, and listens where dashboards ask it."""
    if fleet_host["settings"]["monitoring"]["mode"] != "server":
        pytest.skip("a client: what it says is collected elsewhere")
    assert host.service("prometheus").is_running
    assert host.socket("tcp://0.0.0.0:9090").is_listening
