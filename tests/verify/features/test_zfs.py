"""The feature zfs."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/zfs").exists


@pytest.mark.usefixtures("not_in_any_lab")
def test_pools_are_whole(host: Any) -> None:
    """Each pool of the inventory is imported, and no disk of it is missing or faulty."""
    for pool in host.file("/etc/fleet/features/zfs").content_string.split():
        assert host.check_output(f"zpool list -H -o health {pool}") == "ONLINE"
