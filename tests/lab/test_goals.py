"""Each goal goes as far as its name says, and says no more than is so."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fleet_bench import Bench, log_of

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"
SYSTEM = ("running", "profile", "boot_default")


@pytest.fixture
def changed(fleet: Bench) -> Bench:
    """A fleet in which one host has something to deploy."""
    fleet.module(HOST, 'environment.etc."marker".text = "goal";')
    return fleet


def systems(fleet: Bench) -> list[str]:
    """What the host runs, has as its profile, and boots."""
    state = fleet.state(HOST)
    return [state[key] for key in SYSTEM]


@pytest.mark.parametrize("goal", ["build", "push", "dry-activate"])
def test_a_goal_that_changes_nothing_is_completed(changed: Bench, goal: str) -> None:
    """The host runs what it ran; the outcome is not called "deployed"."""
    before = systems(changed)
    done = changed.deploy("--goal", goal, HOST)
    assert done.outcomes == {HOST: "completed"}
    assert done.report["goal"] == goal
    assert systems(changed) == before
    wanted = done.report["hosts"][HOST]["out_path"]
    there = changed.on(HOST, f"nix-store --check-validity {wanted}")
    assert (there.rc == 0) == (goal != "build")


def test_build_asks_no_host(changed: Bench) -> None:
    """`build` works while the host is down."""
    assert changed.run("lab", "fault", HOST, "partition").rc == 0
    try:
        done = changed.run("build", "--json", HOST)
    finally:
        assert changed.run("lab", "fault", HOST, "heal").rc == 0
    assert done.outcomes == {HOST: "completed"}


def test_test_lasts_until_the_reboot(changed: Bench) -> None:
    """Goal test runs the new system and leaves profile and boot default."""
    _, *before = systems(changed)
    done = changed.deploy("--goal", "test", HOST)
    assert done.outcomes == {HOST: "deployed"}
    running, *after = systems(changed)
    assert running == done.report["hosts"][HOST]["out_path"]
    assert after == before
    assert changed.deploy("--goal", "test", HOST).outcomes == {HOST: "unchanged"}


def test_boot_takes_effect_at_the_reboot(changed: Bench) -> None:
    """Goal boot sets profile and boot default, runs what ran, and the reboot brings it."""
    running, *_ = systems(changed)
    done = changed.deploy("--goal", "boot", HOST)
    wanted = done.report["hosts"][HOST]["out_path"]
    assert done.outcomes == {HOST: "deployed"}
    assert systems(changed) == [running, wanted, wanted]
    assert changed.deploy("--goal", "boot", HOST).outcomes == {HOST: "unchanged"}
    assert changed.run("plan", "--json", HOST).outcomes == {HOST: "deployed"}
    changed.boot(HOST, "reboot")
    assert systems(changed) == [wanted, wanted, wanted]


def test_a_plan_touches_nothing(changed: Bench) -> None:
    """After `plan` the host has neither the system nor a record of it, and nothing was built."""
    changed.module(HOST, 'environment.etc."marker".text = "planned only";')
    before = changed.state(HOST)
    done = changed.run("plan", "--json", HOST)
    assert done.outcomes == {HOST: "deployed"}
    wanted = done.report["hosts"][HOST]["out_path"]
    after = changed.state(HOST)
    assert {**after, "seconds": 0} == {**before, "seconds": 0}
    assert changed.on(HOST, f"test -e {wanted}").rc != 0


def test_verification_leaves_junit_and_logs(changed: Bench) -> None:
    """A run's folder has its events, its log and the JUnit XML of all hosts, and nothing else."""
    done = changed.deploy(HOST)
    folder = Path(done.report["folder"])
    assert folder.stat().st_mode & 0o077 == 0
    assert {"events.jsonl.gz", "log.gz", "junit.xml"} == {file.name for file in folder.iterdir()}
    assert 'failures="0"' in (folder / "junit.xml").read_text()
    assert HOST in (folder / "junit.xml").read_text()
    shown = json.loads(changed.run("run", "show", str(done.report["run"]), "--json").out)
    assert shown["report"] == done.report
    log = changed.run("run", "logs", str(done.report["run"]), HOST).out
    assert log == log_of(folder, HOST)
    assert "== deployed" in log


@pytest.mark.parametrize("site", ["target", "p510"])
def test_a_system_may_be_built_elsewhere(changed: Bench, site: str) -> None:
    """Built on the target or on another host, it is the same system, and it is deployed."""
    wanted = changed.run("plan", "--json", HOST).report["hosts"][HOST]["out_path"]
    done = changed.deploy("--build-on", site, HOST)
    assert done.outcomes == {HOST: "deployed"}
    assert systems(changed) == [wanted, wanted, wanted]


def test_a_builder_that_is_no_host_is_named(changed: Bench) -> None:
    """A builder that the fleet does not have fails the host with its name."""
    done = changed.deploy("--build-on", "nowhere", HOST)
    assert done.rc in (1, 2)
    assert "nowhere" in done.err + done.out
