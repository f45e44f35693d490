"""What is done at the same time; where one part fails, the others are stopped first."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from orchestrator.core.errors import StepError
from orchestrator.core.interrupt import ended

T = TypeVar("T")
U = TypeVar("U")


@contextlib.asynccontextmanager
async def together() -> AsyncIterator[asyncio.TaskGroup]:
    """Run tasks side by side; where one fails the others are stopped before its error is raised.

    Where several fail, a bug goes before what can be expected.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise min(errors.exceptions, key=lambda error: isinstance(error, StepError)) from None


async def both(one: Coroutine[Any, Any, T], other: Coroutine[Any, Any, U]) -> tuple[T, U]:
    """Do two things :func:`together`.

    Raises:
        StepError: One failed.
    """
    async with together() as group:
        first, second = group.create_task(one), group.create_task(other)
    return first.result(), second.result()


@contextlib.asynccontextmanager
async def ahead(work: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Begin what is wanted later; it ends with the context, wanted or not."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await ended(task)
