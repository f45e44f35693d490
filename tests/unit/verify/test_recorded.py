"""What pytest recorded and what it asks: read as far as it is sound, and never a crash."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from pathlib import Path

import pytest

from orchestrator.core.process import CommandResult
from orchestrator.core.stored import decode, encode
from orchestrator.verify.result import SuiteCheck, read
from orchestrator.verify.server import (
    HEADER,
    Answer,
    Checked,
    Collected,
    Ended,
    Recorded,
    Request,
    Said,
    Started,
    Unreadable,
    pack,
    serve,
)

SAID = Said("hostname", 1, "samsung\n", "oh\n")
FAILED = Checked("test_a.py::test", "failed", 0.5, "another host", "traceback", (SAID,))
RECORDS = (
    *(Collected(2), Unreadable("test_b.py", "no such module", "")),
    *(Started("test_a.py::test"), FAILED, Ended(1)),
)
LINES = [encode(Recorded(one)) for one in RECORDS]


def test_what_was_recorded_is_read() -> None:
    """The checks, what they ran, what could not be collected, and whether it came to its end."""
    found = read(b"\n".join(LINES) + b"\n")
    said = ("$ hostname  (exit 1)", "samsung", "oh")
    assert found.checks == (
        SuiteCheck(
            *("test_a.py::test", "failed", 0.5, "another host", "traceback"),
            command="hostname",
            said=said,
        ),
    )
    assert [one.check for one in found.unreadable] == ["test_b.py"]
    assert (found.collected, found.running, found.ended) == (2, None, True)


@pytest.mark.parametrize(
    "line",
    [
        LINES[-1][:-3],
        b'{"what":{"kind":"checked","check":"test_a.py::test"}}',
        b'{"what":{"kind":"checked","check":7}}',
        b'{"kind":"end","status":0}',
        b"[]",
        b"\xff",
        b"[" * 100_000,
    ],
    ids=range(7),
)
def test_a_line_that_is_none_of_ours_does_not_count(line: bytes) -> None:
    """A suite can write to the file that it has open: what is damaged proves no end."""
    found = read(b"\n".join((*LINES[:-1], line)))
    assert [one.name for one in found.checks] == ["test_a.py::test"]
    assert not found.ended


async def _asked(*bodies: bytes) -> tuple[list[Answer], list[str]]:
    """What bodies of frames are answered, and which commands were run for them."""
    ran: list[str] = []

    async def run(command: str) -> CommandResult:
        ran.append(command)
        return CommandResult(0, b"", b"")

    def talk(path: Path) -> list[Answer]:
        answers = []
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as suite:
            suite.settimeout(30)
            suite.connect(str(path))
            with suite.makefile("rb") as stream:
                for body in bodies:
                    suite.sendall(HEADER.pack(len(body)) + body)
                    (length,) = HEADER.unpack(stream.read(HEADER.size))
                    answers.append(decode(Answer, stream.read(length)))
        return answers

    with tempfile.TemporaryDirectory() as folder:
        async with serve(run, Path(folder)) as path:
            return await asyncio.to_thread(talk, path), ran


def test_a_request_that_is_none_is_answered_and_the_next_one_is_carried_out() -> None:
    """What cannot be read runs nothing on the host, and is no bug that ends the deployment."""
    good = pack(Request("true"))[HEADER.size :]
    answers, ran = asyncio.run(_asked(b"{", b'{"command":["true"]}', good))
    assert [one.error for one in answers] == [
        "the request cannot be read: it is cut off",
        "the request cannot be read: command: expected a text, not a list",
        None,
    ]
    assert ran == ["true"]
