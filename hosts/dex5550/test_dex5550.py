"""The host that watches the others."""

from __future__ import annotations

from typing import Any

import pytest


def test_watches_the_other_server(host: Any) -> None:
    """The media server is among those watched."""
    watched = host.file("/etc/fleet/features/monitoring").content_string.split()
    assert "p510" in watched


@pytest.mark.usefixtures("not_in_lab")
def test_history_is_long(host: Any) -> None:
    """A year and a half is kept, as comparing seasons needs it."""
    assert "retention.time=550d" in host.check_output("systemctl show -p ExecStart prometheus")
