"""The feature gaming."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/gaming").exists


@pytest.mark.usefixtures("not_in_lab")
def test_programs_are_there(host: Any) -> None:
    """Steam and GameMode are found on the host's path."""
    assert host.exists("steam")
    assert host.exists("gamemoderun")
