"""What a suite of checks is told, and the socket over which it asks the host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec import Struct

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult
from orchestrator.core.stored import DamagedError, decode, encode, kebab

HEADER = struct.Struct(">I")
"""The length of a frame's body, in bytes."""


class Request(Struct, frozen=True):
    """What a suite asks: a shell command, to be run as root."""

    command: str


class Answer(Struct, frozen=True):
    """What it is answered; so many bytes of output follow.

    Attributes:
        error: Why the command could not be run; ``None`` where it was.
    """

    rc: int = 0
    stdout: int = 0
    stderr: int = 0
    error: str | None = None


def pack(message: Request | Answer) -> bytes:
    """Put a message into one frame."""
    body = encode(message)
    return HEADER.pack(len(body)) + body


class _Record(Struct, frozen=True, tag_field="kind", tag=kebab):
    """One thing that pytest records."""


class Collected(_Record, frozen=True):
    """How many checks there are to run."""

    count: int


class Unreadable(_Record, frozen=True):
    """A suite that could not be collected."""

    check: str
    message: str
    output: str


class Started(_Record, frozen=True):
    """A check begins."""

    check: str


class Said(Struct, frozen=True):
    """A command that a check ran on the host, and the end of what it printed."""

    command: str
    rc: int
    stdout: str
    stderr: str


class Checked(_Record, frozen=True):
    """A check ended.

    Attributes:
        outcome: ``passed``, ``failed`` or ``skipped``.
        commands: Those that it ran on the host, where it failed.
    """

    check: str
    outcome: str
    seconds: float
    message: str
    output: str
    commands: tuple[Said, ...]


class Ended(_Record, frozen=True):
    """Pytest came to its end by itself."""

    status: int


class Recorded(Struct, frozen=True):
    """A line of the results' file, written at once, so that a crash loses nothing."""

    what: Collected | Unreadable | Started | Checked | Ended


VARIABLE = "ORCHESTRATOR_VERIFY"
"""The environment variable that holds the file's path."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One run of a host's suites.

    Attributes:
        facts: What the inventory says of the host; the fixture ``fleet_host``.
        socket: The deployment's unix socket.
        results: The file that results are appended to, as JSON lines.
        only: The checks to run; ``None`` means all.
    """

    facts: dict[str, Any]
    socket: str
    results: str
    only: tuple[str, ...] | None = None


def facts(host: Host) -> dict[str, Any]:
    """Say what the inventory says of a host, in values that JSON knows."""
    return {
        "name": host.name,
        "class": host.of,
        "address": host.connect.address,
        "system": host.system,
        "template": host.template,
        "profiles": list(host.profiles),
        "tier": host.tier,
        "features": list(host.features),
        "settings": dict(host.settings),
        "roles": list(host.roles),
        "tags": list(host.tags),
        "users": list(host.users),
        "hardware": dict(host.hardware),
        "state_version": host.state_version,
    }


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
        spec: The file that has the :class:`Spec`.
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
            (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
            if length > _LONGEST:
                return
            body = await reader.readexactly(length)
            parts: tuple[bytes, ...]
            try:
                result = await run(decode(Request, body).command)
                head = Answer(result.rc, len(result.stdout), len(result.stderr))
                parts = (pack(head), result.stdout, result.stderr)
            except DamagedError as error:
                parts = (pack(Answer(error=f"the request cannot be read: {error}")),)
            except OrchestratorError as error:
                parts = (pack(Answer(error=error.message)),)
            for part in parts:
                writer.write(part)
                await writer.drain()


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
