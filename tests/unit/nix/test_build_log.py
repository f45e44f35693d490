"""The log of one build of several systems; the lines are Nix 2.26's own, but for those marked."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.store import DrvPath
from orchestrator.nix.log import TAIL, BuildLog, Said


def drv(name: str) -> str:
    """A derivation's path."""
    return f"/nix/store/{(name[-1] * 32)}-{name}.drv"


A, B, C = (DrvPath(drv(f"host-{letter}")) for letter in "abc")
SHARED, BROKEN, DONE = drv("shared-s"), drv("broken-x"), drv("done-y")
INPUTS = {A.path: [SHARED, DONE], B.path: [BROKEN], BROKEN: [SHARED], C.path: [SHARED]}


def line(**event: object) -> bytes:
    """A line as Nix writes it."""
    return b"@nix " + json.dumps(event).encode()


def start(path: str, number: int, machine: str = "") -> bytes:
    """A build begins."""
    return line(action="start", fields=[path, machine, 1, 1], id=number, level=3, type=105)


def says(number: int, text: str) -> bytes:
    """A builder prints a line."""
    return line(action="result", fields=[text], id=number, type=101)


def stop(number: int) -> bytes:
    """A build ends, well or not."""
    return line(action="stop", id=number)


def message(text: str, level: int = 0) -> bytes:
    """Nix says something."""
    return line(action="msg", level=level, msg=text)


def failed(path: str) -> bytes:
    """A builder failed, in the words of Nix 2.26."""
    return message(
        f"\x1b[31;1merror:\x1b[0m builder for '\x1b[35;1m{path}\x1b[0m' failed with exit code 3"
    )


@pytest.fixture
def log() -> BuildLog:
    """The log of a build of three systems, planned and not begun."""
    made = BuildLog((A, B, C), lambda path: INPUTS.get(path, ()))
    made.read(message("these 5 derivations will be built:", 3))
    for path in (SHARED, BROKEN, A.path, B.path, C.path):
        made.read(message(f"  {path}", 3))
    return made


def whose(log: BuildLog, said: Said) -> set[DrvPath]:
    """The systems that a line is about."""
    return {wanted for wanted in (A, B, C) if log.concerns(said, wanted)}


def test_a_line_is_for_those_who_need_what_it_is_about(log: BuildLog) -> None:
    """Through any number of steps; what is built already leads nowhere."""
    assert whose(log, log.read(start(SHARED, 1))) == {A, B, C}
    assert whose(log, log.read(says(1, "compiling"))) == {A, B, C}
    assert whose(log, log.read(start(BROKEN, 2))) == {B}
    assert whose(log, log.read(start(A.path, 3))) == {A}
    assert whose(log, log.read(message("warning: a word", 1))) == {A, B, C}
    assert whose(log, log.read(start(drv("unknown-z"), 4))) == {A, B, C}


def test_each_has_its_own_count(log: BuildLog) -> None:
    """Each host has a count of its own: of what is built for it, how much was begun."""
    assert [log.count(wanted) for wanted in (A, B, C)] == ["0 of 2", "0 of 3", "0 of 2"]
    log.read(start(SHARED, 1))
    log.read(start(BROKEN, 2))
    assert [log.count(wanted) for wanted in (A, B, C)] == ["1 of 2", "2 of 3", "1 of 2"]


def test_lines_name_what_they_are_of(log: BuildLog) -> None:
    """A builder's own line bears the derivation's name; what begins is shown with the machine."""
    begun = log.read(start(SHARED, 1, "ssh-ng://fast"))
    assert begun.doing == begun.text == "building shared-s on ssh-ng://fast"
    assert log.read(says(1, "compiling")).text == "shared-s> compiling"


def test_a_build_elsewhere_is_one_build(log: BuildLog) -> None:
    """A machine elsewhere begins the same inside of what was begun here."""
    log.read(start(A.path, 1, "ssh-ng://fast"))
    inside = log.read(start(A.path, 2))
    assert (inside.doing, inside.text, inside.drv) == (None, None, A.path)
    assert log.count(A) == "1 of 2"
    assert log.read(says(2, "linking")).text == "host-a> linking"


def test_it_is_told_when_one_more_is_built(log: BuildLog) -> None:
    """A build is reported as one more by Nix's count of builds, not by that of copies."""

    def count(number: int, *fields: int) -> bytes:
        return line(action="result", fields=fields, id=number, type=105)

    log.read(line(action="start", id=7, level=0, text="", type=104))
    log.read(line(action="start", id=8, level=0, text="", type=103))
    counts = [(7, 0, 3, 1, 0), (8, 1, 1, 0, 0), (7, 1, 3, 0, 0), (7, 1, 3, 1, 0), (7, 2, 3, 0, 0)]
    told = [log.read(count(*numbers)).built for numbers in counts]
    assert told == [False, False, True, False, True]


@pytest.mark.parametrize(
    ("last", "why"),
    [
        (failed(BROKEN), "builder failed with exit code 3"),
        # Since Nix 2.30.
        (
            message(
                f"error: Cannot build '{BROKEN}'.\n       Reason: builder failed with exit code 3."
            ),
            "builder failed with exit code 3",
        ),
        (
            message(
                f"error: hash mismatch in fixed-output derivation '{BROKEN}':\n  specified: x\n"
            ),
            "hash mismatch in fixed-output derivation",
        ),
    ],
)
def test_a_failure_is_of_those_who_need_it(log: BuildLog, last: bytes, why: str) -> None:
    """With the reason in one line and the builder's last lines; the others did not fail."""
    log.read(start(SHARED, 1))
    log.read(stop(1))
    log.read(start(BROKEN, 2))
    for number in range(TAIL + 5):
        log.read(says(2, f"line {number}"))
    assert log.read(last).failed
    found = log.failure_of(B)
    assert found is not None
    assert (found.drv, found.name, found.why) == (BROKEN, "broken-x", why)
    assert f"line {TAIL + 4}" in found.log
    assert "line 4\n" not in found.log
    assert log.failure_of(A) is None
    assert log.failure_of(C) is None


def test_what_merely_needed_it_is_not_what_failed(log: BuildLog) -> None:
    """Nix names the systems above a failure, too: they were never begun."""
    log.read(start(BROKEN, 2))
    log.read(failed(BROKEN))
    above = log.read(message(f"error: 1 dependencies of derivation '{B}' failed to build"))
    assert not above.failed
    log.read(message(f"error: build of '{B}^*' failed"))
    found = log.failure_of(B)
    assert found is not None
    assert found.drv == BROKEN


@given(
    st.lists(
        st.sampled_from([start(SHARED, 1), stop(1), says(1, "x"), failed(SHARED)])
        | st.binary(max_size=30)
        | st.dictionaries(
            st.sampled_from(["action", "type", "fields", "id", "msg", "level"]),
            st.sampled_from(["start", "stop", "result", "msg", 105, 101, [], ["x"], [1], {}, None]),
        ).map(lambda event: line(**event)),
        max_size=20,
    )
)
def test_no_line_stops_a_build(lines: list[bytes]) -> None:
    """No line that Nix or a builder writes stops the reading of a build's log."""
    log = BuildLog((A,), lambda _: ())
    for one in lines:
        said = log.read(one)
        assert log.concerns(said, A) in (True, False)
    log.failure_of(A)
