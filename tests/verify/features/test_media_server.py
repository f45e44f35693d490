"""The feature media-server."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/media-server").exists


@pytest.mark.usefixtures("not_in_lab")
def test_service_runs(host: Any) -> None:
    """The media server's service, jellyfin, is running on the host."""
    assert host.service("jellyfin").is_running


@pytest.mark.usefixtures("not_in_lab")
def test_port_answers(host: Any) -> None:
    """Something listens where the fleet expects it."""
    assert host.socket("tcp://0.0.0.0:8096").is_listening
