"""What a suite of checks is told, and the socket over which it asks the host."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult
from orchestrator.core.units import parse_json

HEADER = struct.Struct(">I")


def pack(message: Mapping[str, object]) -> bytes:
    """Put a message into one frame."""
    body = json.dumps(message).encode()
    return HEADER.pack(len(body)) + body


def unpack(body: bytes) -> dict[str, object]:
    """Read a frame's body.

    Raises:
        ValueError: It is no JSON object.
    """
    message = parse_json(body)
    if not isinstance(message, dict):
        raise ValueError("a frame holds a JSON object")
    return message


def from_result(result: CommandResult) -> tuple[bytes, bytes, bytes]:
    """Say a command's result: the parts of an answer, none of them copied."""
    head = {"rc": result.rc, "stdout": len(result.stdout), "stderr": len(result.stderr)}
    return pack(head), result.stdout, result.stderr


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

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote."""
        values = json.loads(path.read_text())
        only = values.pop("only")
        return cls(**values, only=None if only is None else tuple(only))

    def write(self, path: Path) -> None:
        """Write it for ``read``."""
        path.write_text(json.dumps(asdict(self)))


def facts(host: Host) -> dict[str, Any]:
    """Say what the inventory says of a host, in values that JSON knows."""
    return {
        "name": host.name,
        "address": host.connect.address,
        "system": host.system,
        "template": host.template,
        "profiles": list(host.profiles),
        "features": list(host.features),
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
            (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
            if length > _LONGEST:
                return
            request = unpack(await reader.readexactly(length))
            parts: tuple[bytes, ...]
            try:
                parts = from_result(await run(str(request["command"])))
            except OrchestratorError as error:
                parts = (pack({"error": error.message}),)
            for part in parts:
                writer.write(part)
                await writer.drain()


async def _cancel(tasks: set[asyncio.Task[None]]) -> None:
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
