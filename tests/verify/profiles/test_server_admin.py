"""The profile server-admin."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the profile."""
    assert host.file("/etc/fleet/profiles/server-admin").exists


@pytest.mark.usefixtures("not_in_lab")
@pytest.mark.parametrize("tool", ["ethtool", "iotop", "smartctl"])
def test_tool_is_there(host: Any, tool: str) -> None:
    """Each tool that an administrator types is found on the host's path."""
    assert host.exists(tool)
