"""An activation script that fails is known, whatever the exit code says of the host's units."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"
SYSTEM = ("running", "profile", "boot_default")
OLD_FAILURE = """
systemd.services.hopeless = {
  wantedBy = [ "multi-user.target" ];
  serviceConfig = { Type = "oneshot"; ExecStart = "/bin/sh -c false"; };
};
"""
MIGRATION = 'system.activationScripts.mydata.text = "echo migrating; false";'


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host with a unit that fails for long, which a deployment brought and told of."""
    bench = example_fleet(tmp_path_factory.mktemp("activation"))
    with in_lab(bench, HOST):
        bench.module(HOST, OLD_FAILURE)
        first = bench.deploy(HOST, "--no-verify")
        assert first.outcomes == {HOST: "deployed"}, first
        assert any("hopeless.service" in text for text in warnings(first)), first
        yield bench


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """The host, with the unit that fails and nothing else."""
    lab.module(HOST, OLD_FAILURE)
    done = lab.deploy(HOST, "--no-verify")
    assert done.rc == 0, done
    yield lab
    lab.reset()


def warnings(done: Done) -> list[str]:
    """What a person is told of the host beside its outcome."""
    return list(done.report["hosts"][HOST]["warnings"])


def systems(fleet: Bench) -> list[str]:
    """What the host runs, its profile, and what it boots."""
    state = fleet.state(HOST)
    return [state[key] for key in SYSTEM]


def change(fleet: Bench, more: str) -> None:
    """Give the host the unit that fails, and something else."""
    fleet.module(HOST, OLD_FAILURE + more)


def test_a_failed_activation_script_is_taken_back_where_a_unit_failed_long_ago(
    fleet: Bench,
) -> None:
    """The exit code is 4 for the unit; the script's name is told, and nothing of it is kept."""
    before = systems(fleet)
    change(fleet, MIGRATION)
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "rolled_back"}, done
    told = done.report["hosts"][HOST]["message"]
    assert told == "activation failed (4): Activation script snippet 'mydata' failed (1)"
    assert systems(fleet) == before


@pytest.mark.parametrize(
    "says",
    ["warning: the following units failed: a.service", "reloading user units for bob..."],
)
def test_a_script_that_says_what_the_switch_says_hides_nothing(fleet: Bench, says: str) -> None:
    """How it ended is known from itself: what it printed before is no word worth."""
    before = systems(fleet)
    text = f"echo '{says}'; printf migrating; false"
    change(fleet, f'system.activationScripts.mydata.text = "{text}";')
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert systems(fleet) == before


def test_units_that_failed_before_are_no_word_worth(fleet: Bench) -> None:
    """Deployed as if they were not there, though switch-to-configuration ends with 4."""
    change(fleet, 'environment.etc."marker".text = "quiet";')
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "deployed"}, done
    assert fleet.on(HOST, "sed -n s/^activation=//p /run/orchestrator/attempt").out.strip() == "4"
    assert not [text for text in warnings(done) if "exit 4" in text or "hopeless" in text], done


def test_a_job_that_fails_is_told(fleet: Bench) -> None:
    """A unit that stays what it is while its reload fails is nowhere failed."""
    unit = (
        'systemd.services.firm = {{ reloadIfChanged = true; wantedBy = [ "multi-user.target" ];'
        ' environment.NUMBER = "{}"; serviceConfig = {{ ExecStart = "/usr/bin/sleep infinity";'
        ' ExecReload = "/bin/false"; }}; }};'
    )
    change(fleet, unit.format(1))
    assert fleet.deploy(HOST, "--no-verify").outcomes == {HOST: "deployed"}
    change(fleet, unit.format(2))
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "deployed"}, done
    assert any("exit 4" in text for text in warnings(done)), done


@pytest.mark.parametrize("goal", ["switch", "boot"])
def test_a_boot_into_a_failed_activation_script_is_no_success(fleet: Bench, goal: str) -> None:
    """What fails at a boot only is found after the boot, and the host is not called deployed."""
    change(
        fleet,
        'system.activationScripts.mydata.text = "[ ! -e /run/systemd/system ] || '
        'systemctl is-active --quiet multi-user.target";',
    )
    done = fleet.deploy(HOST, "--no-verify", "--goal", goal, "--reboot=always")
    assert done.outcomes == {HOST: "failed"}, done
    assert "'mydata' failed" in done.report["hosts"][HOST]["message"], done
    change(fleet, "")
    assert fleet.deploy(HOST, "--no-verify", "--reboot=always").rc == 0


@pytest.mark.parametrize(
    ("option", "said"), [("nix.enable", "has no Nix"), ("system.switch.enable", "bin/switch-to")]
)
def test_a_system_that_could_not_be_left_again_is_refused_before_the_copy(
    fleet: Bench, option: str, said: str
) -> None:
    """In an emergency too: nothing is copied, and the host is what it was."""
    before = systems(fleet)
    change(fleet, f"{option} = false;")
    done = fleet.deploy(HOST, "--no-verify")
    assert (done.rc, done.outcomes) == (4, {HOST: "failed"}), done
    host = done.report["hosts"][HOST]
    assert (host["refused"], host["checks"]) == (True, ["way-back"])
    assert said in host["message"], host
    assert "copy" not in {event.get("phase") for event in done.events}, done
    emergency = fleet.run("deploy", HOST, "--emergency", "now")
    assert emergency.rc == 4, emergency
    assert systems(fleet) == before
