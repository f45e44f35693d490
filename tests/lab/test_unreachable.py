"""Hosts that are away when they are to be deployed: their systems wait, and are delivered."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_bench import REPOSITORY, Bench, example_fleet, in_lab, until

LAPTOP, SERVER = "razer", "p510"
WITH_NIX = str(REPOSITORY / "scripts/lib/with-nix")

pytestmark = [pytest.mark.lab, pytest.mark.rotating]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A laptop and a server, up and deployed once."""
    bench = example_fleet(tmp_path_factory.mktemp("absent"))
    with in_lab(bench, LAPTOP, SERVER):
        first = bench.deploy(LAPTOP, SERVER)
        assert first.rc == 0, first
        yield bench


@pytest.fixture
def fleet(two: Bench) -> Iterator[Bench]:
    """Both hosts up; nothing waits."""
    yield two
    two.run("lab", "fault", LAPTOP, "start")
    two.run("lab", "fault", LAPTOP, "heal")
    until(lambda: two.run("host", "ping", LAPTOP, SERVER).rc == 0)
    two.reset()
    done = two.deploy(LAPTOP, SERVER)
    assert done.rc == 0, done
    assert waiting(two) == {}


def waiting(fleet: Bench) -> dict[str, Any]:
    """What ``pending`` says."""
    done = fleet.run("pending", "list", "--json")
    assert done.rc == 0, done
    return json.loads(done.out)


def mark(fleet: Bench, marker: str) -> None:
    """Change both hosts' systems."""
    for host in (LAPTOP, SERVER):
        fleet.module(host, f'environment.etc."marker".text = "{marker}";')


def marker(fleet: Bench, host: str = LAPTOP) -> str:
    """What a host runs."""
    return fleet.on(host, "cat /etc/marker").out


def away(fleet: Bench) -> None:
    """Switch the laptop off."""
    assert fleet.run("lab", "fault", LAPTOP, "stop").rc == 0


def back(fleet: Bench) -> None:
    """Switch it on, and wait until it answers."""
    assert fleet.run("lab", "fault", LAPTOP, "start").rc == 0
    until(lambda: fleet.run("host", "ping", LAPTOP).rc == 0)


def defer(fleet: Bench, text: str) -> str:
    """Have a system wait for the laptop, and give its path."""
    mark(fleet, text)
    done = fleet.deploy(LAPTOP)
    assert done.rc == 3, done
    return str(done.report["hosts"][LAPTOP]["out_path"])


def entry(fleet: Bench) -> Path:
    """The file of what waits for the laptop."""
    (found,) = fleet.home.glob(f"state/orchestrator/fleets/*/pending/{LAPTOP}.json")
    return found


def at_target(fleet: Bench, out: str) -> bool:
    """Whether the laptop runs, has and boots a system."""
    state = fleet.state(LAPTOP)
    return bool(state["running"] == state["profile"] == state["boot_default"] == out)


def test_it_waits_for_a_host_that_is_away_and_is_delivered(fleet: Bench) -> None:
    """The other host is deployed, the exit codes say what is so, and the system is the same."""
    away(fleet)
    mark(fleet, "delivered")
    done = fleet.deploy(LAPTOP, SERVER)
    assert done.rc == 3
    assert done.outcomes == {LAPTOP: "deferred", SERVER: "deployed"}
    assert marker(fleet, SERVER) == "delivered"
    out = done.report["hosts"][LAPTOP]["out_path"]
    assert waiting(fleet)[LAPTOP]["out_path"] == out
    assert LAPTOP in fleet.run("pending", "list").out

    still = fleet.run("pending", "deliver", "--json")
    assert still.rc == 3
    assert still.outcomes == {LAPTOP: "deferred"}
    assert waiting(fleet)[LAPTOP]["tries"] == 1

    # What the fleet says meanwhile is not what waited.
    mark(fleet, "not yet deployed")
    back(fleet)
    caught = fleet.run("pending", "deliver", "--json")
    assert caught.rc == 0, caught
    assert caught.outcomes == {LAPTOP: "deployed"}
    phases = [event["phase"] for event in caught.events if event["type"] == "phase"]
    assert "evaluate" not in phases
    assert "verify" in phases
    assert marker(fleet) == "delivered"
    assert at_target(fleet, out)
    assert waiting(fleet) == {}
    assert fleet.run("pending", "deliver").rc == 0


def test_a_host_that_vanishes_in_the_copy_is_deferred(fleet: Bench) -> None:
    """Nothing was changed there; the lid was closed. What is missing is brought later."""
    before = fleet.state(LAPTOP)["running"]
    templates = (fleet.root / "inventory/templates.yaml").read_text()
    fleet.write(
        "inventory/templates.yaml",
        templates.replace("connect: 30s", "connect: 8s\n      lock: 15s"),
    )
    data = 'runCommand "large" { } "head -c 12000000 /dev/urandom > $out"'
    fleet.module(LAPTOP, f'environment.etc."large".source = pkgs.{data};')
    assert fleet.run("lab", "fault", LAPTOP, "slow").rc == 0
    process = fleet.start("deploy", "--json", LAPTOP)
    assert process.stdout is not None
    for line in process.stdout:
        if "sent" in json.loads(line).get("text", ""):
            break
    assert fleet.run("lab", "fault", LAPTOP, "partition").rc == 0
    out, err = process.communicate(timeout=180)
    report = json.loads(out.splitlines()[-1])
    assert process.returncode == 3, (report, err)
    assert report["hosts"][LAPTOP]["outcome"] == "deferred"
    assert fleet.run("lab", "fault", LAPTOP, "heal").rc == 0
    assert at_target(fleet, before)
    until(lambda: fleet.run("pending", "deliver").rc == 0, seconds=150)
    assert at_target(fleet, report["hosts"][LAPTOP]["out_path"])


def test_a_newer_deployment_supersedes_it(fleet: Bench) -> None:
    """Deferred twice, the newer waits; deployed, nothing does."""
    away(fleet)
    first = defer(fleet, "first")
    second = defer(fleet, "second")
    assert first != second
    assert waiting(fleet)[LAPTOP]["out_path"] == second
    back(fleet)
    mark(fleet, "third")
    assert fleet.deploy(LAPTOP).outcomes == {LAPTOP: "deployed"}
    assert waiting(fleet) == {}
    assert marker(fleet) == "third"


def test_a_host_that_was_deployed_from_elsewhere_is_not_taken_back(
    fleet: Bench, tmp_path: Path
) -> None:
    """Another checkout, with a history of its own, was there first."""
    away(fleet)
    defer(fleet, "older")
    back(fleet)
    mark(fleet, "newer")
    other = Bench(fleet.root, tmp_path / "other", {"ORCHESTRATOR_LAB_HOME": lab_home(fleet)})
    other.home.mkdir()
    elsewhere = other.deploy(LAPTOP)
    assert elsewhere.outcomes == {LAPTOP: "deployed"}, elsewhere
    caught = fleet.run("pending", "deliver", "--json")
    assert caught.rc == 0, caught
    assert "superseded" in caught.report["hosts"][LAPTOP]["reason"]
    assert marker(fleet) == "newer"
    assert waiting(fleet) == {}


def lab_home(fleet: Bench) -> str:
    """Where the labs of a bench are."""
    return str(fleet.lab_folder.parent)


def test_what_has_expired_is_dropped(fleet: Bench) -> None:
    """Told, not delivered, and nothing is kept for it."""
    fleet.write(
        "inventory/hosts.yaml",
        (fleet.root / "inventory/hosts.yaml")
        .read_text()
        .replace(f"  {LAPTOP}:\n", f"  {LAPTOP}:\n    pending_expiry: 1s\n"),
    )
    away(fleet)
    defer(fleet, "too late")
    root = entry(fleet).parent / "roots" / LAPTOP
    assert root.is_symlink()
    back(fleet)
    before = fleet.state(LAPTOP)["running"]
    caught = fleet.run("pending", "deliver")
    assert caught.rc == 0, caught
    assert "has expired" in caught.err
    assert fleet.state(LAPTOP)["running"] == before
    assert waiting(fleet) == {}
    assert not root.is_symlink()


def test_a_garbage_collection_does_not_take_it(fleet: Bench) -> None:
    """What is pending for a host is not collected, although others were built for it since."""
    away(fleet)
    out = defer(fleet, "kept")
    mark(fleet, "built since")
    assert fleet.run("build", LAPTOP).rc == 0
    refused = fleet.command(WITH_NIX, "nix-store", "--delete", out, seconds=300)
    assert refused.rc != 0
    assert "still alive" in refused.err
    assert fleet.run("pending", "drop", LAPTOP).rc == 0
    gone = fleet.command(WITH_NIX, "nix-store", "--delete", out, seconds=300)
    assert gone.rc == 0, gone
    back(fleet)


def test_what_was_collected_all_the_same_is_built_again(fleet: Bench) -> None:
    """A pending system that was collected is built again from its derivation, with a notice."""
    away(fleet)
    out = defer(fleet, "collected")
    roots = entry(fleet).parent.parent
    for root in (roots / "roots" / LAPTOP, roots / "pending/roots" / LAPTOP):
        root.unlink()
    gone = fleet.command(WITH_NIX, "nix-store", "--delete", out)
    assert gone.rc == 0, gone
    back(fleet)
    caught = fleet.run("pending", "deliver")
    assert caught.rc == 0, caught
    assert "collected as garbage: it is built again" in caught.err
    assert at_target(fleet, out)


def test_another_host_key_is_no_absence(fleet: Bench) -> None:
    """Somebody answers, and is not believed: a failure, and nothing waits."""
    known = fleet.lab_folder / "known_hosts"
    text = known.read_text()
    other = fleet.on(SERVER, "cat /etc/ssh/ssh_host_ed25519_key.pub").out
    mark(fleet, "refused")
    try:
        known.write_text(f"{fleet.address(LAPTOP)} {' '.join(other.split()[:2])}\n")
        done = fleet.deploy(LAPTOP)
    finally:
        known.write_text(text)
    assert done.rc == 1, done
    assert done.outcomes == {LAPTOP: "failed"}
    assert "host key" in done.report["hosts"][LAPTOP]["message"]
    assert waiting(fleet) == {}


def test_two_catch_ups_at_once(fleet: Bench) -> None:
    """One delivers; the other says that it is done, or who is at it."""
    away(fleet)
    out = defer(fleet, "twice")
    back(fleet)
    both = [fleet.start("pending", "deliver") for _ in range(2)]
    ends = [(*one.communicate(timeout=120), one.returncode) for one in both]
    codes = sorted(code for _, _, code in ends)
    assert codes in ([0, 0], [0, 4]), ends
    assert at_target(fleet, out)
    assert waiting(fleet) == {}


def test_watch_delivers_when_the_host_is_back(fleet: Bench) -> None:
    """A line for the absence, one for the delivery; SIGTERM ends it cleanly."""
    away(fleet)
    out = defer(fleet, "watched")
    watch = fleet.start("pending", "deliver", "--watch", "--interval", "1s")
    try:
        until(lambda: waiting(fleet)[LAPTOP]["tries"] >= 2, seconds=60)
        second = fleet.run("pending", "deliver", "--watch")
        assert second.rc == 1
        assert f"({watch.pid})" in second.err
        back(fleet)
        until(lambda: waiting(fleet) == {}, seconds=90)
    finally:
        said = ended(watch)
    assert watch.returncode == 0, said
    assert said.count(f"{LAPTOP}: unreachable") == 1
    assert said.count(f"{LAPTOP}: deployed") == 1
    assert at_target(fleet, out)


def test_watch_leaves_a_host_alone_that_was_rolled_back(fleet: Bench) -> None:
    """`watch` delivers once to a host that rolled back; a person may try it again."""
    before = fleet.state(LAPTOP)["running"]
    path = f"hosts/{LAPTOP}/test_never.py"
    fleet.write(path, "def test_never(host):\n    assert host.file('/x').exists\n")
    away(fleet)
    out = defer(fleet, "bad")
    back(fleet)
    watch = fleet.start("pending", "deliver", "--watch", "--interval", "1s", "--json")
    try:
        until(lambda: waiting(fleet)[LAPTOP]["problem"] is not None, seconds=120)
    finally:
        said = ended(watch)
    assert said.count('"outcome": "rolled_back"') >= 1
    assert fleet.state(LAPTOP)["running"] == before
    (fleet.root / path).unlink()
    assert fleet.run("pending", "deliver").rc == 0
    assert at_target(fleet, out)


def test_watch_that_is_stopped_leaves_a_host_that_is_proven(fleet: Bench) -> None:
    """In the middle of an activation; what waits does so still, and nothing is held against it."""
    before = fleet.state(LAPTOP)["running"]
    fleet.module(LAPTOP, 'system.activationScripts.slow.text = "sleep 6";')
    away(fleet)
    done = fleet.deploy(LAPTOP)
    assert done.rc == 3, done
    out = done.report["hosts"][LAPTOP]["out_path"]
    back(fleet)
    watch = fleet.start("pending", "deliver", "--watch", "--interval", "1s")
    try:
        until(lambda: "sleep 6" in fleet.on(LAPTOP, "ps ax").out, seconds=60)
    finally:
        said = ended(watch)
    assert watch.returncode == 0, said
    assert at_target(fleet, before), said
    assert waiting(fleet)[LAPTOP]["problem"] is None
    caught = fleet.run("pending", "deliver")
    assert caught.rc == 0, caught
    assert at_target(fleet, out)


def test_watch_leaves_a_held_host_alone(fleet: Bench) -> None:
    """`watch` makes no run for a held host until its hold is lifted."""
    away(fleet)
    out = defer(fleet, "held")
    back(fleet)
    assert fleet.run("host", "hold", LAPTOP, "--reason", "its disk is swapped").rc == 0
    watch = fleet.start("pending", "deliver", "--watch", "--interval", "1s")
    try:
        until(lambda: waiting(fleet)[LAPTOP]["tries"] >= 2, seconds=60)
        before = last_run(fleet)
        assert fleet.run("host", "unhold", LAPTOP).rc == 0
        until(lambda: waiting(fleet) == {}, seconds=90)
    finally:
        said = ended(watch)
    assert said.count("its disk is swapped") == 1
    assert last_run(fleet) == before + 1
    assert at_target(fleet, out)


def last_run(fleet: Bench) -> int:
    """The newest run's number."""
    return int(json.loads(fleet.run("run", "list", "--json").out)[0]["number"])


def ended(watch: subprocess.Popen[str]) -> str:
    """End a service as systemd does, and give what it said."""
    watch.send_signal(signal.SIGTERM)
    out, err = watch.communicate(timeout=120)
    return out + err
