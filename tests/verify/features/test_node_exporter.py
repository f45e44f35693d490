"""The feature node-exporter: tells how the host is."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/node-exporter").exists


@pytest.mark.usefixtures("not_in_lab")
def test_service_runs(host: Any) -> None:
    """The node exporter's service is running, so that the host can be monitored."""
    assert host.service("prometheus-node-exporter").is_running


@pytest.mark.usefixtures("not_in_lab")
def test_port_answers(host: Any) -> None:
    """Something listens where the fleet expects it."""
    assert host.socket("tcp://0.0.0.0:9100").is_listening
