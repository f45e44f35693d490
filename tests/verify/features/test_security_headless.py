"""The feature security-headless: nobody sits in front of the host."""

from __future__ import annotations

from typing import Any

import pytest


def test_a_panic_ends_in_a_boot(host: Any) -> None:
    """The running system's kernel is booted with `panic=10`: it starts again by itself."""
    assert host.file("/etc/fleet/features/security-headless").exists
    assert "panic=10" in host.file("/run/current-system/kernel-params").content_string.split()


@pytest.mark.usefixtures("not_in_any_lab")
def test_no_console_to_log_in_at(host: Any) -> None:
    """Nothing waits at the first console for somebody to log in."""
    assert not host.service("getty@tty1.service").is_running
