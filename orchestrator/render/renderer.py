"""What draws events, and the clock and stream that it is handed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from orchestrator.core.event import Event

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
