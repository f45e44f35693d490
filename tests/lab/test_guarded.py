"""The guard on a real host: the new system or the old one, proven, and a report that is so."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab, interrupt, until

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo
SYSTEM = ("running", "profile", "boot_default")
MARKER = 'environment.etc."marker".text = "new";'
SLOW_CHECK = "import time\n\n\ndef test_slow(host):\n    time.sleep(60)\n"
FAILING_CHECK = "def test_never(host):\n    assert False\n"
NEVER_STARTS = """
systemd.services.never = {
  wantedBy = [ "multi-user.target" ];
  serviceConfig = { Type = "oneshot"; ExecStart = "/bin/sh -c 'exit 1'"; };
};
"""

DIES = """
systemd.services.dies = {
  wantedBy = [ "multi-user.target" ];
  serviceConfig = { ExecStart = "/bin/sleep 1"; Restart = "always"; RestartSec = 2; };
};
"""
"""Started again before systemd gives it up: never in state *failed*, nor up for long."""

STAYS = """
systemd.services.once = {
  wantedBy = [ "multi-user.target" ];
  serviceConfig = {
    ExecStart = "/bin/sh -c '[ -e /run/once ] && exec sleep 900; touch /run/once; sleep 4; exit 1'";
    Restart = "on-failure";
    RestartSec = 8;
  };
};
systemd.services.poll = {
  wantedBy = [ "multi-user.target" ];
  serviceConfig = { ExecStart = "/bin/sleep 2"; Restart = "always"; RestartSec = 60; };
};
"""
"""One that dies once and is up from its second start on, and a loop that sleeps by systemd."""


HELD = (
    'system.activationScripts.held.text = "until [ -e /run/go-on ]; do sleep 0.1; done";' + MARKER
)
"""Its activation waits until a test lets it go on."""


def harm(start: str) -> str:
    """Give a configuration that does harm when it is activated, and that nothing in it undoes."""
    return (
        "systemd.services.harm = {\n"
        '  wantedBy = [ "multi-user.target" ];\n'
        "  serviceConfig = {\n"
        '    Type = "oneshot"; RemainAfterExit = true;\n'
        f"    ExecStart = \"/bin/sh -c '{start}'\";\n"
        "  };\n};\n"
    )


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, whose guard does not wait long."""
    bench = example_fleet(tmp_path_factory.mktemp("guarded"))
    inventory = bench.root / "inventory/fleet.yaml"
    text = inventory.read_text().replace("connect: 15s", "connect: 4s")
    text = text.replace("activate: 10m", "activate: 30s\n    verify: 90s")
    inventory.write_text(f"{text}  guard:\n    confirm: 12s\n    health: 60s\n")
    committed = bench.command("git", "commit", "--quiet", "--all", "--message", "a guard")
    assert committed.rc == 0, committed
    with in_lab(bench, HOST):
        yield bench


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """The host, at what the fleet's files say; after the test nothing of it is left there."""
    lab.reset()
    forget_lock(lab)  # of a test that failed
    done = lab.deploy(HOST)
    assert done.rc == 0, done
    assert lab.on(HOST, "rm -f /run/go-on; systemctl reset-failed").rc == 0
    yield lab
    lab.reset()
    assert lab.run("lab", "fault", HOST, "heal").rc == 0


def set_guard(fleet: Bench, **words: str) -> None:
    """Change the inventory's guard."""
    inventory = fleet.root / "inventory/fleet.yaml"
    text = inventory.read_text()
    for key, value in words.items():
        text = (
            text.replace(f"    {key}: ", f"    {key}: {value} # ")
            if f" {key}:" in text
            else (f"{text}    {key}: {value}\n")
        )
    inventory.write_text(text)


def system_of(fleet: Bench) -> list[str]:
    """Running system, profile and boot default."""
    state = fleet.state(HOST)
    return [state[key] for key in SYSTEM]


def assert_is(fleet: Bench, wanted: list[str]) -> None:
    """The host is at these systems, and no unit, root, order or lock of ours is left there."""
    assert system_of(fleet) == wanted
    # Its guard tells of the end, and then has systemd forget what it left for a boot.
    until(lambda: left_there(fleet) == "")


def left_there(fleet: Bench) -> str:
    """What a deployment left on the host."""
    return fleet.on(
        HOST,
        "systemctl list-units --plain --no-legend 'orchestrator-*'; "
        "ls /nix/var/nix/gcroots/orchestrator /run/orchestrator/lock 2>/dev/null; "
        "ls -d /run/orchestrator/asked-* 2>/dev/null; "
        "ls /etc/systemd/system.control/orchestrator-* 2>/dev/null",
    ).out


def start_until(fleet: Bench, phase: str) -> subprocess.Popen[str]:
    """Start a deployment and return when the host has entered a phase."""
    process = fleet.start("deploy", "--json", HOST)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("phase") == phase:
            return process
    raise AssertionError(f"it never came: {process.communicate()}")


def end_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The host's part of the report, once the deployment has ended."""
    # The deployment's own deadlines end it; how fast this machine is says nothing.
    out, err = process.communicate(timeout=900)
    assert out, err
    host: dict[str, Any] = json.loads(out.splitlines()[-1])["hosts"][HOST]
    return host


def guards_state(fleet: Bench) -> str:
    """The attempt's state, by the host's own file."""
    return fleet.on(HOST, "sed -n s/^state=//p /run/orchestrator/attempt").out.strip()


def kill(process: subprocess.Popen[str]) -> None:
    """End a deployer as a power cut would, and give up its lock as time would."""
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)


def forget_lock(fleet: Bench) -> None:
    """Have the dead deployer's lock expire."""
    assert fleet.on(HOST, "rm -f /run/orchestrator/lock").rc == 0


def deploy_until_good(fleet: Bench) -> Done:
    """Deploy what the fleet's own files say."""
    fleet.reset()
    return fleet.deploy(HOST)


def start_held(fleet: Bench) -> subprocess.Popen[str]:
    """Start a deployment and return in the middle of its activation."""
    fleet.module(HOST, HELD)
    process = start_until(fleet, "activate")
    until(lambda: guards_state(fleet) == "activating")
    return process


def go_on(fleet: Bench) -> None:
    """Let the activation go on."""
    # The first packet after a partition may still find no neighbour.
    until(lambda: fleet.on(HOST, "touch /run/go-on").rc == 0)


@pytest.mark.parametrize("seconds", [1, 18])
def test_a_link_that_drops_during_activation_changes_nothing(fleet: Bench, seconds: float) -> None:
    """Shorter or longer than a connection lives: the deployment ends at its target."""
    set_guard(fleet, confirm="5m", activate="5m")
    process = start_held(fleet)
    assert fleet.run("lab", "fault", HOST, "partition").rc == 0
    time.sleep(seconds)
    assert fleet.run("lab", "fault", HOST, "heal").rc == 0
    go_on(fleet)
    host = end_of(process)
    assert host["outcome"] == "deployed", host
    assert_is(fleet, [host["out_path"]] * 3)


def test_a_connection_that_is_killed_during_activation_is_made_anew(fleet: Bench) -> None:
    """The guard has nothing to do with it."""
    process = start_held(fleet)
    assert fleet.on(HOST, "pkill -f '^sshd(-session)?: deploy'").rc == 0
    go_on(fleet)
    host = end_of(process)
    assert host["outcome"] == "deployed", host


def test_a_link_that_stays_away_until_the_deadline_is_a_way_back(fleet: Bench) -> None:
    """The guard rolls back alone; the deployer waits until it answers again, and reports."""
    before = system_of(fleet)
    process = start_held(fleet)
    # Nobody reaches it then: it lets its activation go on by itself.
    cut = "while grep -q 1 /sys/class/net/eth0/carrier; do sleep 0.1; done; touch /run/go-on"
    assert fleet.on(HOST, f"systemd-run --quiet sh -c '{cut}'").rc == 0
    assert fleet.run("lab", "fault", HOST, "partition").rc == 0
    time.sleep(25)  # the guard waits for 12
    assert fleet.run("lab", "fault", HOST, "heal").rc == 0
    host = end_of(process)
    assert host["outcome"] == "rolled_back", host
    assert "no new connection came in time" in json.dumps(host)
    assert_is(fleet, before)


HARMS = {
    "cuts the network": "ip link set eth0 down",
    "stops sshd": "systemctl mask --quiet --runtime --now ssh.service",
    "changes the host key": ("rm /etc/ssh/ssh_host_*; ssh-keygen -A; systemctl reload ssh.service"),
    "breaks sudo": "echo deploy ALL=PASSWD: ALL > /etc/sudoers.d/zz-asks",
}


@pytest.mark.parametrize("what", list(HARMS))
def test_an_activation_that_locks_everybody_out_is_taken_back(fleet: Bench, what: str) -> None:
    """Nobody gets in any more: the host rolls back, that is proved and said, and the next works."""
    before = system_of(fleet)
    fleet.module(HOST, harm(HARMS[what]) + MARKER)
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert_is(fleet, before)
    assert deploy_until_good(fleet).outcomes == {HOST: "unchanged"}


def test_an_activation_that_hangs_is_ended_and_taken_back(fleet: Bench) -> None:
    """The guard ends it at its deadline, and what it left running too."""
    before = system_of(fleet)
    inventory = fleet.root / "inventory/fleet.yaml"
    inventory.write_text(inventory.read_text().replace("activate: 30s", "activate: 4s"))
    hang = 'system.activationScripts.hang.text = "sleep 4321 & sleep 4321";'
    fleet.module(HOST, hang)
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert_is(fleet, before)
    assert fleet.on(HOST, "pgrep -fx 'sleep 4321'").out == ""


def test_a_deployer_that_dies_is_followed_by_one_that_finishes(fleet: Bench) -> None:
    """Killed while it verified: the next run proves, verifies and commits the same system."""
    fleet.module(HOST, MARKER)
    fleet.write(f"hosts/{HOST}/test_slow.py", SLOW_CHECK)
    kill(start_until(fleet, "verify"))
    assert guards_state(fleet) == "checking"
    forget_lock(fleet)
    (fleet.root / f"hosts/{HOST}/test_slow.py").unlink()
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "deployed"}, done
    assert_is(fleet, [done.report["hosts"][HOST]["out_path"]] * 3)


@pytest.mark.parametrize("phase", ["copy", "activate", "prove", "verify", "commit"])
def test_a_deployer_that_dies_leaves_a_host_that_the_next_one_deploys(
    fleet: Bench, phase: str
) -> None:
    """Killed in any phase; the next run wants something else, and simply works."""
    before = system_of(fleet)
    # A system of its own: what the host has already is not copied.
    fleet.module(HOST, (HELD if phase == "activate" else MARKER).replace("new", f"dead in {phase}"))
    if phase == "verify":
        fleet.write(f"hosts/{HOST}/test_slow.py", SLOW_CHECK)
    kill(start_until(fleet, phase))
    go_on(fleet)
    forget_lock(fleet)
    done = deploy_until_good(fleet)
    assert done.rc == 0, done
    assert_is(fleet, before)


def test_a_deployer_that_dies_and_is_not_followed_is_told_of_later(fleet: Bench) -> None:
    """The guard rolls back by itself; whoever comes next is told who, which run and why."""
    before = system_of(fleet)
    kill(start_held(fleet))
    go_on(fleet)
    until(lambda: guards_state(fleet) == "returned", seconds=60)
    forget_lock(fleet)
    assert_is(fleet, before)
    done = deploy_until_good(fleet)
    assert done.rc == 0, done
    told = " ".join(event.get("text", "") for event in done.events)
    assert "the guard there rolled back to" in told
    again = fleet.deploy(HOST)
    assert "rolled back" not in " ".join(event.get("text", "") for event in again.events)


def test_a_power_cut_before_the_confirmation_is_a_way_back(fleet: Bench) -> None:
    """The host boots the old system; the deployer finds it there and says so."""
    before = system_of(fleet)
    fleet.module(HOST, MARKER)
    fleet.write(f"hosts/{HOST}/test_slow.py", SLOW_CHECK)
    process = start_until(fleet, "verify")
    fleet.boot(HOST, "kill", "start")
    host = end_of(process)
    assert host["outcome"] == "rolled_back", host
    assert_is(fleet, before)
    assert deploy_until_good(fleet).rc == 0


def test_the_same_system_forced_and_failing_is_taken_back(fleet: Bench) -> None:
    """A closure that runs already goes the same way: the host runs it again, and that is told."""
    before = system_of(fleet)
    fleet.write(f"hosts/{HOST}/test_never.py", FAILING_CHECK)
    done = fleet.deploy(HOST, "--force")
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert_is(fleet, before)


def test_a_verification_beyond_the_health_deadline_is_taken_back(fleet: Bench) -> None:
    """The guard waits as long as the inventory says, and no longer."""
    before = system_of(fleet)
    set_guard(fleet, health="3s")
    fleet.module(HOST, MARKER)
    fleet.write(f"hosts/{HOST}/test_slow.py", SLOW_CHECK.replace("60", "8"))
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert_is(fleet, before)


POLICIES = pytest.mark.parametrize(
    ("policy", "ends"), [("report", "deployed"), ("roll-back", "rolled_back")]
)


def reported_once(fleet: Bench, policy: str, ends: str, units: str, said: str) -> Done | None:
    """Deploy units that go wrong, by a policy; what was reported is not the next deployment's.

    Gives that next one, by the stricter policy, where the first stayed.
    """
    set_guard(fleet, failed_units=policy)
    fleet.module(HOST, units)
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: ends}, done
    assert re.search(said, done.out), done
    if policy != "report":
        return None
    fleet.module(HOST, units + MARKER)
    set_guard(fleet, failed_units="roll-back")
    again = fleet.deploy(HOST, "--no-verify")
    assert again.outcomes == {HOST: "deployed"}, again
    return again


@POLICIES
def test_units_that_newly_fail_are_told_or_take_the_host_back(
    fleet: Bench, policy: str, ends: str
) -> None:
    """Units that newly fail are reported or roll the host back, as the inventory says."""
    reported_once(fleet, policy, ends, NEVER_STARTS, r"never\.service")


@POLICIES
def test_services_that_die_and_are_started_again_are_told_or_take_the_host_back(
    fleet: Bench, policy: str, ends: str
) -> None:
    """A service that systemd starts again and again is active for it, and fails here."""
    said = r"die and are started again: dies\.service \(\d+ times\)"
    again = reported_once(fleet, policy, ends, DIES, said)
    # What was dying before is not the next one's.
    assert again is None or "dies.service" not in again.out


def test_a_service_that_died_once_and_a_loop_that_pauses_are_kept(fleet: Bench) -> None:
    """What waits for its next start when it is asked for may stay up after that."""
    set_guard(fleet, failed_units="roll-back")
    fleet.module(HOST, STAYS)
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "deployed"}, done
    assert "started again" not in done.out


@pytest.mark.parametrize("goal", ["test", "boot"])
def test_goals_change_what_they_say(fleet: Bench, goal: str) -> None:
    """A test is running and not the boot default, a boot the boot default and not running."""
    old = system_of(fleet)[0]
    fleet.module(HOST, MARKER)
    done = fleet.deploy(HOST, "--goal", goal)
    assert done.outcomes == {HOST: "deployed"}, done
    new = done.report["hosts"][HOST]["out_path"]
    assert_is(fleet, [new, old, old] if goal == "test" else [old, new, new])
    assert fleet.deploy(HOST, "--goal", goal).outcomes == {HOST: "unchanged"}


def test_ctrl_c_is_answered_at_once_and_proved(fleet: Bench) -> None:
    """The first asks the guard to roll back, in the middle of an activation, and waits for it."""
    before = system_of(fleet)
    done = interrupt(start_held(fleet))
    assert done.rc == 130
    host = json.loads(done.out.splitlines()[-1])["hosts"][HOST]
    assert host["outcome"] == "rolled_back", host
    assert_is(fleet, before)
