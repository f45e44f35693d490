"""The profile developer."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the profile."""
    assert host.file("/etc/fleet/profiles/developer").exists


@pytest.mark.usefixtures("not_in_lab")
def test_sources_stay(host: Any) -> None:
    """What was needed for a build is kept when garbage is collected."""
    assert host.check_output("nix config show keep-outputs") == "true"
