"""The feature virtualisation."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/virtualisation").exists


@pytest.mark.usefixtures("not_in_lab")
def test_containers_and_machines_can_start(host: Any) -> None:
    """Podman answers, also as docker, and Incus is there for whoever asks."""
    assert host.run("docker info").rc == 0
    assert host.service("incus.socket").is_running
