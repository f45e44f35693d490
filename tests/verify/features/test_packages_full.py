"""The feature packages-full."""

from __future__ import annotations

from typing import Any

import pytest

TOOLS = ("dot", "ffmpeg", "iperf3", "magick", "ncdu", "nmap", "socat", "tcpdump")


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/packages-full").exists


@pytest.mark.usefixtures("not_in_lab")
def test_tools_are_there(host: Any) -> None:
    """Each program of the bundle is found on the host's path."""
    assert [tool for tool in TOOLS if not host.exists(tool)] == []
