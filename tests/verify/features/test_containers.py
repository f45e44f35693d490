"""The feature containers: containers of single programs."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/containers").exists


@pytest.mark.usefixtures("not_in_lab")
def test_containers_can_start(host: Any) -> None:
    """Podman answers, by its own name and as docker."""
    assert host.run("podman info").rc == 0
    assert host.run("docker info").rc == 0
