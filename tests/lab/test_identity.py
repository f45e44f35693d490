"""Two names at one machine: a host is deployed only if its own system runs there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

ONE, OTHER = "dex5550", "samsung"
"""The second name leads to the first one's machine, where a test says so."""

MARKS = "/run/orchestrator/attempt /var/lib/orchestrator"
"""What a machine knows of the host that it is."""

DEPLOYER = """
users.users.deploy = {
  isSystemUser = true; group = "deploy"; home = "/var/lib/deploy"; createHome = true;
  useDefaultShell = true; openssh.authorizedKeys.keys = config.fleet.adminKeys;
};
users.groups.deploy = { };
security.sudo.extraRules = [
  { users = [ "deploy" ]; commands = [ { command = "ALL"; options = [ "NOPASSWD" ]; } ]; }
];
nix.settings.trusted-users = [ "deploy" ];
"""
"""The first one's deployer, for the second, a laptop: NixOS takes an account away otherwise."""

SLOW_CHECK = "import time\n\n\ndef test_slow(host):\n    time.sleep(6)\n"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Two hosts that are up."""
    bench = example_fleet(tmp_path_factory.mktemp("identity"))
    with in_lab(bench, ONE, OTHER):
        yield bench


@pytest.fixture
def fleet(two: Bench) -> Bench:
    """Both machines without a word of who they are, here and there: nobody deployed them yet."""
    two.reset()
    for host in (ONE, OTHER):
        assert two.on(host, f"rm -rf {MARKS}").rc == 0
    for file in (two.home / "state/orchestrator/fleets").glob("*/machines/*"):
        file.unlink()
    return two


@contextmanager
def one_machine(fleet: Bench) -> Iterator[None]:
    """Have both names lead to the first one's machine."""
    record = fleet.lab_folder / "lab.json"
    before = record.read_text()
    lab = json.loads(before)
    lab["hosts"][OTHER] = lab["hosts"][ONE]
    try:
        record.write_text(json.dumps(lab))
        yield
    finally:
        record.write_text(before)


def changed(fleet: Bench, *hosts: str) -> None:
    """Give hosts something to be deployed."""
    for host in hosts or (ONE, OTHER):
        fleet.module(host, f'environment.etc."marker".text = "{host} {uuid4()}";')


def running(fleet: Bench) -> str:
    """What the machine runs, by its own word."""
    return fleet.on(ONE, "readlink -f /run/current-system").out.strip()


def refused(done: Done, *names: str) -> None:
    """Hosts were refused, and each was told the other's name."""
    for name in names:
        host = done.report["hosts"][name]
        other = ONE if name == OTHER else OTHER
        assert (host["outcome"], host.get("refused")) == ("failed", True), done
        assert other in host["message"], host


def test_two_names_in_one_run_are_both_refused(fleet: Bench) -> None:
    """Before anything is changed, each naming the other; forced or not, and again."""
    for more in (("--force",), (), ("--skip-preflight", "identity")):
        changed(fleet)
        with one_machine(fleet):
            before = running(fleet)
            done = fleet.deploy(ONE, OTHER, "--no-verify", *more)
            assert done.rc == 4
            refused(done, ONE, OTHER)
            assert running(fleet) == before
        assert fleet.run("status", "--locks", "--json", ONE).rc == 0


@pytest.mark.parametrize("first", [ONE, OTHER])
def test_the_second_wave_finds_what_the_first_one_did(fleet: Bench, first: str) -> None:
    """Both are refused although one has its turn when the other is done with."""
    changed(fleet)
    policy = f"rollout:\n  canary: {first}\n"
    fleet.write("inventory/rollout.yaml", policy)
    with one_machine(fleet):
        before = running(fleet)
        done = fleet.deploy(ONE, OTHER, "--no-verify")
        assert "deployed" not in done.outcomes.values(), done
        assert running(fleet) == before
        refused(done, first)


@pytest.mark.parametrize("goal", ["boot", "test"])
def test_each_goal_that_changes_a_host(fleet: Bench, goal: str) -> None:
    """Another host's machine is refused by each goal that changes it: ``boot`` or ``test``."""
    changed(fleet)
    with one_machine(fleet):
        done = fleet.deploy(ONE, OTHER, "--goal", goal, "--no-verify")
        assert done.rc == 4
        refused(done, ONE, OTHER)


def test_a_later_run_under_another_name_is_refused(fleet: Bench) -> None:
    """The machine knows as what it was deployed; a person may say that it is meant."""
    assert fleet.deploy(ONE).rc == 0
    changed(fleet)
    fleet.module(OTHER, DEPLOYER)
    with one_machine(fleet):
        before = running(fleet)
        for command in (
            ("deploy",),
            ("deploy", "--goal", "push"),
            ("plan",),
            ("deploy", "--emergency", "now"),
            ("rollback",),
        ):
            done = fleet.run(*command, "--json", OTHER)
            assert done.rc == 4, done
            refused(done, OTHER)
            assert "--skip-preflight identity" in done.report["hosts"][OTHER]["hint"]
        assert running(fleet) == before
        for command in (("status",), ("host", "generations"), ("diff",)):
            said = fleet.run(*command, OTHER)
            assert f"deployed as {ONE}" in said.out + said.err, said
        renamed = fleet.deploy(OTHER, "--skip-preflight", "identity", "--no-verify")
        assert renamed.outcomes == {OTHER: "deployed"}, renamed
        assert fleet.deploy(OTHER).rc == 0, "it bears the new name now"
        refused(fleet.deploy(ONE), ONE)


def test_the_same_system_is_not_unchanged_under_another_name(fleet: Bench) -> None:
    """What runs is right, and it is not this host's machine all the same."""
    fleet.write(f"hosts/{OTHER}/default.nix", f"import ../{ONE}/default.nix")
    inventory = fleet.root / "inventory/hosts.yaml"
    text = inventory.read_text().replace(f"  {OTHER}:\n", f"  {OTHER}:\n    attr: {ONE}\n")
    inventory.write_text(text)
    assert fleet.deploy(ONE).rc == 0
    with one_machine(fleet):
        refused(fleet.deploy(OTHER), OTHER)


def test_a_machine_that_an_older_version_deployed(fleet: Bench) -> None:
    """A machine whose records name no host is deployed, and bears its name from then on."""
    changed(fleet)
    assert fleet.deploy(ONE).rc == 0
    strip = "sed -i 's/^token=\\([^.]*\\).*/token=\\1/' /run/orchestrator/attempt"
    assert (
        fleet.on(ONE, f"{strip} /var/lib/orchestrator/attempt /var/lib/orchestrator/record").rc == 0
    )
    assert fleet.deploy(ONE).outcomes == {ONE: "unchanged"}
    changed(fleet)
    with one_machine(fleet):
        # What this machine remembers is only a hint: that both names reach one machine is proved.
        refused(fleet.deploy(OTHER), OTHER)
    assert fleet.deploy(ONE).outcomes == {ONE: "deployed"}
    with one_machine(fleet):
        refused(fleet.deploy(OTHER), OTHER)


def test_clones_that_share_their_ids_are_two_machines(fleet: Bench) -> None:
    """One machine-id, and one boot id as in containers of one kernel: the lock tells them apart."""
    record = fleet.lab_folder / "lab.json"
    before = record.read_text()
    lab = json.loads(before)
    ids = {host: lab["hosts"][host]["machine_id"] for host in (ONE, OTHER)}
    changed(fleet)
    try:
        record.write_text(before.replace(ids[OTHER], ids[ONE]))
        assert fleet.on(OTHER, f"echo {ids[ONE]} > /etc/machine-id").rc == 0
        done = fleet.deploy(ONE, OTHER)
        assert done.outcomes == {ONE: "deployed", OTHER: "deployed"}, done
    finally:
        record.write_text(before)
        assert fleet.on(OTHER, f"echo {ids[OTHER]} > /etc/machine-id").rc == 0


def test_what_waited_is_not_delivered_to_another_host(fleet: Bench) -> None:
    """Where an unreachable host's address leads to another one, nothing pending is delivered."""
    assert fleet.deploy(ONE).rc == 0
    changed(fleet, OTHER)
    assert fleet.run("lab", "fault", OTHER, "partition").rc == 0
    try:
        assert fleet.deploy("--unreachable", "defer", OTHER).outcomes == {OTHER: "deferred"}
    finally:
        assert fleet.run("lab", "fault", OTHER, "heal").rc == 0
    with one_machine(fleet):
        before = running(fleet)
        refused(fleet.run("pending", "deliver", "--json"), OTHER)
        assert running(fleet) == before
    assert fleet.run("pending", "deliver", "--json").outcomes == {OTHER: "deployed"}
