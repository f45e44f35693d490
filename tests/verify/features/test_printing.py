"""The feature printing."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/printing").exists


@pytest.mark.usefixtures("not_in_lab")
def test_service_runs(host: Any) -> None:
    """Print jobs are taken, and printers found."""
    assert host.service("cups.socket").is_running
    assert host.service("avahi-daemon").is_running
