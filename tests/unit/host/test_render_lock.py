"""Locks, holds and attempts, as a person and as a script reads them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.core.claims import Hold, Lock
from orchestrator.core.errors import UnreachableError
from orchestrator.core.host import Connect, Host
from orchestrator.core.plan import Goal
from orchestrator.core.state import Attempt, AttemptState, BootSource, HostState
from orchestrator.core.store import OutPath, Specialised
from orchestrator.core.values import replace
from orchestrator.host.draw import (
    draw_lifted,
    draw_lock,
    draw_locks,
    draw_placed,
    draw_status,
    draw_stolen,
    standing,
    standing_json,
)
from orchestrator.host.status import HoldAnswer, HostAnswer
from orchestrator.render.output import Output

NOW = datetime.now(UTC)
THEN = NOW - timedelta(hours=3)
P620 = Host("p620", "p620", Connect("192.0.2.1"))
RAZER = Host("razer", "razer", Connect("192.0.2.2"))
LOCK = Lock("7-abcd", "ada@desk", 7, "switch", THEN, 73)
HOLD = Hold("f00d", "bob@sofa", "disk swap", THEN)
STATE = HostState("m", None, None, None, None, BootSource.GRUB)
NEW = OutPath(f"/nix/store/{'n' * 32}-nixos-system-p620")
ATTEMPT = Attempt("7-abcd", Goal.SWITCH, NEW, STATE, 7, "ada@desk", None, THEN, ended=THEN)
LOST = UnreachableError("no SSH connection")


def drawn(draw: Callable[[Output, Output], None]) -> tuple[str, str]:
    """Standard output and standard error of a drawing."""
    results, words = io.StringIO(), io.StringIO()
    draw(Output(results), Output(words))
    return results.getvalue(), words.getvalue()


def lock_words(state: HostState) -> str:
    """What is said before a lock is taken away."""
    return drawn(lambda _, words: draw_lock("p620", state, words))[1]


def answer(host: Host, **stands: Any) -> HostAnswer:
    """A host's answer."""
    return HostAnswer(host, replace(STATE, **stands), None, 0.1)


def test_locks_and_holds_are_a_table() -> None:
    """Whose, since when, why, and when it ends by itself; what says nothing is said."""
    answers = (answer(P620, lock=LOCK, hold=HOLD), HostAnswer(RAZER, None, LOST, 1.0))
    out, err = drawn(lambda results, words: draw_locks(answers, results, words, as_json=False))
    head, first, second = out.splitlines()
    assert head.split() == ["host", "locked", "held"]
    assert "by ada@desk, 3 h ago (run 7: switch); renewed, else free in 73 s" in first
    assert 'by bob@sofa, 3 h ago: "disk swap" (f00d)' in first
    assert second.split() == ["razer", "no", "answer"]
    assert "host 'razer': no SSH connection" in err


@pytest.mark.parametrize(
    ("lock", "words"),
    [
        (None, "no"),
        (replace(LOCK, expires_in=-4), "no; its deployer is gone: by ada@desk, 3 h ago"),
        (replace(LOCK, run=None, expires_in=0), "no"),
        (replace(LOCK, since=None), "by ada@desk (run 7: switch); renewed"),
    ],
)
def test_a_lock_that_counts_no_more_is_no_lock(lock: Lock | None, words: str) -> None:
    """A lock that counts no more is shown as none, with who had it."""
    answers = (answer(P620, lock=lock),)
    out, _ = drawn(lambda results, err: draw_locks(answers, results, err, as_json=False))
    cells = out.splitlines()[1].removeprefix("p620").removesuffix("no").strip()
    assert cells.startswith(words)


def test_locks_and_holds_as_json() -> None:
    """Times in ISO 8601, seconds as numbers, null where there is none."""
    answers = (answer(P620, lock=LOCK, hold=HOLD), answer(RAZER), HostAnswer(P620, None, LOST, 1.0))
    out, _ = drawn(lambda results, err: draw_locks(answers[:2], results, err, as_json=True))
    said = json.loads(out)
    assert said["p620"]["lock"] == {
        "token": "7-abcd",
        "who": "ada@desk",
        "run": 7,
        "reason": "switch",
        "since": THEN.isoformat(),
        "expires_in": 73,
    }
    assert said["p620"]["hold"]["id"] == "f00d"
    assert said["razer"] == {"reachable": True, "lock": None, "hold": None}
    out, _ = drawn(lambda results, err: draw_locks(answers[2:], results, err, as_json=True))
    assert json.loads(out)["p620"] == {
        "reachable": False,
        "message": "no SSH connection",
        "hint": None,
    }


def test_a_hold_that_was_placed_says_how_to_lift_it() -> None:
    """A hold that was placed says how to lift it, and whether a deployment is at the host."""
    answers = (
        HoldAnswer(P620, done=True, hold=HOLD, lock=LOCK),
        HoldAnswer(RAZER, done=False, hold=HOLD),
        HoldAnswer(RAZER, error=LOST),
    )
    out, err = drawn(lambda results, words: draw_placed(answers, results, words, as_json=False))
    first, second = out.splitlines()
    assert first.startswith(
        'p620: held (f00d): "disk swap"; lift it: orchestrator host unhold p620. '
        "A deployment is at it by ada@desk, 3 h ago (run 7: switch)"
    )
    assert second == (
        'razer: held already by bob@sofa, 3 h ago: "disk swap" (f00d); nothing was changed'
    )
    assert "host 'razer': no SSH connection" in err


def test_a_hold_that_was_lifted_says_whose_it_was() -> None:
    """`release` says whose hold it lifted, or that the host was not held."""
    answers = (HoldAnswer(P620, done=True, hold=HOLD), HoldAnswer(RAZER))
    out, _ = drawn(lambda results, words: draw_lifted(answers, results, words, as_json=False))
    assert out.splitlines() == [
        'p620: lifted: held by bob@sofa, 3 h ago: "disk swap"',
        "razer: was not held",
    ]
    out, _ = drawn(lambda results, words: draw_lifted(answers, results, words, as_json=True))
    assert json.loads(out)["p620"]["changed"]
    assert not json.loads(out)["razer"]["changed"]


def test_whose_lock_is_taken_is_said_before_and_after() -> None:
    """Before a lock is stolen and after, it is said whose it was, or that nobody had it."""
    attempt = replace(ATTEMPT, state=AttemptState.ACTIVATING)
    assert lock_words(replace(STATE, lock=LOCK, attempt=attempt)).splitlines() == [
        "p620: locked by ada@desk, 3 h ago (run 7: switch)",
        "p620: being changed by run 7 of ada@desk: activating",
    ]
    for lock in (None, replace(LOCK, expires_in=0)):
        assert lock_words(replace(STATE, lock=lock)) == "p620: nobody has its lock\n"
    _, err = drawn(lambda _, words: draw_stolen("p620", LOCK, words, done=True))
    assert "its lock was broken; ada@desk is notified" in err
    _, err = drawn(lambda _, words: draw_stolen("p620", LOCK, words, done=False))
    assert "nobody has its lock by now" in err


@pytest.mark.parametrize("escape", ["\x1b]0;owned\x07", "\x1b[2J", "\u202e"])
def test_what_a_host_says_cannot_draw_on_the_terminal(escape: str) -> None:
    """Escape sequences in a reason that a host gives are not printed to the terminal."""
    lock, hold = replace(LOCK, reason=escape), replace(HOLD, reason=escape)
    attempt = replace(ATTEMPT, state=AttemptState.STUCK, why=escape)
    answers = (answer(P620, lock=lock, hold=hold, attempt=attempt),)
    placed = (HoldAnswer(P620, done=True, hold=hold, lock=lock),)
    for out, err in (
        drawn(lambda results, words: draw_locks(answers, results, words, as_json=False)),
        drawn(lambda results, words: draw_status(answers, results, words, as_json=False)),
        drawn(lambda results, words: draw_placed(placed, results, words, as_json=False)),
        drawn(lambda _, words: draw_lock("p620", replace(STATE, lock=lock), words)),
    ):
        assert escape[0] not in out + err


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (replace(ATTEMPT, state=AttemptState.DONE), None),
        (
            replace(ATTEMPT, state=AttemptState.DONE, why="the loader"),
            "run 7 of ada@desk ended 3 h ago: the loader",
        ),
        (
            replace(ATTEMPT, state=AttemptState.RETURNED, why="nobody came"),
            "run 7 of ada@desk rolled back 3 h ago: nobody came",
        ),
        (
            replace(ATTEMPT, state=AttemptState.STUCK, ended=None),
            "run 7 of ada@desk could not roll back",
        ),
        (
            replace(ATTEMPT, state=AttemptState.WAITING, seconds_left=120, ended=None),
            "being changed by run 7 of ada@desk: waiting; it rolls back by itself in 120 s",
        ),
        (
            replace(
                ATTEMPT,
                state=AttemptState.WAITING,
                seconds_left=120,
                ended=None,
                guard_gone=True,
            ),
            "being changed by run 7 of ada@desk: waiting; its guard is gone, and nothing goes on "
            "until the next deployment settles it",
        ),
        (
            replace(ATTEMPT, state=AttemptState.COMMITTING, ended=None),
            "being changed by run 7 of ada@desk: committing",
        ),
    ],
)
def test_an_attempt_is_worth_a_word_unless_all_went_well(
    attempt: Attempt, words: str | None
) -> None:
    """Whose, how it ended and why, or how far it has come."""
    said = [text for text, _ in standing(replace(STATE, attempt=attempt), NOW)]
    assert said == ([] if words is None else [words])


def test_status_says_what_stands_there_below_its_table() -> None:
    """Hold, lock and attempt, a line each; nothing where all is as usual."""
    attempt = replace(ATTEMPT, state=AttemptState.RETURNED)
    answers = (answer(P620, lock=LOCK, hold=HOLD, attempt=attempt), answer(RAZER))
    out, _ = drawn(lambda results, words: draw_status(answers, results, words, as_json=False))
    assert [line.split(":")[0] for line in out.splitlines()[3:]] == ["p620"] * 3
    out, _ = drawn(lambda results, words: draw_status(answers, results, words, as_json=True))
    said = json.loads(out)
    assert said["p620"]["attempt"]["state"] == "returned"
    assert said["p620"]["attempt"]["target"] == NEW.path
    assert standing_json(STATE) == {"lock": None, "hold": None, "attempt": None}
    assert said["razer"]["lock"] is said["razer"]["hold"] is said["razer"]["attempt"] is None


def test_status_does_not_call_what_was_not_read_the_same() -> None:
    """Where the boot default cannot be read, or is another one once, table and line say so."""
    known = HostState("m", NEW, NEW, NEW, NEW, BootSource.GRUB)
    unread = replace(known, boot_source=BootSource.PROFILE, boot_note="GRUB: no entry")
    once = replace(known, boot_note="the next boot alone starts x")
    said = [_status(each) for each in (known, unread, once)]
    assert ["the same" in text for text in said] == [True, False, True]
    assert "cannot be read" in said[1]
    assert "p620: the boot default cannot be read" in said[1]
    assert "GRUB: no entry" in said[1]
    assert "the same; not next" in said[2]
    assert "p620: the next boot alone starts x" in said[2]


def _status(state: HostState) -> str:
    answers = (HostAnswer(P620, state, None, 0.1),)
    return drawn(lambda results, words: draw_status(answers, results, words, as_json=False))[0]


def test_status_names_a_specialisation_and_what_is_not_the_profiles() -> None:
    """A specialisation is named with its system; a system of somebody else's by its path."""
    other = OutPath(f"/nix/store/{'x' * 32}-nixos-system-p620")
    known = HostState("m", NEW, NEW, NEW, NEW, BootSource.GRUB)
    variant = replace(known, running=other, running_as=(Specialised(NEW, "gaming"),))
    said = _status(variant)
    assert f"p620: running specialisation gaming of {NEW.short}" in said
    assert "the system itself" in said
    assert "not its profile's" not in said
    said = _status(replace(known, running=other))
    assert f"p620: runs a system that is not its profile's: {other}" in said
    assert "p620:" not in _status(known)
