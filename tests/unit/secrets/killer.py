"""Kill a child at its n-th call that changes the file system: a real process, a real SIGKILL."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

CALLS = ("mkdir", "rmdir", "rename", "unlink", "open", "write", "fsync", "chmod", "chown")


class When(Enum):
    """At which moment of the call the child is killed."""

    TORN = auto()
    """In the middle of a write; of other calls, before. At all calls it leaves nothing out: after
    one is before the next."""
    AFTER = auto()


def run_and_kill(work: Callable[[], object], number: int, when: When) -> bool:
    """Run ``work`` in a child and kill it at its n-th call, counted from 1.

    Returns:
        Whether it was killed; if not, it has fewer calls, and ended well.
    """
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _arm(number, when)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return False


def _arm(number: int, when: When) -> None:
    left = number

    def counted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0 and when is When.TORN and name == "write":
                descriptor, content = arguments
                real(descriptor, content[: len(content) // 2])
            if left == 0 and when is When.TORN:
                _die()
            try:
                return real(*arguments, **options)
            finally:
                if left == 0 and when is When.AFTER:
                    _die()

        return call

    for name in CALLS:
        setattr(os, name, counted(name, getattr(os, name)))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("still alive")
