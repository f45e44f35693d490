"""Several renderers at once; one that fails is dropped, and the deployment goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from functools import partial

from orchestrator.core.event import Event
from orchestrator.render.output import Output
from orchestrator.render.renderer import Renderer


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
