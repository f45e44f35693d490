"""The feature power-saving."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/power-saving").exists


@pytest.mark.usefixtures("not_in_lab")
def test_service_runs(host: Any) -> None:
    """The service that saves power, tlp, is running on the host."""
    assert host.service("tlp").is_running
