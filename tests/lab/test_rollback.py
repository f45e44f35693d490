"""Going back by hand: to what was before, to a generation, to before a run; proved and verified."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST, OTHER = "dex5550", "samsung"
PATHS = ("running", "profile", "boot_default")
ATTEMPT, RECORD = "/run/orchestrator/attempt", "/var/lib/orchestrator/record"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Two hosts; both let in whom they let in by another way."""
    bench = example_fleet(tmp_path_factory.mktemp("rollback"))
    with in_lab(bench, HOST, OTHER):
        yield bench


@pytest.fixture
def fleet(two: Bench) -> Bench:
    """Both hosts at what the fleet's files say."""
    two.reset()
    done = two.deploy(HOST, OTHER)
    assert done.rc == 0, done
    return two


def paths(fleet: Bench, host: str) -> list[str]:
    """What a host runs, has as its profile, and boots."""
    state = fleet.state(host)
    return [state[key] for key in PATHS]


def systems(fleet: Bench, host: str = HOST) -> dict[str, Any]:
    """What ``generations`` says."""
    done = fleet.run("host", "generations", host, "--json")
    assert done.rc == 0, done
    return json.loads(done.out)


def numbers(fleet: Bench, host: str = HOST) -> list[int]:
    """The generations that a host has."""
    return [each["generation"] for each in systems(fleet, host)["generations"]]


def deployed(fleet: Bench, marker: str, *hosts: str) -> Done:
    """Deploy something new to hosts."""
    for host in hosts or (HOST,):
        fleet.module(host, f'environment.etc."marker".text = "{marker}";')
    done = fleet.deploy(*(hosts or (HOST,)))
    assert done.rc == 0, done
    return done


def back(fleet: Bench, *arguments: str) -> Done:
    """Roll back, with JSON lines."""
    return fleet.run("rollback", "--json", *arguments)


def test_back_to_what_it_ran_before_its_last_deployment(fleet: Bench) -> None:
    """Said before it is done, and committed; nothing is evaluated, built or deleted."""
    old = fleet.state(HOST)["running"]
    deployed(fleet, "new")
    before = numbers(fleet)
    done = back(fleet, HOST)
    assert done.outcomes == {HOST: "deployed"}
    assert done.report["hosts"][HOST]["reason"].startswith("back to ")
    assert paths(fleet, HOST) == [old] * 3
    assert set(before) <= set(numbers(fleet))
    phases = [event["phase"] for event in done.events if event["type"] == "phase"]
    assert not {"evaluate", "build", "copy"} & set(phases)
    assert "verify" in phases
    said = next(
        n for n, e in enumerate(done.events) if e["type"] == "notice" and "back" in e["text"]
    )
    activated = next(n for n, e in enumerate(done.events) if e.get("phase") == "activate")
    assert said < activated
    history = json.loads(fleet.run("run", "list", "--json", "-n", "1").out)
    assert (history[0]["goal"], history[0]["hosts"]) == ("rollback", {HOST: "deployed"})
    assert fleet.state(HOST)["record"]["out_path"] == old


def test_back_from_what_was_tried_before_it_was_to_boot(fleet: Bench) -> None:
    """`--goal test`, then `--goal boot` of the same: back to what ran before, by run too."""
    old = fleet.state(HOST)["running"]
    fleet.module(HOST, 'environment.etc."marker".text = "tried";')
    for by_run in (False, True):
        for goal in ("test", "boot"):
            done = fleet.deploy(HOST, "--goal", goal)
            assert done.outcomes == {HOST: "deployed"}, done
        way = ("--run", str(done.report["run"])) if by_run else ()
        done = back(fleet, HOST, *way)
        assert done.outcomes == {HOST: "deployed"}, done
        assert paths(fleet, HOST) == [old] * 3


def test_a_plan_of_it_touches_nothing(fleet: Bench) -> None:
    """A plan of a rollback says where the host would go, and touches nothing."""
    deployed(fleet, "planned")
    now = paths(fleet, HOST)
    done = back(fleet, HOST, "--dry-run")
    assert (done.rc, done.outcomes) == (0, {HOST: "deployed"})
    assert paths(fleet, HOST) == now


def test_a_broken_fleet_keeps_nobody_from_going_back(fleet: Bench) -> None:
    """The fleet's Nix files need not even parse."""
    old = fleet.state(HOST)["running"]
    deployed(fleet, "then broken")
    fleet.write("flake.nix", "{ this is no Nix")
    assert back(fleet, HOST).rc == 0
    assert paths(fleet, HOST) == [old] * 3


def test_back_to_a_generation(fleet: Bench) -> None:
    """A host is rolled back to any generation by its number, or to a system by its path."""
    first = systems(fleet)
    deployed(fleet, "second")
    deployed(fleet, "third")
    third = fleet.state(HOST)["running"]
    number = next(
        each["generation"] for each in first["generations"] if each["system"] == first["running"]
    )
    assert back(fleet, HOST, "--to", str(number)).outcomes == {HOST: "deployed"}
    assert paths(fleet, HOST) == [first["running"]] * 3
    assert back(fleet, HOST, "--to", str(number)).outcomes == {HOST: "unchanged"}
    assert back(fleet, HOST, "--to", third).outcomes == {HOST: "deployed"}
    assert paths(fleet, HOST) == [third] * 3
    refused = back(fleet, HOST, "--to", "9999")
    assert (refused.rc, refused.outcomes) == (4, {HOST: "failed"})


def test_back_to_before_a_run(fleet: Bench) -> None:
    """Every host of it, also where it was deployed since; hosts that it did not change stay."""
    olds = {host: fleet.state(host)["running"] for host in (HOST, OTHER)}
    run = deployed(fleet, "a run", HOST, OTHER).report["run"]
    deployed(fleet, "a later run", HOST)
    done = back(fleet, "--run", str(run))
    assert done.outcomes == {HOST: "deployed", OTHER: "deployed"}
    for host, old in olds.items():
        assert paths(fleet, host) == [old] * 3
    again = back(fleet, "--run", str(run))
    assert again.outcomes == {HOST: "unchanged", OTHER: "unchanged"}
    nothing = fleet.deploy("--goal", "build", HOST).report["run"]
    done = fleet.run("rollback", "--run", str(nothing))
    assert (done.rc, "changed no host" in done.err) == (2, True)


def test_one_host_of_a_run_that_the_history_lost(fleet: Bench) -> None:
    """The run's folder tells what its hosts were before; the index is made again from folders."""
    old = fleet.state(OTHER)["running"]
    run = deployed(fleet, "lost", HOST, OTHER).report["run"]
    before = fleet.run("run", "list").out
    (history,) = fleet.home.glob("state/orchestrator/fleets/*/history.db")
    history.unlink()
    assert fleet.run("run", "list").out == before
    done = back(fleet, OTHER, "--run", str(run))
    assert done.outcomes == {OTHER: "deployed"}
    assert paths(fleet, OTHER) == [old] * 3


def test_what_was_collected_is_refused_and_nothing_is_touched(fleet: Bench) -> None:
    """With what to do; where this machine has it still, it is copied instead."""
    old = fleet.state(HOST)["running"]
    deployed(fleet, "kept")
    kept = fleet.state(HOST)
    collect(fleet, HOST, old)
    assert systems(fleet)["last"]["before_gone"] is True
    done = back(fleet, HOST)
    assert done.outcomes == {HOST: "deployed"}
    assert any("copied from here" in event.get("text", "") for event in done.events)
    assert paths(fleet, HOST) == [old] * 3

    assert back(fleet, HOST, "--to", kept["running"]).rc == 0
    collect(fleet, HOST, old)
    gone = old.replace("-nixos-system-", "-nixos-elsewhere-")
    done = back(fleet, HOST, "--to", gone)
    assert done.outcomes == {HOST: "failed"}
    problem = done.report["hosts"][HOST]
    assert "collected as garbage" in problem["message"]
    assert f"orchestrator host generations {HOST}" in problem["hint"]
    assert paths(fleet, HOST) == [kept["running"]] * 3


def test_a_host_is_not_sent_another_hosts_system_for_its_own_word(fleet: Bench) -> None:
    """A host that claims to have run another host's system is not sent that system."""
    deployed(fleet, "mine")
    now, theirs = fleet.state(HOST)["running"], deployed(fleet, "theirs", OTHER)
    secret = theirs.report["hosts"][OTHER]["out_path"]
    run = fleet.deploy("--force", HOST).report["run"]
    # As of a host that lies when it is asked.
    events = next(fleet.home.glob(f"state/orchestrator/fleets/*/runs/{run}/events.jsonl.gz"))
    kept = gzip.decompress(events.read_bytes())
    said = '"before":{{"running":{{"path":"{}"}}'
    lie = kept.replace(said.format(now).encode(), said.format(secret).encode())
    assert lie != kept
    events.write_bytes(gzip.compress(lie))
    assert fleet.on(HOST, f"sed -i 's|^running=.*|running={secret}|' {ATTEMPT} {RECORD}").rc == 0
    for arguments in ((), ("--run", str(run)), ("--to", secret)):
        done = back(fleet, HOST, *arguments)
        assert (done.rc, done.outcomes) == (4, {HOST: "failed"}), done
        assert "no run of this machine deployed it there" in done.report["hosts"][HOST]["message"]
    assert fleet.on(HOST, f"test ! -e {secret}").rc == 0
    assert paths(fleet, HOST) == [now] * 3


def collect(fleet: Bench, host: str, system: str) -> None:
    """Remove a system's generations and collect the garbage, as a person with a full disk does."""
    script = f"""
        for link in /nix/var/nix/profiles/system-*-link; do
          [ "$(readlink "$link")" = {system} ] && rm "$link"
        done
        nix-store --gc > /dev/null 2>&1
        ! nix-store --check-validity {system} 2> /dev/null
    """
    done = fleet.on(host, script)
    assert done.rc == 0, done


def test_one_that_fails_verification_is_taken_back_again(fleet: Bench) -> None:
    """A rollback that fails verification is rolled back itself; verification can be left out."""
    old = fleet.state(HOST)["running"]
    deployed(fleet, "wanted by a check")
    now = fleet.state(HOST)["running"]
    fleet.write(
        f"hosts/{HOST}/test_marker.py",
        "def test_marker(host):\n    assert host.file('/etc/marker').exists\n",
    )
    done = back(fleet, HOST)
    assert (done.rc, done.outcomes) == (1, {HOST: "rolled_back"})
    assert paths(fleet, HOST) == [now] * 3
    again = back(fleet, HOST, "--no-verify")
    assert again.outcomes == {HOST: "unchanged"}
    reason = again.report["hosts"][HOST]["reason"]
    to = reason.rpartition("--to ")[2]
    assert back(fleet, HOST, "--to", to, "--no-verify").outcomes == {HOST: "deployed"}
    assert paths(fleet, HOST) == [old] * 3


def test_a_host_that_was_never_deployed_says_so(fleet: Bench) -> None:
    """A host that was never deployed says so, and its generations are listed all the same."""
    fleet.on(HOST, "rm -f /run/orchestrator/attempt /var/lib/orchestrator/*")
    done = back(fleet, HOST)
    assert (done.rc, done.outcomes) == (4, {HOST: "failed"})
    assert "no record of a deployment" in done.report["hosts"][HOST]["message"]
    table = fleet.run("host", "generations", HOST)
    assert table.rc == 0
    assert "running, profile, boot default" in table.out
