"""Have a host to oneself while it is changed: no two deployments at once, none against a hold."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from orchestrator.engine.line import Line
from orchestrator.engine.work import HostWork
from orchestrator.model.state import HostState


def refuse_if_taken(work: HostWork, state: HostState) -> None:
    """Refuse before anything is built what the host's lock or hold forbids."""


@contextlib.asynccontextmanager
async def held(work: HostWork, line: Line) -> AsyncIterator[None]:
    """Hold the host's lock while the context is open."""
    yield
