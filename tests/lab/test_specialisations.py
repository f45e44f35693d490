"""A specialisation that runs is kept, or it is said that it is not; what else runs is named."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab, until

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"
GAMING = """
environment.etc."marker".text = "{marker}";
specialisation.gaming.configuration = {{
  environment.etc."mode".text = "gaming {marker}";
}};
"""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, deployed once."""
    bench = example_fleet(tmp_path_factory.mktemp("specialisations"))
    with in_lab(bench, HOST):
        yield bench


@pytest.fixture
def fleet(one: Bench) -> Bench:
    """A host that runs the specialisation of its system, as a person switched to it."""
    one.reset()
    deployed(one, "first")
    switched(one, "gaming")
    return one


def result(done: Done) -> dict[str, Any]:
    """The host's part of a report."""
    return done.report["hosts"][HOST]


def deployed(fleet: Bench, marker: str, *options: str) -> Done:
    """Deploy a system of its own that has the specialisation."""
    fleet.module(HOST, GAMING.format(marker=marker))
    done = fleet.deploy(HOST, *options)
    assert done.rc == 0, done
    return done


def switched(fleet: Bench, name: str) -> None:
    """Switch to a specialisation by hand, as `nixos-rebuild test --specialisation` does."""
    system = "/nix/var/nix/profiles/system"
    done = fleet.on(HOST, f"{system}/specialisation/{name}/bin/switch-to-configuration test")
    assert done.rc == 0, done


def mode(fleet: Bench) -> str:
    """Which specialisation's files the host has."""
    return fleet.on(HOST, "cat /etc/mode").out


def paths(fleet: Bench) -> list[str]:
    """What the host runs, has as its profile, and boots."""
    state = fleet.state(HOST)
    return [state[key] for key in ("running", "profile", "boot_default")]


def warnings(done: Done) -> str:
    """What the result warns of, as one text."""
    return "\n".join(result(done)["warnings"])


def test_it_is_named_by_status_and_kept_by_a_plan(fleet: Bench) -> None:
    """`status` names the specialisation, for people and programs; `plan` says that it stays."""
    state = fleet.state(HOST)
    assert (state["specialisation"], state["is_foreign"]) == ("gaming", False)
    assert state["profile"] == state["boot_default"] != state["running"]
    shown = fleet.run("status", HOST).out
    assert "running specialisation gaming of " in shown
    assert "not its profile's" not in shown
    listed = fleet.run("host", "generations", HOST).out
    assert "running as specialisation gaming" in listed
    fleet.module(HOST, GAMING.format(marker="planned"))
    assert fleet.run("build", HOST).rc == 0
    planned = fleet.run("plan", "--json", HOST)
    assert result(planned)["specialisation"] == "gaming"
    assert "it is to run specialisation 'gaming'" in result(planned)["reason"]
    assert result(planned)["warnings"] == []


def test_a_deployment_keeps_the_specialisation_that_runs(fleet: Bench) -> None:
    """The new system's own is activated; the system itself is the profile, and what boots.

    The next run finds it unchanged and says which specialisation runs.
    """
    done = deployed(fleet, "second")
    assert (result(done)["outcome"], result(done)["specialisation"]) == ("deployed", "gaming")
    assert "it runs specialisation 'gaming'" in result(done)["reason"]
    assert mode(fleet) == "gaming second"
    running, *others = paths(fleet)
    assert others == [result(done)["out_path"]] * 2
    there = fleet.on(HOST, f"readlink -f {others[0]}/specialisation/gaming").out
    assert running == there.strip()
    again = fleet.deploy(HOST)
    assert again.outcomes == {HOST: "unchanged"}
    assert result(again)["specialisation"] == "gaming"
    assert "specialisation 'gaming'" in result(again)["reason"]


def test_one_that_the_new_system_does_not_have_is_told(fleet: Bench) -> None:
    """The host switches to the system itself, and plan and result say so; then it is unchanged."""
    fleet.module(HOST, 'environment.etc."marker".text = "plain";')
    assert fleet.run("build", HOST).rc == 0
    said = "it runs specialisation 'gaming', which the new system does not have"
    assert said in warnings(fleet.run("plan", "--json", HOST))
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "deployed"}
    assert said in warnings(done)
    assert result(done)["specialisation"] is None
    assert paths(fleet) == [result(done)["out_path"]] * 3
    assert fleet.deploy(HOST).outcomes == {HOST: "unchanged"}


def test_a_person_chooses_which_one_runs(fleet: Bench) -> None:
    """`--specialisation none` goes to the system itself, `--specialisation NAME` to that one.

    One that the system does not have is refused before the host is changed.
    """
    out = fleet.on(HOST, "readlink -f /nix/var/nix/profiles/system").out.strip()
    done = fleet.deploy(HOST, "--specialisation", "none")
    assert done.outcomes == {HOST: "deployed"}
    assert "switched away: specialisation 'gaming'" in warnings(done)
    assert paths(fleet) == [out] * 3
    assert fleet.deploy(HOST).outcomes == {HOST: "unchanged"}
    before = paths(fleet)
    refused = fleet.deploy(HOST, "--specialisation", "working")
    assert refused.outcomes == {HOST: "failed"}
    assert "has no specialisation 'working'" in result(refused)["message"]
    assert "it has gaming" in result(refused)["hint"]
    assert paths(fleet) == before
    chosen = fleet.deploy(HOST, "--specialisation", "gaming")
    assert chosen.outcomes == {HOST: "deployed"}
    assert mode(fleet) == "gaming first"
    assert paths(fleet)[1:] == [out] * 2
    assert fleet.deploy(HOST, "--goal", "boot", "--specialisation", "gaming").rc == 2


def test_the_inventory_chooses_which_one_runs(fleet: Bench) -> None:
    """`specialisation: none` and `specialisation: NAME` hold for each deployment of the host."""
    hosts = (fleet.root / "inventory/hosts.yaml").read_text()

    def say(policy: str) -> None:
        entry = f"  {HOST}:\n    specialisation: {policy}\n"
        text = hosts.replace(f"  {HOST}:\n", entry)
        assert text != hosts
        fleet.write("inventory/hosts.yaml", text)

    say("none")
    assert fleet.deploy(HOST).outcomes == {HOST: "deployed"}
    assert fleet.state(HOST)["specialisation"] is None
    say("gaming")
    assert fleet.deploy(HOST).outcomes == {HOST: "deployed"}
    assert fleet.deploy(HOST).outcomes == {HOST: "unchanged"}
    assert fleet.state(HOST)["specialisation"] == "gaming"


def test_a_refused_deployment_is_rolled_back_to_the_specialisation(fleet: Bench) -> None:
    """Where the new specialisation does not activate, the old one runs again, with its profile."""
    before = paths(fleet)
    fleet.module(
        HOST,
        GAMING.format(marker="broken")
        + """
specialisation.gaming.configuration.system.activationScripts.bad.text = "exit 1";
""",
    )
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "rolled_back"}
    assert paths(fleet) == before
    assert mode(fleet) == "gaming first"
    assert "it runs specialisation 'gaming' of" in result(done)["host_state"]


def test_rollback_returns_to_the_specialisation(fleet: Bench) -> None:
    """Back before the last deployment is the old system's specialisation, and its old profile."""
    before = paths(fleet)
    deployed(fleet, "third")
    done = fleet.run("rollback", "--json", HOST)
    assert done.outcomes == {HOST: "deployed"}
    assert paths(fleet) == before
    assert mode(fleet) == "gaming first"
    assert fleet.run("rollback", "--json", HOST, "--to", before[0]).outcomes == {HOST: "unchanged"}


def test_a_boot_runs_what_boots(fleet: Bench) -> None:
    """A reboot leaves the specialisation: that is said, is no failure, and is unchanged then."""
    fleet.module(HOST, GAMING.format(marker="booted"))
    done = fleet.deploy(HOST, "--reboot=always")
    assert done.outcomes == {HOST: "deployed"}
    assert "specialisation 'gaming' ran before the boot" in warnings(done)
    assert "it runs specialisation" not in result(done)["reason"]
    assert paths(fleet) == [result(done)["out_path"]] * 3
    assert fleet.deploy(HOST).outcomes == {HOST: "unchanged"}


@pytest.mark.parametrize(("marker", "choice"), [("cut off", "keep"), ("first", "none")])
def test_a_power_cut_while_it_is_verified_returns_to_the_specialisation(
    fleet: Bench, marker: str, choice: str
) -> None:
    """What was not confirmed is rolled back after the boot: to the specialisation that ran.

    Where the system itself was to run instead, the boot runs that: it is no confirmation either.
    """
    before = paths(fleet)
    fleet.module(HOST, GAMING.format(marker=marker))
    slow = "import time\n\n\ndef test_slow(host):\n    time.sleep(60)\n"
    fleet.write(f"hosts/{HOST}/test_slow.py", slow)
    process = fleet.start("deploy", "--json", "--specialisation", choice, HOST)
    until(lambda: "checking" in fleet.on(HOST, "grep ^state= /run/orchestrator/attempt").out)
    fleet.boot(HOST, "kill", "start")
    process.communicate(timeout=200)
    assert process.returncode == 1
    fleet.reset()
    until(lambda: fleet.state(HOST)["attempt"]["state"] == "returned")
    assert paths(fleet) == before
    assert mode(fleet) == "gaming first"


def test_what_nixos_does_not_switch_live_leaves_the_specialisation_until_a_boot(
    fleet: Bench,
) -> None:
    """The new system is made the boot default; what runs is named, and gone back to."""
    before = paths(fleet)
    inhibited = "specialisation.gaming.configuration.system.switch.inhibitors.dbus = "
    fleet.module(HOST, GAMING.format(marker="first") + f'{inhibited}"1";')
    assert fleet.deploy(HOST).outcomes == {HOST: "deployed"}
    fleet.module(HOST, GAMING.format(marker="later") + f'{inhibited}"2";')
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "deployed"}
    assert "its specialisation 'gaming' runs until the next boot only" in warnings(done)
    assert paths(fleet)[1:] == [result(done)["out_path"]] * 2
    assert fleet.state(HOST)["is_foreign"] is False
    assert fleet.state(HOST)["specialisation"] == "gaming"
    assert mode(fleet) == "gaming first"
    assert before != paths(fleet)


PLAYED = """
specialisation.gaming.configuration.systemd.services.played = {{
  wantedBy = [ "multi-user.target" ];
  script = "sleep {seconds}";
}};
"""


def test_dry_activation_is_the_specialisations(fleet: Bench) -> None:
    """What a dry activation says is of what would be activated."""
    fleet.module(HOST, GAMING.format(marker="dry") + PLAYED.format(seconds=600))
    assert fleet.deploy(HOST).outcomes == {HOST: "deployed"}
    fleet.module(HOST, GAMING.format(marker="dry") + PLAYED.format(seconds=601))
    done = fleet.deploy(HOST, "--goal", "dry-activate")
    assert done.outcomes == {HOST: "completed"}
    assert "played.service" in result(done)["reason"]


def test_goal_test_keeps_it_and_is_found_again(fleet: Bench) -> None:
    """Goal test runs the new system's specialisation; a second run has nothing to do."""
    _, *others = paths(fleet)
    fleet.module(HOST, GAMING.format(marker="tested"))
    assert fleet.deploy(HOST, "--goal", "test").outcomes == {HOST: "deployed"}
    assert mode(fleet) == "gaming tested"
    assert paths(fleet)[1:] == others
    assert fleet.deploy(HOST, "--goal", "test").outcomes == {HOST: "unchanged"}
    done = fleet.deploy(HOST)
    assert (done.outcomes, result(done)["specialisation"]) == ({HOST: "deployed"}, "gaming")


def test_rollback_of_what_only_boots_leads_to_what_booted(fleet: Bench) -> None:
    """`test`, then `boot` of one system whose specialisation runs: back is the old boot default."""
    before = paths(fleet)
    fleet.module(HOST, GAMING.format(marker="staged"))
    assert fleet.deploy(HOST, "--goal", "test").outcomes == {HOST: "deployed"}
    done = fleet.deploy(HOST, "--goal", "boot")
    assert done.outcomes == {HOST: "deployed"}, done
    run = str(done.report["run"])
    back = fleet.run("rollback", "--json", HOST, "--run", run, "--no-verify")
    assert back.outcomes == {HOST: "deployed"}, back
    assert paths(fleet)[1:] == before[1:]


def test_a_system_that_is_not_the_profiles_is_named(fleet: Bench) -> None:
    """A system that somebody switched to by hand is named: by status, plan, result and `boot`."""
    fleet.module(HOST, 'environment.etc."marker".text = "by hand";')
    pushed = fleet.deploy(HOST, "--goal", "push")
    foreign = result(pushed)["out_path"]
    done = fleet.on(HOST, f"{foreign}/bin/switch-to-configuration test")
    assert done.rc == 0, done
    fleet.module(HOST, GAMING.format(marker="first"))
    said = f"a system that is not its profile's: {foreign}"
    assert fleet.state(HOST)["is_foreign"] is True
    assert said in fleet.run("status", HOST).out
    assert said in result(fleet.deploy(HOST, "--goal", "boot"))["reason"]
    assert said in warnings(fleet.run("plan", "--json", HOST))
    deployment = fleet.deploy(HOST)
    assert deployment.outcomes == {HOST: "deployed"}
    assert said in warnings(deployment)
    assert fleet.state(HOST)["is_foreign"] is False
    assert fleet.deploy(HOST).outcomes == {HOST: "unchanged"}
    assert fleet.run("rollback", "--json", HOST).outcomes == {HOST: "deployed"}
    assert paths(fleet) == [foreign] * 3
