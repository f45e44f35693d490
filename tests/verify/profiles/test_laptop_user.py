"""The profile laptop-user."""

from __future__ import annotations

from typing import Any


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the profile."""
    assert host.file("/etc/fleet/profiles/laptop-user").exists
    assert host.file("/etc/fleet/profiles/desktop-user").exists
