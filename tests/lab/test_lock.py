"""Locks and holds on a real host: one deployer at a time, and nobody is locked out."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from fleet_bench import Bench, example_fleet, in_lab, interrupt, on_terminal, until

from orchestrator.core.values import replace

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo
LOCK = "/run/orchestrator/lock"
SECONDS = 8
"""After which a lock counts no more, in this fleet."""

SLOW_CHECK = "import time\n\n\ndef test_slow(host):\n    time.sleep(6)\n"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, whose lock does not count for long."""
    bench = example_fleet(tmp_path_factory.mktemp("locks"))
    inventory = bench.root / "inventory/fleet.yaml"
    inventory.write_text(
        inventory.read_text().replace("connect: 15s", f"connect: 4s\n    lock: {SECONDS}s")
    )
    committed = bench.command("git", "commit", "--quiet", "--all", "--message", "short locks")
    assert committed.rc == 0, committed
    with in_lab(bench, HOST):
        yield bench


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """The host, at what the fleet's files say; after the test nothing keeps anybody from it."""
    lab.reset()
    done = lab.deploy(HOST)
    assert done.rc == 0, done
    yield lab
    lab.reset()
    assert lab.run("lab", "fault", HOST, "heal").rc == 0
    assert lab.run("host", "unhold", HOST).rc == 0
    assert lab.on(HOST, f"rm -f {LOCK}").rc == 0


@pytest.fixture
def other(fleet: Bench) -> Bench:
    """Another person, with a state of their own, on the same fleet."""
    labs = {"ORCHESTRATOR_LAB_HOME": f"{fleet.home}/state/orchestrator/labs"}
    return replace(fleet, more={"LOGNAME": "bob", "XDG_STATE_HOME": f"{fleet.home}/bob", **labs})


def change(fleet: Bench, text: str) -> None:
    """Give the host something to be deployed."""
    fleet.module(HOST, f'environment.etc."marker".text = "{text}";')


def shown(fleet: Bench) -> dict[str, Any]:
    """What `status --locks` says of the host."""
    done = fleet.run("status", "--locks", "--json", HOST)
    assert done.rc == 0, done
    host: dict[str, Any] = json.loads(done.out)[HOST]
    return host


def ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The host's part of the report, and what was told before it, once a deployment has ended."""
    out, err = process.communicate(timeout=120)
    assert out, err
    events = [json.loads(line) for line in out.splitlines()]
    told = [event["text"] for event in events if event["type"] == "notice"]
    return {**events[-1]["hosts"][HOST], "told": " / ".join(told), "rc": process.returncode}


def copying(fleet: Bench) -> subprocess.Popen[str]:
    """Start a deployment, and return while it copies over a slow link what nobody has yet."""
    build = f"head -c 30000000 /dev/urandom > $out # {secrets.token_hex(4)}"
    fleet.module(HOST, f'environment.etc."big".source = pkgs.runCommand "big" {{ }} "{build}";')
    assert fleet.run("build", HOST).rc == 0
    assert fleet.run("lab", "fault", HOST, "slow", "--rate", "8mbit").rc == 0
    return until_phase(fleet, "copy")


def until_phase(fleet: Bench, phase: str) -> subprocess.Popen[str]:
    """Start a deployment and return when the host has entered a phase."""
    process = fleet.start("deploy", "--json", HOST)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("phase") == phase:
            return process
    raise AssertionError(f"it never came: {process.communicate()}")


@contextmanager
def stopped(process: subprocess.Popen[str]) -> Iterator[None]:
    """Have a deployer be asleep, as a laptop whose lid is closed."""
    process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_of_two_deployers_one_works_and_the_other_is_told(fleet: Bench, other: Bench) -> None:
    """The second is told who, which run and for how long, before it builds; then it may."""
    change(fleet, "mine")
    fleet.write(f"hosts/{HOST}/test_slow.py", SLOW_CHECK)
    first = until_phase(fleet, "verify")
    lock = shown(other)["lock"]
    assert lock["reason"] == "switch"
    assert 0 < lock["expires_in"] <= SECONDS
    change(other, "theirs")
    second = other.deploy(HOST)
    mine = ended(first)
    assert (second.rc, mine["outcome"]) == (4, "deployed"), (second, mine)
    refused = second.report["hosts"][HOST]
    assert refused["refused"]
    assert "another deployment is at it" in refused["message"]
    assert f"{lock['who']}" in refused["message"]
    assert f"(run {lock['run']}: switch)" in refused["message"]
    assert "lock break" in refused["hint"]
    phases = {event.get("phase") for event in second.events}
    assert "build" not in phases
    assert shown(fleet)["lock"] is None
    (fleet.root / f"hosts/{HOST}/test_slow.py").unlink()
    assert other.deploy(HOST).outcomes == {HOST: "deployed"}
    assert shown(fleet)["lock"] is None


def test_of_four_at_once_at_most_one_is_at_it_and_somebody_gets_through(fleet: Bench) -> None:
    """Nobody's report says what is not so, and the host ends at the target."""
    change(fleet, "at once")
    with ThreadPoolExecutor() as threads:
        runs = list(threads.map(lambda _: fleet.deploy(HOST), range(4)))
    ends = [run.report["hosts"][HOST] for run in runs]
    for end in ends:
        assert end["outcome"] in ("deployed", "unchanged") or end["refused"], end
    assert any(end["outcome"] == "deployed" for end in ends), ends
    assert fleet.on(HOST, "cat /etc/marker").out == "at once"
    assert shown(fleet)["lock"] is None


def test_a_deployer_that_was_killed_locks_nobody_out(fleet: Bench, other: Bench) -> None:
    """Elsewhere its lock counts until it expires; then it is taken over, and that is told."""
    process = copying(fleet)
    assert shown(fleet)["lock"] is not None
    process.kill()
    process.communicate()
    assert other.run("lab", "fault", HOST, "heal").rc == 0
    early = other.deploy(HOST)
    assert early.rc == 4, early
    assert "locked by" in early.report["hosts"][HOST]["message"]
    until(lambda: shown(other)["lock"]["expires_in"] <= 0)
    late = ended(other.start("deploy", "--json", HOST))
    assert late["outcome"] == "deployed"
    assert "took over a lock whose deployer is gone" in late["told"]
    assert shown(fleet)["lock"] is None


def test_the_one_whose_lock_is_stolen_stops_before_it_changes_the_host(
    fleet: Bench, other: Bench
) -> None:
    """Who has lost the lock stops before the host is changed, and is told who took it and why."""
    before = fleet.state(HOST)
    process = copying(fleet)
    nobody = other.run("host", "lock", "break", HOST)
    assert nobody.rc == 2
    assert "no terminal" in nobody.err
    words = ("host", "lock", "break", HOST, "--yes", "--json")
    stolen = other.run(*words, "--reason", "in a hurry")
    assert stolen.rc == 0, stolen
    assert "is notified" in stolen.err
    said = json.loads(stolen.out)
    assert (said["ok"], said["host"], said["broken"]) == (True, HOST, True)
    assert said["lock"]["reason"] == "switch"
    again = other.run(*words)
    assert (again.rc, "nobody has its lock" in again.err) == (0, True)
    assert json.loads(again.out) == {"ok": True, "host": HOST, "broken": False, "lock": None}
    loser = ended(process)
    assert (loser["outcome"], loser["refused"], loser["rc"]) == ("failed", True, 4)
    assert "its lock was broken by bob@" in loser["message"]
    assert "in a hurry" in loser["message"]
    assert other.run("lab", "fault", HOST, "heal").rc == 0
    assert fleet.state(HOST)["running"] == before["running"]
    change(other, "theirs")
    assert other.deploy(HOST).outcomes == {HOST: "deployed"}


def test_a_lock_is_stolen_by_who_says_yes(fleet: Bench, other: Bench) -> None:
    """On a terminal it is asked, and told whose it is; no is no."""
    process = copying(fleet)
    no = on_terminal(other, "Break it?", "n", "host", "lock", "break", HOST)
    assert no.rc == 130
    assert f"(run {shown(fleet)['lock']['run']}: switch)" in no.out
    yes = on_terminal(other, "Break it?", "y", "host", "lock", "break", HOST)
    assert (yes.rc, "is notified" in yes.out) == (0, True), yes
    assert ended(process)["refused"]


def test_once_the_host_is_being_changed_a_stolen_lock_stops_nothing(
    fleet: Bench, other: Bench
) -> None:
    """The guard goes on; the deployer says so, and ends as it would have."""
    change(fleet, "goes on")
    fleet.write(f"hosts/{HOST}/test_slow.py", SLOW_CHECK)
    process = until_phase(fleet, "verify")
    assert other.run("host", "lock", "break", HOST, "--yes").rc == 0
    end = ended(process)
    assert end["outcome"] == "deployed"
    assert "its lock was broken by bob@" in end["told"]
    assert "goes on" in end["told"]


def test_a_deployer_that_slept_finds_that_another_was_there(fleet: Bench, other: Bench) -> None:
    """A closed lid: its lock expired, another deployed; it stops, and undoes nothing."""
    process = copying(fleet)
    with stopped(process):
        assert other.run("lab", "fault", HOST, "heal").rc == 0
        until(lambda: shown(other)["lock"]["expires_in"] <= 0)
        change(other, "while it slept")
        assert other.deploy(HOST).outcomes == {HOST: "deployed"}
        running = other.state(HOST)["running"]
    end = ended(process)
    assert (end["outcome"], end["refused"]) == ("failed", True), end
    assert "its lock is gone" in end["message"]
    assert fleet.state(HOST)["running"] == running


def test_ctrl_c_releases_the_lock(fleet: Bench) -> None:
    """Ctrl-C releases the lock at once, and does not leave it to expire."""
    process = copying(fleet)
    assert shown(fleet)["lock"]
    assert interrupt(process).rc == 130
    assert shown(fleet)["lock"] is None


def test_a_deployment_that_fails_releases_the_lock(fleet: Bench) -> None:
    """A deployment that is rolled back leaves no lock on the host."""
    change(fleet, "never stays")
    fleet.write(f"hosts/{HOST}/test_never.py", "def test_never(host):\n    assert False\n")
    assert fleet.deploy(HOST).outcomes == {HOST: "rolled_back"}
    assert shown(fleet)["lock"] is None


def test_a_lost_connection_is_made_anew_to_release_the_lock(fleet: Bench) -> None:
    """The copy dies with its connection; the lock does not stay."""
    process = copying(fleet)
    assert shown(fleet)["lock"]
    logins = "pgrep -u deploy -f sshd"
    before = fleet.on(HOST, logins).out.split()
    assert fleet.on(HOST, f"kill -KILL {' '.join(before)}").rc == 0
    end = ended(process)
    assert (end["outcome"], end["step"]) == ("failed", "copy"), end
    assert "not released" not in end["told"]
    assert shown(fleet)["lock"] is None


def test_a_partition_that_ends_costs_neither_the_lock_nor_the_deployment(fleet: Bench) -> None:
    """Shorter than the lock counts: it is renewed again, and the deployment gets there."""
    change(fleet, "through it")
    fleet.write(f"hosts/{HOST}/test_slow.py", SLOW_CHECK)
    process = until_phase(fleet, "verify")
    assert fleet.run("lab", "fault", HOST, "partition").rc == 0
    assert fleet.run("lab", "fault", HOST, "heal").rc == 0
    assert ended(process)["outcome"] == "deployed"
    assert shown(fleet)["lock"] is None


def test_a_lock_that_cannot_be_released_is_told(fleet: Bench) -> None:
    """A frozen host: until when it counts, and what frees it at once; then the next run works."""
    inventory = fleet.root / "inventory/fleet.yaml"
    inventory.write_text(inventory.read_text().replace(f"lock: {SECONDS}s", "lock: 10m"))
    process = copying(fleet)
    assert fleet.run("lab", "fault", HOST, "freeze").rc == 0
    process.send_signal(signal.SIGINT)
    end = ended(process)
    assert end["rc"] == 130
    assert "its lock was not released" in end["told"]
    assert f"orchestrator host lock break {HOST}" in end["told"]
    assert fleet.run("lab", "fault", HOST, "heal").rc == 0
    assert fleet.run("host", "lock", "break", HOST, "--yes").rc == 0
    assert fleet.deploy(HOST).outcomes == {HOST: "deployed"}


@pytest.mark.parametrize("text", ["", "rubbish", "token=x\\nexpires=soon"])
def test_a_lock_that_cannot_be_read_keeps_nobody_out(fleet: Bench, text: str) -> None:
    """A lock that cannot be read keeps nobody out, and is reported."""
    change(fleet, f"after {len(text)}")
    assert fleet.on(HOST, f"printf '{text}' > {LOCK}").rc == 0
    end = ended(fleet.start("deploy", "--json", HOST))
    assert end["outcome"] == "deployed"
    assert "could not be read" in end["told"]
    assert shown(fleet)["lock"] is None


def test_a_boot_frees_the_lock(fleet: Bench, other: Bench) -> None:
    """The lock of a deployer that was killed is gone with the boot."""
    process = copying(fleet)
    process.kill()
    process.communicate()
    assert fleet.run("lab", "fault", HOST, "heal").rc == 0
    fleet.boot(HOST, "reboot")
    assert shown(other)["lock"] is None


def test_nobody_deploys_a_held_host_until_it_is_lifted(fleet: Bench, other: Bench) -> None:
    """Deploy, plan and an emergency are refused and say who, why, and how to go on."""
    change(fleet, "held")
    placed = fleet.run("host", "hold", HOST, "--reason", "disk swap")
    assert placed.rc == 0, placed
    hold = shown(other)["hold"]
    assert hold["id"] in placed.out
    for command in (("deploy",), ("plan",), ("deploy", "--emergency", "now")):
        done = other.run(*command, "--json", HOST)
        assert done.rc == 4, done
        end = done.report["hosts"][HOST]
        assert (end["outcome"], end["refused"]) == ("failed", True)
        assert f"held by {hold['who']}" in end["message"]
        assert '"disk swap"' in end["message"]
        assert f"orchestrator host unhold {HOST}" in end["hint"]
        assert f"--override-hold {hold['id']}" in end["hint"]
    again = other.run("host", "hold", HOST, "--reason", "mine")
    assert (again.rc, "disk swap" in again.out) == (4, True)
    wrong = other.run("deploy", "--emergency", "now", "--json", HOST, "--override-hold", "beef")
    assert wrong.rc == 4
    past = other.run("deploy", "--emergency", "now", "--json", HOST, "--override-hold", hold["id"])
    assert past.outcomes == {HOST: "deployed"}, past
    assert shown(fleet)["hold"] == hold
    lifted = other.run("host", "unhold", HOST)
    assert (lifted.rc, "disk swap" in lifted.out) == (0, True)
    assert "was not held" in other.run("host", "unhold", HOST).out
    change(fleet, "free")
    assert fleet.deploy(HOST).outcomes == {HOST: "deployed"}


def test_a_hold_outlives_a_boot_and_stops_who_is_on_the_way(fleet: Bench, other: Bench) -> None:
    """Placed while another copies: that one stops before it changes the host."""
    process = copying(fleet)
    placed = other.run("host", "hold", HOST, "--reason", "disk swap")
    assert "A deployment is at it" in placed.out
    end = ended(process)
    assert (end["refused"], "disk swap" in end["message"]) == (True, True), end
    assert shown(fleet)["lock"] is None
    assert fleet.run("lab", "fault", HOST, "heal").rc == 0
    fleet.boot(HOST, "reboot")
    assert fleet.deploy(HOST).rc == 4


def test_a_host_that_does_not_answer_is_told(fleet: Bench) -> None:
    """A host that does not answer is named, and called neither held nor free."""
    assert fleet.run("lab", "fault", HOST, "partition").rc == 0
    for command in (
        ("host", "hold", "--reason", "x"),
        ("host", "unhold"),
        ("status", "--locks"),
        ("host", "lock", "break", "--yes"),
    ):
        done = fleet.run(*command, HOST)
        assert done.rc == 1, done
        assert HOST in done.err


def test_goals_that_change_nothing_take_no_lock(fleet: Bench) -> None:
    """Built, pushed and planned beside a deployment."""
    change(fleet, "pushed")
    text = "token=other\\nwho=bob\\nexpires=$(($(cut -d. -f1 /proc/uptime) + 60))\\n"
    assert fleet.on(HOST, f'printf "{text}" > {LOCK}').rc == 0
    assert fleet.deploy(HOST).rc == 4
    assert fleet.deploy(HOST, "--goal", "push").outcomes == {HOST: "completed"}
    assert shown(fleet)["lock"]["who"] == "bob"


def test_status_shows_lock_and_hold(fleet: Bench) -> None:
    """`status` shows lock and hold as a table for people, and as JSON for scripts."""
    process = copying(fleet)
    # Else it finds the hold, and gives way, while one looks.
    with stopped(process):
        assert fleet.run("host", "hold", HOST, "--reason", "disk swap").rc == 0
        state = fleet.state(HOST)
        words = fleet.run("status", HOST).out
    assert (state["lock"]["reason"], state["hold"]["reason"]) == ("switch", "disk swap")
    assert "disk swap" in words
    assert "switch" in words
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
