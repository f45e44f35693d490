"""The template server."""

from __future__ import annotations

from typing import Any


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built from the template."""
    assert host.file("/etc/fleet/template").content_string.strip() == "server"


def test_deploy_user_becomes_root(host: Any) -> None:
    """The next deployment comes as this user, and nobody is there to type a password."""
    assert host.user("deploy").exists
    with host.sudo("deploy"):
        answer = host.run("sudo -n id -u")
    assert answer.stdout.strip() == "0", answer.stderr
