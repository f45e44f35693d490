"""The feature hardening: what few need is closed."""

from __future__ import annotations

from typing import Any

import pytest


def test_is_in_the_running_system(host: Any) -> None:
    """The system that runs was built with the feature, the kernel's settings among it."""
    assert host.file("/etc/fleet/features/hardening").exists
    settings = host.file("/etc/sysctl.d/60-nixos.conf").content_string
    assert "kernel.dmesg_restrict=1\n" in settings


def test_sshd_asks_for_no_password_by_another_name(host: Any) -> None:
    """The SSH server refuses keyboard-interactive logins, which are passwords too, and X11."""
    settings = host.check_output("PATH=$PATH:/usr/sbin sshd -T").lower().split("\n")
    assert "kbdinteractiveauthentication no" in settings
    assert "x11forwarding no" in settings


@pytest.mark.usefixtures("not_in_any_lab")
def test_settings_are_in_force(host: Any) -> None:
    """The kernel's messages and addresses are root's alone to read."""
    assert host.file("/proc/sys/kernel/dmesg_restrict").content_string.strip() == "1"
    assert host.file("/proc/sys/kernel/kptr_restrict").content_string.strip() == "2"
