"""What NixOS's switch-to-configuration says beside 0 and 4, as a host that is deployed meets it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo
SYSTEM = ("running", "profile", "boot_default")
MADE = "stat -c '%i %z' /run/current-system"
"""Changes with each activation, whatever it activates."""


def snippet(name: str, text: str) -> str:
    """Give a host a snippet of its activation script."""
    return f"system.activationScripts.{name}.text = {json.dumps(text)};\n"


ALWAYS = snippet("always", "false")
MARKER = 'environment.etc."marker".text = "{}";\n'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, whose guard waits for a minute."""
    bench = example_fleet(tmp_path_factory.mktemp("codes"))
    inventory = bench.root / "inventory/fleet.yaml"
    inventory.write_text(f"{inventory.read_text()}  guard:\n    confirm: 60s\n")
    assert bench.command("git", "commit", "--quiet", "--all", "--message", "a guard").rc == 0
    with in_lab(bench, HOST):
        yield bench


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """The host, at what the fleet's files say, by the guard or else by hand."""
    lab.reset()
    if lab.deploy(HOST, "--no-verify").rc != 0:
        by_hand(lab, "")
        assert lab.deploy(HOST, "--no-verify").rc == 0
    yield lab
    lab.reset()


def by_hand(fleet: Bench, body: str) -> None:
    """Have a host run a system as `nixos-rebuild switch` leaves it, which heeds no exit code."""
    fleet.module(HOST, body)
    there = fleet.deploy(HOST, "--goal", "push")
    assert there.rc == 0, there
    system = there.report["hosts"][HOST]["out_path"]
    fleet.on(
        HOST,
        f"nix-env --profile /nix/var/nix/profiles/system --set {system}; "
        f"{system}/bin/switch-to-configuration switch",
    )
    assert systems(fleet) == [system] * 3


def systems(fleet: Bench) -> list[str]:
    """What the host runs, its profile, and what it boots."""
    state = fleet.state(HOST)
    return [state[key] for key in SYSTEM]


def host_of(done: Done) -> dict[str, Any]:
    """The host's part of a report."""
    host: dict[str, Any] = done.report["hosts"][HOST]
    return host


def attempt(fleet: Bench, key: str) -> str:
    """A line of what the guard wrote down."""
    return fleet.on(HOST, f"sed -n s/^{key}=//p /run/orchestrator/attempt").out.strip()


@pytest.mark.parametrize("boots", [False, True])
def test_a_host_whose_activation_always_failed_is_rolled_back(fleet: Bench, boots: bool) -> None:
    """The old system's own snippet fails on the way back, as at its last switch or boot."""
    by_hand(fleet, ALWAYS)
    if boots:
        fleet.boot(HOST, "reboot")
    before = systems(fleet)
    fleet.module(HOST, ALWAYS + snippet("fresh", "exit 7"))
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "rolled_back"}, done
    host = host_of(done)
    assert "'fresh' failed (7)" in host["message"], host
    assert "'always' failed (1), as before" in host["host_state"], host
    assert systems(fleet) == before


@pytest.mark.parametrize("boots", [False, True])
def test_a_host_whose_activation_always_failed_is_deployed_to(fleet: Bench, boots: bool) -> None:
    """What failed before is no new failure: deployed, with a warning that names it, each time."""
    by_hand(fleet, ALWAYS)
    if boots:
        fleet.boot(HOST, "reboot")
    for number in (1, 2):
        fleet.module(HOST, ALWAYS + MARKER.format(number))
        done = fleet.deploy(HOST, "--no-verify")
        assert done.outcomes == {HOST: "deployed"}, done
        assert any("'always' failed (1), as before" in text for text in host_of(done)["warnings"])
        assert systems(fleet) == [host_of(done)["out_path"]] * 3


def test_the_same_snippet_that_fails_for_another_reason_is_said_to(fleet: Bench) -> None:
    """By name and code it is no new failure; what it said before and says now is in the warning."""
    by_hand(fleet, snippet("always", "echo no disk; false"))
    fleet.module(HOST, snippet("always", "echo no disk; false") + MARKER.format(1))
    done = fleet.deploy(HOST, "--no-verify")
    warnings = " ".join(host_of(done)["warnings"])
    assert "'always' failed (1), as before" in warnings
    assert "something else" not in warnings
    fleet.module(HOST, snippet("always", "echo no key; false"))
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "deployed"}, done
    (warning,) = (text for text in host_of(done)["warnings"] if "always" in text)
    assert warning.endswith("says something else: 'no key', and before: 'no disk'")


def test_what_fails_for_the_first_time_is_not_called_old(fleet: Bench) -> None:
    """Another code, another name: each is a new failure beside the one that was there."""
    by_hand(fleet, ALWAYS)
    before = systems(fleet)
    for fresh in (snippet("always", "exit 3"), ALWAYS + snippet("alway", "false")):
        fleet.module(HOST, fresh)
        done = fleet.deploy(HOST, "--no-verify")
        assert done.outcomes == {HOST: "rolled_back"}, done
        assert systems(fleet) == before


def test_an_old_system_that_fails_for_the_first_time_is_not_as_before(fleet: Bench) -> None:
    """What the new system broke, the old one's activation meets: that is never "as before"."""
    by_hand(fleet, snippet("needs", "[ ! -e /run/gone ]"))
    fleet.module(HOST, snippet("breaks", "touch /run/gone; false"))
    done = fleet.deploy(HOST, "--no-verify")
    assert fleet.on(HOST, "rm /run/gone").rc == 0
    assert done.outcomes == {HOST: "failed"}, done
    assert "'needs' failed (1)" in host_of(done)["host_state"], done
    assert attempt(fleet, "state") == "stuck"


def test_what_an_interrupted_switch_left_behind_is_no_failure_of_this_one(fleet: Bench) -> None:
    """NixOS starts the units that are listed there, gone or not: exit 4, and a warning."""
    left = "/run/nixos/start-list"
    assert fleet.on(HOST, f"mkdir -p /run/nixos; echo ghost.service > {left}").rc == 0
    fleet.module(HOST, MARKER.format("left"))
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "deployed"}, done
    assert attempt(fleet, "activation") == "4"
    assert any("exit 4" in text for text in host_of(done)["warnings"]), done
    assert fleet.on(HOST, f"test -e {left}").rc != 0
    assert systems(fleet) == [host_of(done)["out_path"]] * 3


def test_another_init_interface_is_for_the_next_boot(fleet: Bench) -> None:
    """NixOS ends with 100 there: it is made the boot default, and nothing is tried live."""
    running, *_ = before = systems(fleet)
    made = fleet.on(HOST, MADE).out
    fleet.module(HOST, "systemd.package = pkgs.systemd // { interfaceVersion = 3; };")
    tried = fleet.deploy(HOST, "--no-verify", "--goal", "test")
    assert (tried.rc, tried.outcomes) == (4, {HOST: "failed"}), tried
    assert systems(fleet) == before
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "deployed"}, done
    host = host_of(done)
    assert "init-interface-version: systemd 2 -> systemd 3" in host["reboot_required"], host
    assert systems(fleet) == [running, host["out_path"], host["out_path"]]
    assert fleet.on(HOST, MADE).out == made
    fleet.boot(HOST, "reboot")
    assert systems(fleet) == [host["out_path"]] * 3
    fleet.reset()
    assert fleet.deploy(HOST, "--no-verify", "--reboot").rc == 0
    assert systems(fleet) == before


def test_without_a_current_system_nothing_is_switched_live(fleet: Bench) -> None:
    """NixOS takes a missing one for another init: 100, a warning, and nothing is done."""
    system, *_ = before = systems(fleet)
    done = fleet.on(
        HOST,
        "mv -T /run/current-system /run/kept-system; "
        f"{system}/bin/switch-to-configuration test; echo code=$?; "
        "[ -e /run/current-system ] || mv -T /run/kept-system /run/current-system",
    )
    assert "code=100" in done.out, done
    assert "activating" not in done.out + done.err
    assert systems(fleet) == before


@pytest.mark.parametrize("goal", ["switch", "test"])
def test_a_check_before_the_switch_is_named_and_changes_nothing(fleet: Bench, goal: str) -> None:
    """Not called a failed activation, and the old system is not activated again."""
    before, made = systems(fleet), fleet.on(HOST, MADE).out
    fleet.module(HOST, 'system.preSwitchChecks.never = "echo it may not be; false";')
    done = fleet.deploy(HOST, "--no-verify", "--goal", goal)
    assert (done.rc, done.outcomes) == (1, {HOST: "failed"}), done
    host = host_of(done)
    assert "pre-switch check 'never' failed" in host["message"], host
    assert "was not changed" in host["host_state"], host
    assert systems(fleet) == before
    assert fleet.on(HOST, MADE).out == made


def test_a_check_is_named_where_only_what_boots_was_to_change(fleet: Bench) -> None:
    """A check fails when the profile is set already, which is put back; nothing is activated."""
    before, made = systems(fleet), fleet.on(HOST, MADE).out
    fleet.module(HOST, 'system.preSwitchChecks.never = "false";')
    done = fleet.deploy(HOST, "--no-verify", "--goal", "boot")
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert host_of(done)["message"] == "pre-switch check 'never' failed"
    assert systems(fleet) == before
    assert fleet.on(HOST, MADE).out == made


def test_sudo_that_refuses_the_deployer_is_taken_back_at_the_deployers_word(fleet: Bench) -> None:
    """The old connection cannot use sudo either: a process of root's was kept for the word."""
    before = systems(fleet)
    fleet.module(
        HOST,
        snippet("shut", "echo deploy ALL=PASSWD: ALL > /etc/sudoers.d/zz-asks")
        + MARKER.format("sudo"),
    )
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert attempt(fleet, "why").startswith("cannot reconnect after activation: "), done
    assert systems(fleet) == before


def test_a_host_that_allows_one_session_a_connection_is_deployed(fleet: Bench) -> None:
    """No process of root's is kept there then: the session is for the deployment."""
    drop_in = "/etc/ssh/sshd_config.d/00-one.conf"
    assert fleet.on(HOST, f"echo MaxSessions 1 > {drop_in}; systemctl reload ssh").rc == 0
    try:
        fleet.module(HOST, MARKER.format("one"))
        done = fleet.deploy(HOST, "--no-verify")
    finally:
        assert fleet.on(HOST, f"rm {drop_in}; systemctl reload ssh").rc == 0
    assert done.outcomes == {HOST: "deployed"}, done
    log = fleet.run("run", "logs", str(done.report["run"]), HOST).out
    assert "no process of root's is kept there" in log
