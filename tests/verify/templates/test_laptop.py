"""The template laptop."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built from the template."""
    assert host.file("/etc/fleet/template").content_string.strip() == "laptop"


@pytest.mark.usefixtures("not_in_any_lab")
def test_service_runs(host: Any) -> None:
    """NetworkManager is running, so that the laptop can join a network."""
    assert host.service("NetworkManager").is_running
