"""Boots after a deployment: needed or not, that end well, badly, elsewhere, or not at all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_bench import BOOT_ID, Bench, Done, example_fleet, in_lab, log_of, until

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"
PATHS = ("running", "booted", "profile", "boot_default")
KERNEL = "boot.kernelPackages = pkgs.{};"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, which has 25 s to boot."""
    bench = example_fleet(tmp_path_factory.mktemp("reboot"))
    inventory = bench.root / "inventory/fleet.yaml"
    text = inventory.read_text().replace("connect: 15s", "connect: 4s\n    reboot: 25s")
    inventory.write_text(text)
    committed = bench.command("git", "commit", "--quiet", "--all", "--message", "short boots")
    assert committed.rc == 0, committed
    with in_lab(bench, HOST):
        yield bench


@pytest.fixture
def fleet(one: Bench) -> Bench:
    """The host at what the fleet's files say, booted into it."""
    one.reset()
    done = one.deploy(HOST, "--reboot")
    assert done.rc == 0, done
    return one


def boot_id(fleet: Bench) -> str:
    """Which boot it is."""
    return fleet.on(HOST, BOOT_ID).out.strip()


def paths(fleet: Bench) -> list[str]:
    """What the host runs, booted, has as its profile, and boots next."""
    state = fleet.state(HOST)
    return [state[key] for key in PATHS]


def phases(done: Done) -> list[str]:
    """What the host went through."""
    return [event["phase"] for event in done.events if event["type"] == "phase"]


def result(done: Done) -> dict[str, Any]:
    """The host's result."""
    return done.report["hosts"][HOST]


def test_a_new_kernel_is_booted_and_proved(fleet: Bench) -> None:
    """A new kernel is booted and verified, all links are the new system, and nothing is left."""
    before = boot_id(fleet)
    fleet.module(HOST, KERNEL.format("linuxPackages_latest"))
    done = fleet.deploy(HOST, "--reboot")
    assert done.outcomes == {HOST: "deployed"}
    assert re.search(r"rebooted in \d+ s \(new kernel, kernel-modules\)", result(done)["reason"])
    assert boot_id(fleet) != before
    assert paths(fleet) == [result(done)["out_path"]] * 4
    went = phases(done)
    assert went.count("verify") == 2
    assert went.index("reboot") > went.index("commit")
    left = fleet.on(HOST, "ls /run/orchestrator; systemctl list-units --plain 'orchestrator-*'").out
    assert "lock" not in left.split()
    assert "reboot" not in left


def test_what_needs_no_boot_gets_none(fleet: Bench) -> None:
    """A file of /etc is there without."""
    before = boot_id(fleet)
    fleet.module(HOST, 'environment.etc."marker".text = "no kernel";')
    done = fleet.deploy(HOST, "--reboot")
    assert done.outcomes == {HOST: "deployed"}
    assert "booted" not in result(done)["reason"]
    assert boot_id(fleet) == before


def test_a_boot_that_was_owed_is_made_up_for(fleet: Bench) -> None:
    """A host at its target that runs an older kernel is booted; one that does not stays up."""
    fleet.module(HOST, KERNEL.format("linuxPackages_6_6"))
    assert fleet.deploy(HOST).outcomes == {HOST: "deployed"}
    before = boot_id(fleet)
    plan = fleet.deploy(HOST)
    assert plan.outcomes == {HOST: "unchanged"}
    assert fleet.deploy(HOST, "--reboot").outcomes == {HOST: "deployed"}
    after = boot_id(fleet)
    assert after != before
    assert fleet.deploy(HOST, "--reboot").outcomes == {HOST: "unchanged"}
    assert boot_id(fleet) == after
    assert fleet.deploy(HOST, "--reboot=always").outcomes == {HOST: "deployed"}
    assert boot_id(fleet) != after


def test_goal_boot_and_a_boot(fleet: Bench) -> None:
    """What is registered for the next boot needs it, comes up, and is verified then."""
    fleet.module(HOST, 'environment.etc."marker".text = "at boot";')
    done = fleet.deploy(HOST, "--goal", "boot", "--reboot")
    assert done.outcomes == {HOST: "deployed"}
    assert paths(fleet) == [result(done)["out_path"]] * 4
    assert phases(done).count("verify") == 1


def test_a_rollback_boots_the_old_kernel(fleet: Bench) -> None:
    """`rollback --reboot` boots the old kernel, as `deploy --reboot` boots a new one."""
    old = fleet.state(HOST)["running"]
    fleet.module(HOST, KERNEL.format("linuxPackages_latest"))
    assert fleet.deploy(HOST, "--reboot").rc == 0
    done = fleet.run("rollback", "--json", HOST, "--reboot")
    assert done.outcomes == {HOST: "deployed"}
    assert paths(fleet) == [old] * 4


def test_what_holds_a_boot_up_is_told(fleet: Bench) -> None:
    """The host is at its target and was not booted: that is a failure, and said to be just that."""
    before = boot_id(fleet)
    fleet.on(HOST, "systemctl mask --runtime reboot.target")
    try:
        done = fleet.deploy(HOST, "--reboot=always")
    finally:
        fleet.on(HOST, "systemctl unmask --runtime reboot.target")
    assert (done.rc, done.outcomes) == (1, {HOST: "failed"})
    assert "refuses to reboot" in result(done)["message"]
    assert "it runs and will boot" in result(done)["host_state"]
    assert boot_id(fleet) == before


def test_a_host_that_boots_something_else_says_so(fleet: Bench) -> None:
    """The boot loader fell back: it runs the old system, and that is told."""
    old = fleet.state(HOST)["running"]
    fleet.module(HOST, 'boot.kernelParams = [ "lab.boot=fallback" ];')
    done = fleet.deploy(HOST, "--reboot")
    assert (done.rc, done.outcomes) == (1, {HOST: "failed"})
    problem = result(done)
    assert problem["step"] == "reboot"
    assert "may have fallen back" in problem["message"]
    assert paths(fleet)[:2] == [old, old]
    assert fleet.state(HOST)["profile"] == problem["out_path"]
    fleet.reset()
    assert fleet.deploy(HOST, "--reboot").rc == 0
    assert paths(fleet) == [old] * 4


def test_a_host_that_does_not_come_back_is_told_with_all_that_is_known(fleet: Bench) -> None:
    """Since when it is silent, what it should boot, which boot was its last, how to look."""
    state, before = fleet.state(HOST), boot_id(fleet)
    fleet.module(HOST, 'boot.kernelParams = [ "lab.boot=hang" ];')
    done = fleet.deploy(HOST, "--reboot")
    assert (done.rc, done.outcomes) == (1, {HOST: "failed"})
    problem = result(done)
    assert "did not come back within 25 s" in problem["message"]
    assert re.search(r"no answer since \d\d:\d\d:\d\d", problem["message"])
    assert before in problem["message"]
    assert problem["out_path"].removeprefix("/nix/store/")[:5] in problem["message"]
    assert "console" in problem["hint"]
    assert problem["lost"] is True
    choose_in_menu(fleet, state["running"])
    fleet.reset()
    assert fleet.deploy(HOST, "--reboot").rc == 0
    assert paths(fleet) == [state["running"]] * 4


def choose_in_menu(fleet: Bench, system: str) -> None:
    """Do what a person at the console does: power off and on, and choose another system."""
    assert fleet.run("lab", "fault", HOST, "kill").rc == 0
    loader = fleet.lab_folder / "hosts" / HOST / "boot/loader"
    default = loader / "loader.conf"
    text = default.read_text()
    entry = next(
        entry.name for entry in loader.glob("entries/*.conf") if system in entry.read_text()
    )
    default.write_text(re.sub("default .*", f"default {entry}", text))
    assert fleet.run("lab", "fault", HOST, "start").rc == 0
    until(lambda: fleet.on(HOST, BOOT_ID).rc == 0)
    default.write_text(text)


def test_a_power_cut_while_it_boots(fleet: Bench) -> None:
    """A host that loses power while it boots is deployed if it comes back within its time."""
    fleet.module(HOST, KERNEL.format("linuxPackages_latest"))
    before = boot_id(fleet)
    process = fleet.start("deploy", "--json", HOST, "--reboot")
    folder = wait_for(fleet, "rebooting it")
    until(lambda: boot_id(fleet) not in ("", before))
    fleet.boot(HOST, "kill", "start")
    out, err = process.communicate(timeout=90)
    done = Done(process.returncode, out, err)
    assert done.outcomes == {HOST: "deployed"}, log_of(folder, HOST)
    assert paths(fleet) == [result(done)["out_path"]] * 4


def wait_for(fleet: Bench, text: str) -> Path:
    """Wait until the newest run's log of the host has a line."""

    def newest() -> Path:
        runs = fleet.home.glob("state/orchestrator/fleets/*/runs/*")
        return max(runs, key=lambda folder: int(folder.name))

    until(lambda: text in log_of(newest(), HOST))
    return newest()
