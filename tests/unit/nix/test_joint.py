"""A system and what is wanted beside it, of one process of Nix's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.process import CommandResult
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.nix.joint import Beside, evaluate_with
from orchestrator.nix.verbs import Flake, OutOfMemoryError

OUT = f"/nix/store/{'a' * 32}-nixos-system-web-25.05"
FOUND = Evaluated(DrvPath(f"{OUT}.drv"), OutPath(OUT))
SAID = b"trace: orchestrator: the system is evaluated\n"
ANSWER = json.dumps({"drv": f"{OUT}.drv", "beside": {"ports": [22]}}).encode()


def asked(
    monkeypatch: pytest.MonkeyPatch, rc: int, out: bytes, err: bytes = SAID
) -> tuple[Evaluated | None, list[tuple[Evaluated, Any]], list[bytes]]:
    """Ask a Nix that ends so: the system, what was taken, and the lines that were told."""

    async def run(
        argv: Sequence[str], *, on_stderr: Callable[[bytes], None], **_: object
    ) -> CommandResult:
        if argv[0] == "nix-store":
            return CommandResult(0, f"{OUT}\n".encode(), b"")
        assert "builtins.seq system.drvPath" in " ".join(argv)
        for line in err.splitlines():
            on_stderr(line)
        if rc == -15:
            raise StepError("nix did not end within 9 s")
        return CommandResult(rc, out, err)

    monkeypatch.setattr(process, "run", run)
    taken: list[tuple[Evaluated, Any]] = []
    lines: list[bytes] = []
    beside = Beside("config: config.ports", lambda it, said: taken.append((it, json.loads(said))))
    found = asyncio.run(
        evaluate_with(beside, Flake.at("/f", "/f"), "web", deadline=9, on_stderr=lines.append)
    )
    return found, taken, lines


def test_both_come_of_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system is given, the rest is handed on; what Nix says is told, but for our own word."""
    found, taken, lines = asked(monkeypatch, 0, ANSWER, b"warning: odd\n" + SAID)
    assert found == FOUND
    assert taken == [(FOUND, {"ports": [22]})]
    assert lines == [b"warning: odd"]


def test_what_a_system_is_built_to_is_what_its_derivation_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As where it is evaluated alone: whatever else the configuration may call its path."""
    other = {**json.loads(ANSWER), "out": OUT.replace("web", "db")}
    assert asked(monkeypatch, 0, json.dumps(other).encode())[0] == FOUND


def test_what_is_beside_a_system_takes_no_deadline_from_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system was evaluated and the rest did not end, the system is evaluated alone."""
    assert asked(monkeypatch, -15, b"") == (None, [], [])
    with pytest.raises(StepError, match="did not end"):
        asked(monkeypatch, -15, b"", b"")


@pytest.mark.parametrize(
    ("rc", "out"), [(1, b""), (-9, b""), (0, b"{}"), (0, b"[]"), (0, b'{"drv": 1}'), (1, ANSWER)]
)
def test_a_system_is_evaluated_alone_where_what_is_beside_it_fails(
    monkeypatch: pytest.MonkeyPatch, rc: int, out: bytes
) -> None:
    """Nothing is claimed of either by an answer that is none."""
    assert asked(monkeypatch, rc, out)[:2] == (None, [])


def test_memory_that_is_short_for_the_system_itself_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Before the system is evaluated an error is the system's own, in its own words."""
    with pytest.raises(OutOfMemoryError, match="evaluation failed"):
        asked(monkeypatch, -9, b"", b"")
