"""Ctrl-C: stop at once what touches no host; let what does come to a proven end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from orchestrator.core.errors import StepError

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedStepError(StepError):
    """A person stopped the run while a host was being changed."""

    def __init__(self) -> None:
        super().__init__("interrupted before it was verified and committed")


class Interrupt:
    """The wish to stop.

    The first signal cancels every task that is not guarded; a guarded one sees the wish at its
    next :meth:`check` and brings its host to a proven state. The second cancels everything.

    Args:
        say: Called with one sentence when a signal arrives.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._tasks: set[asyncio.Task[Any]] = set()
        self._guarded: dict[asyncio.Task[Any], str] = {}
        self._wish = asyncio.Event()
        self._listening = False

    @property
    def wished(self) -> bool:
        """Whether a person asked to stop."""
        return self._wish.is_set()

    def check(self) -> None:
        """Raise :class:`InterruptedStepError` where a person asked to stop."""
        if self.wished:
            raise InterruptedStepError

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Handle signals for as long as the outermost context is open."""
        if self._listening:
            yield
            return
        self._listening = True
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self.wish)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
            self._listening = False

    @contextlib.contextmanager
    def cancellable(self) -> Iterator[None]:
        """Have the current task cancelled by the first signal, be it to come or past."""
        if self.wished:
            raise asyncio.CancelledError
        task = _current()
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.discard(task)

    @contextlib.contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Keep the current task from the first signal; ``what`` says what it does to which host."""
        task = _current()
        self._guarded[task] = what
        try:
            yield
        finally:
            del self._guarded[task]

    def wish(self) -> None:
        """Ask to stop, as a signal does."""
        again = self.wished
        self._wish.set()
        for task in self._tasks if again else self._tasks - self._guarded.keys():
            task.cancel()
        if again:
            self._say("stopping now; what goes on on hosts is said below")
        elif self._guarded:
            busy = "; ".join(sorted(self._guarded.values()))
            self._say(
                f"stopping; first each host is brought to a proven state: {busy}. "
                "Again to leave at once."
            )
        else:
            self._say("stopping; no host is being changed")

    async def unless_wished(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work``, but end it and raise :class:`InterruptedStepError` on the wish to stop."""
        task = asyncio.create_task(work)
        wish = asyncio.create_task(self._wish.wait())
        try:
            await asyncio.wait((task, wish), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise InterruptedStepError
            return await task
        finally:
            wish.cancel()
            await ended(task)


async def ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait until it is gone, however it ends.

    Whoever waits can be cancelled meanwhile: that is the caller's own, and never swallowed.
    """
    task.cancel()
    await asyncio.wait((task,))
    if not task.cancelled():
        task.exception()  # looked at: it is nobody's else


def _current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task
