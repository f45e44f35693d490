"""Running what asks hosts: the event loop, and what makes thousands of hosts cheap."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

FILES = 65_536
"""File descriptors: a connection, a log and a socket for each of 20,000 hosts."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, for as many hosts at the same time as the system allows."""
    # Modules and the fleet stay to the end: no search for garbage need look at them again.
    gc.freeze()
    _allow_files()
    return asyncio.run(work)


def _allow_files() -> None:
    """Use the file descriptors that this process may have: each connection is one.

    The usual soft limit, 1,024, is there for programs that use select(2): setrlimit(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
