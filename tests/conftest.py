"""What each test may rely on, whoever starts the suite."""

from __future__ import annotations

import signal


def pytest_configure() -> None:
    """Have Ctrl-C reach what tests start: a script's background ignores it, and hands that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
