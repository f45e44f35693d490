"""Two of many equal machines: one system, two names, and each is its own host in all else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pyrage
import pytest
from fleet_bench import Bench, Done, committed, example_fleet, in_lab

pytestmark = pytest.mark.lab

ONE, OTHER = "kiosk-1", "kiosk-2"
CLASS = """
hosts:
  kiosk: {count: 2, template: workstation, hardware: {cpu: intel, gpu: intel}}
"""
CHECK = "def test_page(host):\n    assert host.file('/etc/fleet/host.json').exists\n"
MODULE = """
builtins.trace "kiosks are evaluated" { imports = [ ./hardware-configuration.nix ]; }
"""
MARKS = "/run/orchestrator/attempt /var/lib/orchestrator"


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Two members of a class, up and never deployed; neither has a name yet."""
    bench = example_fleet(tmp_path_factory.mktemp("classes"))
    shutil.rmtree(bench.root / "secrets")
    hardware = (bench.root / "hosts/p510/hardware-configuration.nix").read_text()
    bench.write("inventory/kiosk.yaml", CLASS)
    bench.write("hosts/kiosk/hardware-configuration.nix", hardware)
    bench.write("hosts/kiosk/default.nix", MODULE)
    bench.write("hosts/kiosk/test_kiosk.py", CHECK)
    assert bench.run("inventory", "generate").rc == 0
    committed(bench)
    with in_lab(bench, ONE, OTHER):
        yield bench


def unnamed(fleet: Bench, *hosts: str) -> None:
    """Make machines what an image makes: without a name, and deployed as nobody."""
    for host in hosts:
        forget = f"rm -rf {MARKS}; echo localhost > /etc/hostname; hostname localhost"
        assert fleet.on(host, forget).rc == 0


def give_secrets(fleet: Bench) -> None:
    """Encrypt a token to each machine's own key, and declare it for the class."""
    rules = ""
    for host in (ONE, OTHER):
        key = " ".join(fleet.on(host, "cat /etc/ssh/ssh_host_ed25519_key.pub").out.split()[:2])
        path = f"kiosk/{host}/token.age"
        rules += f'"{path}".publicKeys = [ "{key}" ];\n'
        to = [pyrage.ssh.Recipient.from_str(key)]
        while (data := pyrage.encrypt(f"of {host}".encode(), to)).endswith(b"\n"):
            pass  # one in 256 does by chance, and is warned of
        fleet.write(f"secrets/{path}", "")
        (fleet.root / "secrets" / path).write_bytes(data)
    fleet.write("secrets/secrets.nix", f"{{\n{rules}}}\n")
    fleet.write(".gitattributes", "*.age binary\n")
    fleet.write("hosts/kiosk/default.nix", """{
      imports = [ ./hardware-configuration.nix ];
      fleet.memberSecrets.token = ../../secrets/kiosk;
    }""")  # fmt: skip


def called(fleet: Bench, host: str) -> tuple[str, str]:
    """What a machine calls itself now, and at its next boot."""
    now, kept = fleet.on(host, "hostname; cat /etc/hostname").out.split()
    return now, kept


def log(fleet: Bench, done: Done) -> str:
    """The whole log of a run."""
    return fleet.run("run", "logs", str(done.report["run"])).out


def phases(done: Done, phase: str) -> list[str]:
    """The hosts that entered a phase."""
    events = (event for event in done.events if event["type"] == "phase")
    return [event["host"] for event in events if event["phase"] == phase]


def test_equal_machines_have_one_system_and_their_own_names(two: Bench) -> None:
    """Both run the same system, by one evaluation; each has its name, and is verified as itself."""
    unnamed(two, ONE, OTHER)
    done = two.deploy("kiosk")
    assert done.outcomes == {ONE: "deployed", OTHER: "deployed"}, done.report
    assert len({two.state(host)["running"] for host in (ONE, OTHER)}) == 1
    assert sorted(phases(done, "verify")) == [ONE, OTHER]
    for host in (ONE, OTHER):
        assert called(two, host) == (host, host)
    assert log(two, done).count("trace: kiosks are evaluated") == 1
    again = two.deploy("kiosk")
    assert again.outcomes == {ONE: "unchanged", OTHER: "unchanged"}
    assert not phases(again, "evaluate")


@pytest.mark.rotating
def test_a_machine_that_has_the_system_is_given_its_name(two: Bench) -> None:
    """One that was installed with the class's system is activated once, and unchanged after it."""
    assert two.deploy("kiosk").rc == 0
    unnamed(two, ONE)
    done = two.deploy("kiosk")
    assert done.outcomes == {ONE: "deployed", OTHER: "unchanged"}
    assert f"it has the system, and is not {ONE} yet" in log(two, done)
    assert called(two, ONE) == (ONE, ONE)
    assert two.deploy("class:kiosk").outcomes == {ONE: "unchanged", OTHER: "unchanged"}


@pytest.mark.rotating
def test_a_name_outlives_a_power_cut(two: Bench) -> None:
    """The machine boots with the name that its deployment gave it."""
    assert two.deploy("kiosk").rc == 0
    two.boot(OTHER, "kill", "start")
    assert called(two, OTHER) == (OTHER, OTHER)


@pytest.mark.rotating
def test_each_machine_opens_its_own_secret(two: Bench) -> None:
    """The shared system installs on each what is encrypted to its key, from before its first name.

    A file that is for another member's key is refused before anything is changed.
    """
    unnamed(two, ONE, OTHER)
    give_secrets(two)
    try:
        done = two.deploy("kiosk")
        assert done.outcomes == {ONE: "deployed", OTHER: "deployed"}, done
        for host in (ONE, OTHER):
            assert two.on(host, "cat /run/agenix/token").out == f"of {host}"
        folder = two.root / "secrets/kiosk"
        (folder / OTHER / "token.age").write_bytes((folder / ONE / "token.age").read_bytes())
        wrong = two.deploy("kiosk")
    finally:
        two.reset()
    assert wrong.outcomes[OTHER] == "failed"
    assert wrong.report["hosts"][OTHER]["checks"] == ["secrets"]


@pytest.mark.rotating
def test_a_rollback_brings_the_name_with_it(two: Bench) -> None:
    """A deployment that fails its verification leaves each machine its own name."""
    assert two.deploy("kiosk").rc == 0
    two.write("hosts/kiosk/test_kiosk.py", "def test_never(host):\n    assert False\n")
    two.write("hosts/kiosk/default.nix", """
      { imports = [ ./hardware-configuration.nix ]; environment.etc."marker".text = "x"; }
    """)  # fmt: skip
    try:
        done = two.deploy("kiosk")
    finally:
        two.reset()
    assert done.outcomes == {ONE: "rolled_back", OTHER: "rolled_back"}
    for host in (ONE, OTHER):
        assert called(two, host) == (host, host)


@pytest.mark.rotating
def test_an_address_that_leads_to_another_member_is_refused(two: Bench) -> None:
    """A machine that was deployed as one member does not become another without a word."""
    assert two.deploy("kiosk").rc == 0
    record = two.lab_folder / "lab.json"
    before = record.read_text()
    lab = json.loads(before)
    lab["hosts"][OTHER] = lab["hosts"][ONE]
    try:
        record.write_text(json.dumps(lab))
        done = two.deploy(OTHER)
    finally:
        record.write_text(before)
    assert done.rc == 4
    assert f"this machine was deployed as {ONE}" in json.dumps(done.report)
    assert called(two, ONE) == (ONE, ONE)
