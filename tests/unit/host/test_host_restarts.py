"""Services that die and are started again are found, and no others."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.host import restarts
from orchestrator.host.restarts import RESTARTS, Counts, Restarts, died, parse_restarts, unsteady

NONE: Counts = {}


def dead(times: int, age: int = 0) -> Restarts:
    """A service that is up after so many restarts."""
    return Restarts(times, age, waits=False)


def found(answers: Sequence[Counts], before: Counts = NONE, steady: float = 0) -> Counts:
    """What does not stay of what a host answers, once a second."""
    left = list(answers)

    async def ask() -> Counts:
        return left.pop(0) if len(left) > 1 else left[0]

    return asyncio.run(unsteady(ask, before, steady=steady, seconds=len(answers) - 1.5))


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds pass at once: each answer is one."""
    now = 0.0
    clock = asyncio.BaseEventLoop.time

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(restarts.asyncio, "sleep", sleep)
    monkeypatch.setattr(asyncio.BaseEventLoop, "time", lambda loop: clock(loop) + now)


def test_a_host_on_which_nothing_died_is_asked_once() -> None:
    """Another answer would find a service that dies: nobody asks for it."""
    assert found([{"old.service": dead(3, 900)}] * 2, {"old.service": dead(3, 9)}) == {}
    assert found([{}, {"late.service": dead(1)}]) == {}


def test_what_was_just_started_comes_to_an_age_first() -> None:
    """A service that has not died yet may do so soon; one that is old enough is not waited for."""
    young, died = {"web.service": Restarts(0, 1.2, waits=False)}, {"web.service": dead(1)}
    later = [*[died] * 3, *[{"web.service": dead(2)}] * 3]
    assert found([young, *later], steady=5) == {"web.service": dead(2)}
    assert found([young, *later], steady=1) == {}
    assert found([young, young], steady=5) == {}


def test_what_dies_again_while_it_is_watched_does_not_stay() -> None:
    """One restart says little, the second one says it."""
    seen = found([{"web.service": dead(n)} for n in (1, 1, 2, 2, 2)])
    assert seen == {"web.service": dead(2)}


def test_what_waits_for_its_next_start_at_the_end_does_not_stay() -> None:
    """A service that is started every half a minute may not die while it is watched."""
    waits = Restarts(1, 4, waits=True)
    assert found([{"slow.service": waits}] * 5) == {"slow.service": waits}


def test_what_died_while_it_waited_for_another_may_stay() -> None:
    """A service that was started again and is up for the whole time is no fault."""
    assert found([{"web.service": dead(4, age)} for age in range(6)]) == {}
    assert (
        found([{"web.service": Restarts(4, 1, waits=True)}, *[{"web.service": dead(4)}] * 5]) == {}
    )


def test_the_start_that_a_service_waits_for_is_no_second_death() -> None:
    """A restart is counted when the service is started, and not when it dies."""
    waits = {"web.service": Restarts(0, 1, waits=True)}
    assert found([waits, *[{"web.service": dead(1)}] * 5]) == {}
    assert found([waits, {"web.service": dead(1)}, *[{"web.service": dead(2)}] * 4]) == {
        "web.service": dead(2)
    }


def test_a_loop_that_pauses_is_no_service_that_dies() -> None:
    """What ends well and waits for a long `RestartSec=` is as it should be."""
    pauses = {"poll.service": Restarts(0, 9, waits=True, well=True)}
    assert found([pauses] * 6) == {}
    assert found([pauses, *[{"poll.service": dead(1)}] * 5]) == {}
    assert found([pauses, *[{"poll.service": dead(n)} for n in (1, 2, 3, 4)]]) == {
        "poll.service": dead(2)
    }


def test_what_was_dying_before_is_not_this_deployments() -> None:
    """A service that died within a minute before, or waited, may go on to; one long up may not."""
    now = {"web.service": dead(9)}
    assert died(now, {"web.service": dead(8, 2)}) == set()
    assert died(now, {"web.service": Restarts(8, 99, waits=True)}) == set()
    assert died(now, {"web.service": Restarts(8, 7200, waits=False, starts=True)}) == set()
    assert died(now, {"web.service": dead(8, 7200)}) == {"web.service"}
    # An activation that starts it counts from nothing.
    assert died({"web.service": dead(1)}, {"web.service": dead(8, 7200)}) == {"web.service"}
    assert died({"web.service": dead(8)}, {"web.service": dead(8, 7200)}) == {"web.service"}
    assert died({"web.service": dead(8, 7230)}, {"web.service": dead(8, 7200)}) == set()


def test_an_answer_that_is_no_answer_counts_nothing() -> None:
    """A login shell's words, numbers without end and another kind of unit are passed over."""
    text = f"""welcome
a.service
b.service x 1 running
c.service {"9" * 5000} 1 running
d.mount 1 1 mounted
e.service 2 7 auto-restart-queued
f.service 1 -3 running
g.service 0 4.5 running
h.service 1 1e9 running
\x1b[2Ji.service 1 1 running
{"j" * 300}.service 1 1 running
k@a\\x2db.service 1 1 start-pre"""
    lines = text.split("\n")
    assert parse_restarts(lines) == {
        "e.service": Restarts(2, 7, waits=True),
        "g.service": Restarts(0, 4.5, waits=False),
        "k@a\\x2db.service": Restarts(1, 1, waits=False, starts=True),
    }


SYSTEMD = """#!/bin/sh
case $* in *--timestamp=unix*) ;; *) exit 1 ;; esac
now=$(date +%s)
cat << END
Restart=always
NRestarts=3
ExecMainStartTimestamp=@$((now - 7200))
Id=dies.service
SubState=running
Result=success

Restart=no
NRestarts=0
ExecMainStartTimestamp=@$now
Id=once.service
SubState=running

Restart=on-failure
NRestarts=0
ExecMainStartTimestamp=@$((now - 7))
Id=young.service
SubState=running

Restart=on-failure
NRestarts=0
ExecMainStartTimestamp=@$((now - 7200))
Id=old.service
SubState=running

Id=waits.service
Result=exit-code
NRestarts=0
ExecMainStartTimestamp=
SubState=auto-restart

Id=pauses.service
Result=success
NRestarts=4
Restart=always
SubState=auto-restart
END
"""


def test_systemd_is_asked_for_what_died_and_what_is_young(tmp_path: Path) -> None:
    """Properties come in any order; what is up for long, or started by nobody, is left out."""
    (tmp_path / "systemctl").write_text(SYSTEMD)
    (tmp_path / "systemctl").chmod(0o755)
    env = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    folder = tmp_path / "here"
    folder.mkdir()
    argv = ("sh", "-c", RESTARTS)
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=folder, check=True)
    found = parse_restarts(done.stdout.splitlines())
    assert {unit: (one.times, one.waits) for unit, one in found.items()} == {
        "dies.service": (3, False),
        "young.service": (0, False),
        "waits.service": (0, True),
        "pauses.service": (4, True),
    }
    assert 7 <= found["young.service"].age < 10
    assert [unit for unit, one in found.items() if one.well] == ["pauses.service"]
    assert not list(folder.iterdir())


def test_a_guard_at_work_is_waited_for_by_nobody() -> None:
    """A change waits for no age of its own guard's unit, which systemd starts again as well."""
    said = ["orchestrator-guard-7-abcd.service 0 1 running", "nginx.service 0 9 running"]
    assert parse_restarts(said).keys() == {"nginx.service"}
