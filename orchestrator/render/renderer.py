"""The protocol of renderers; several at once, of which one may fail."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from orchestrator.core.event import Event
from orchestrator.render.output import Output

Clock = Callable[[], float]
"""Seconds that only go forward, such as ``time.monotonic``."""

WallClock = Callable[[], datetime]
"""The time of day, with its time zone."""


class Renderer(Protocol):
    """Draws what happens during a run, somewhere."""

    def handle(self, event: Event) -> None:
        """Draw an event. Must be quick: hosts are being deployed meanwhile."""

    def close(self) -> None:
        """Leave what was drawn on in order: the cursor shown, files closed. Twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Fanout(Renderer):
    """Hands each event to every renderer.

    A full disk or a closed pipe must not stop hosts halfway through an activation, and neither must
    a bug in drawing: the renderer that raised is closed and left out, with a warning.

    Args:
        renderers: In the order in which they are told.
        warnings: Where a dropped renderer is told of.
    """

    def __init__(self, renderers: Iterable[Renderer], warnings: Output) -> None:
        self._renderers = list(renderers)
        self._warnings = warnings

    def handle(self, event: Event) -> None:
        """Hand an event on."""
        for renderer in list(self._renderers):
            self._try(renderer, partial(renderer.handle, event))

    def close(self) -> None:
        """Close every renderer."""
        for renderer in list(self._renderers):
            self._try(renderer, renderer.close)

    def _try(self, renderer: Renderer, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self._renderers.remove(renderer)
            with contextlib.suppress(Exception):
                renderer.close()
            with contextlib.suppress(Exception):
                self._warn(renderer, error)

    def _warn(self, renderer: Renderer, error: Exception) -> None:
        cause = error.strerror if isinstance(error, OSError) else None
        what = type(renderer).__name__
        self._warnings.line(
            f"warning: {what} stopped: {cause or repr(error)}; the deployment goes on without it"
        )
