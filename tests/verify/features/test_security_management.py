"""The feature security-management: what people do as root is asked for and written down."""

from __future__ import annotations

from typing import Any


def test_sudo_asks_again_and_writes_down(host: Any) -> None:
    """Sudo's own list of its defaults has the five minutes, the terminal and the log."""
    assert host.file("/etc/fleet/features/security-management").exists
    said = host.check_output("sudo -l -U root")
    for default in ("timestamp_timeout=5", "use_pty", r"logfile=/var/log/sudo.log"):
        assert default in said.replace("\\", "")
