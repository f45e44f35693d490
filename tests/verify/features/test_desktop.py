"""The feature desktop: what every graphical desktop has."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/desktop").exists


@pytest.mark.usefixtures("not_in_any_lab")
def test_a_desktop_is_shown(host: Any) -> None:
    """The display manager is running, so that somebody can log in at the screen."""
    # A switch starts nothing of a target that the host has not reached: on one that booted without
    # a desktop its first one begins with the next boot.
    if not host.service("graphical.target").is_running:
        pytest.skip("the desktop starts with the next boot: graphical.target is not reached")
    assert host.service("display-manager").is_running
