"""The profile developer."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the profile."""
    assert host.file("/etc/fleet/profiles/developer").exists


@pytest.mark.usefixtures("not_in_lab")
@pytest.mark.parametrize("tool", ["gcc", "make", "python3", "rg"])
def test_tool_is_there(host: Any, tool: str) -> None:
    """Each tool that a developer types is found on the host's path."""
    assert host.exists(tool)
