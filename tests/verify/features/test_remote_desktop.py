"""The feature remote-desktop: a desktop of one's own from afar."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/remote-desktop").exists


@pytest.mark.usefixtures("not_in_lab")
def test_service_listens(host: Any) -> None:
    """The RDP server runs, and listens where clients look for it."""
    assert host.service("xrdp").is_running
    assert host.socket("tcp://3389").is_listening
