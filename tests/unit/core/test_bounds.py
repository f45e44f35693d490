"""How much is read of what others send."""

from __future__ import annotations

import ast
import asyncio
import sys
from pathlib import Path

import pytest
from peak import peak_of

import orchestrator
from orchestrator.core import process
from orchestrator.core.bounds import LINE, MIB, Bound, Intake, Liner, TooMuchError
from orchestrator.core.errors import StepError
from orchestrator.core.units import split_lines

PACKAGE = Path(orchestrator.__file__).parent
SMALL = Bound(4 * MIB, 1000)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("cat /dev/zero", "more than 4 MiB"),
        ("cat /dev/zero >&2", "more than 4 MiB"),
        ("yes ''", "more than 1000 lines"),
        ("exec yes '' >&2", "more than 1000 lines"),
        ("(trap '' TERM; cat /dev/zero) & cat /dev/zero", "more than 4 MiB"),
    ],
)
def test_a_command_that_prints_without_end_is_stopped(command: str, said: str) -> None:
    """On either stream, by bytes and by lines, whatever its children make of it."""
    running = process.run(("sh", "-c", command), deadline=60, bound=SMALL)
    with pytest.raises(StepError, match=f"sh printed {said} and was stopped") as caught:
        asyncio.run(running)
    assert caught.value.command is not None


def test_a_command_whose_lines_are_told_is_stopped_too() -> None:
    """What is told as it comes has an end as well."""
    told: list[int] = []
    running = process.run(
        ("sh", "-c", "cat /dev/zero >&2"),
        deadline=60,
        bound=SMALL,
        on_stderr=lambda line: told.append(len(line)),
    )
    with pytest.raises(StepError, match="more than 4 MiB"):
        asyncio.run(running)
    assert sum(told) <= SMALL.size
    assert max(told) < 2 * LINE


def test_memory_stays_flat_while_a_command_floods() -> None:
    """Of a hundred megabytes of lines that go by only the end is kept, of one or two."""
    before, after, kept = peak_of(
        """
        import asyncio
        from orchestrator.core import process
        flood = ("sh", "-c", "yes 'a line of some length' | head -c 100000000 >&2")
        async def main():
            return await process.run(flood, deadline=100, on_stderr=lambda _: None,
                                     bound=process.Bound(1 << 30, 1 << 62))
        print(peak())
        done = asyncio.run(main())
        print(peak())
        print(len(done.stderr), end="")
        """
    )
    assert int(after) - int(before) < 40
    assert MIB <= int(kept) <= 2 * MIB


def test_what_is_within_the_bound_comes_whole() -> None:
    """Output within its bound comes whole, to the last byte and the last line."""
    intake = Intake(Bound(4 * MIB, 2))
    intake.take(b"x" * (4 * MIB - 2) + b"\n")
    intake.take(b"\n")
    assert intake.taken == b"x" * (4 * MIB - 2) + b"\n\n"
    with pytest.raises(TooMuchError, match="more than 4 MiB"):
        intake.take(b"y")
    with pytest.raises(TooMuchError, match="more than 2 lines"):
        Intake(Bound(MIB, 2)).take(b"\n\n\n")


def test_small_pieces_take_no_more_room_than_large_ones() -> None:
    """A host may send its answer byte by byte: nothing is kept beside the bytes."""
    intake = Intake(Bound(4 * MIB, 1))
    for _ in range(MIB):
        intake.take(b"x")
    assert sys.getsizeof(intake._held) < 2 * MIB


def test_lines_are_those_that_newlines_end() -> None:
    """Wherever the pieces end; no other character begins a line."""
    text = b"one\n\n\x0btwo\x0c\r\x85\nthree"
    for size in range(1, len(text)):
        lines: list[bytes] = []
        liner = Liner(lines.append)
        for at in range(0, len(text), size):
            liner.take(text[at : at + size])
        liner.end()
        assert lines == [b"one", b"", b"\x0btwo\x0c\r\x85", b"three"]
    others = "\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"
    assert split_lines(f"one{others}\n\ntwo\n") == [f"one{others}", "", "two"]
    assert split_lines("") == []


def test_nothing_splits_lines_by_anything_else() -> None:
    """``splitlines`` lets whoever writes a value begin a line of his own: nobody calls it."""
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_bytes()))
        if isinstance(node, ast.Attribute) and node.attr in ("splitlines", "readlines")
    ]
    assert found == []
