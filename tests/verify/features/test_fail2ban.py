"""The feature fail2ban: who tries passwords is banned."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature."""
    assert host.file("/etc/fleet/features/fail2ban").exists


@pytest.mark.usefixtures("not_in_any_lab")
def test_sshd_is_watched(host: Any) -> None:
    """Failed logins by SSH are counted: there is a jail for them."""
    assert host.run("fail2ban-client status sshd").rc == 0
