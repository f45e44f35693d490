"""The feature tailscale: reached from anywhere."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/tailscale").exists


@pytest.mark.usefixtures("not_in_any_lab")
def test_service_runs(host: Any) -> None:
    """The daemon of the private network runs, whether or not the host has joined one yet."""
    assert host.service("tailscaled").is_running
