"""The suite's process, and the socket on which its commands are taken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.process import CommandResult
from orchestrator.verify import spec as wire
from orchestrator.verify.spec import VARIABLE

_OPTIONS = (
    "--quiet",
    "--no-header",
    "--tb=short",
    "--color=no",
    # The fleet's own pytest.ini, pyproject.toml and conftest.py are about its other tests.
    "-c",
    os.devnull,
    "--noconftest",
    # Suites of the same name in two folders get along.
    "--import-mode=importlib",
    # One broken suite is a failure; the others still say what they see.
    "--continue-on-collection-errors",
    "-p",
    "orchestrator.verify.plugin",
)

# Parts of pytest that a suite does not need and that cost start-up time or write files.
_LEFT_OUT = (
    "cacheprovider",
    "junitxml",
    "pastebin",
    "doctest",
    "unittest",
    "faulthandler",
    "stepwise",
)


def command(suites: Sequence[Path], root: Path, folder: Path, spec: Path) -> tuple[str, ...]:
    """Build the argv that runs suites.

    It starts with ``env -i``: a suite needs nothing of our environment, no agent and no tokens.

    Args:
        suites: Test files or folders.
        root: What the checks' names are relative to.
        folder: A private folder for what the suites write.
        spec: What ``spec.Spec.write`` wrote.
    """
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TMPDIR": str(folder),
        # Not an interpreter's own search: we may have been started by a wrapper that set it.
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        VARIABLE: str(spec),
    }
    without = [part for name in _LEFT_OUT for part in ("-p", f"no:{name}")]
    return (
        *("env", "-i", *(f"{key}={value}" for key, value in env.items())),
        *(sys.executable, "-P", "-s", "-m", "pytest", *_OPTIONS, *without),
        *("--rootdir", str(root), *(str(suite) for suite in suites)),
    )


_LONGEST = 1 << 20
"""Bytes of one request: Linux takes no longer command."""

RunCommand = Callable[[str], Awaitable[CommandResult]]
"""Runs a shell command on the host as root."""


@contextlib.asynccontextmanager
async def serve(run: RunCommand, folder: Path) -> AsyncIterator[Path]:
    """Listen on a unix socket until the block ends; what still runs then is cancelled.

    Args:
        run: Runs one command on the host. An ``OrchestratorError`` is told to the suite; anything
            else is a bug and is raised when the block ends.
        folder: A folder that nobody else may enter. Its path must be short: a unix socket's has at
            most 107 bytes (unix(7)).

    Yields:
        The socket's path.
    """
    path = folder / "host.sock"
    tasks: set[asyncio.Task[None]] = set()
    bugs: list[Exception] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await _answer(run, reader, writer)
        except Exception as bug:
            bugs.append(bug)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_unix_server(talk, path)
    try:
        yield path
    finally:
        server.close()
        await _cancel(tasks)
        path.unlink(missing_ok=True)
    if bugs:
        raise bugs[0]


async def _answer(
    run: RunCommand, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    # The suite's process may end, or be ended, in the middle of a frame.
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            (length,) = wire.HEADER.unpack(await reader.readexactly(wire.HEADER.size))
            if length > _LONGEST:
                return
            request = wire.unpack(await reader.readexactly(length))
            parts: tuple[bytes, ...]
            try:
                parts = wire.from_result(await run(str(request["command"])))
            except OrchestratorError as error:
                parts = (wire.pack({"error": error.message}),)
            for part in parts:
                writer.write(part)
                await writer.drain()


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
