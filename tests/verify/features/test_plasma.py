"""The feature plasma."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/plasma").exists


@pytest.mark.usefixtures("not_in_lab")
def test_session_can_be_chosen(host: Any) -> None:
    """Plasma is installed, and there is a session of its name to log in to."""
    assert host.exists("startplasma-wayland")
    assert host.file("/run/current-system/sw/share/wayland-sessions/plasma.desktop").exists
