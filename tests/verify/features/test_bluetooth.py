"""The feature bluetooth."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/bluetooth").exists


@pytest.mark.usefixtures("not_in_lab")
def test_service_can_start(host: Any) -> None:
    """The service is there for when somebody plugs an adapter in; without one it does not run."""
    assert host.service("bluetooth.service").exists
    assert not host.service("bluetooth.service").is_masked
