"""From an inventory to five verified hosts, and what a change touches."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from fleet_bench import Bench

HOSTS = {"p620", "razer", "samsung", "p510", "dex5550"}
WORK = {"build", "copy", "activate", "prove", "verify", "commit"}

pytestmark = pytest.mark.lab


def test_a_second_deployment_changes_nothing(fleet: Bench) -> None:
    """Five "unchanged", each with its reason; nothing is built, copied or activated."""
    done = fleet.deploy()
    assert done.outcomes == dict.fromkeys(HOSTS, "unchanged")
    phases = {event["phase"] for event in done.events if event["type"] == "phase"}
    assert not phases & WORK
    for name, host in done.report["hosts"].items():
        assert "changed since run" in host["reason"]
        assert "it runs that system" in host["reason"]
        assert fleet.state(name)["running"] == host["out_path"]


def test_a_template_alters_its_hosts_and_nobody_else(fleet: Bench) -> None:
    """An edit of templates/laptop.nix deploys razer and samsung; the end state is theirs."""
    before = {name: fleet.state(name)["running"] for name in HOSTS}
    text = (fleet.root / "templates/laptop.nix").read_text()
    head, brace, tail = text.rpartition("}")
    assert brace
    edit = 'environment.etc."fleet/edited".text = "yes";'
    fleet.write("templates/laptop.nix", f"{head}  {edit}\n{brace}{tail}")

    plan = fleet.run("plan", "--json")
    assert {name for name, what in plan.outcomes.items() if what != "unchanged"} == {
        "razer",
        "samsung",
    }
    assert {name: fleet.state(name)["running"] for name in HOSTS} == before

    done = fleet.deploy()
    assert {name for name, what in done.outcomes.items() if what == "deployed"} == {
        "razer",
        "samsung",
    }
    for name in HOSTS:
        state = fleet.state(name)
        assert state["running"] == state["profile"] == state["boot_default"]
        assert (state["running"] != before[name]) == (name in {"razer", "samsung"})
    assert fleet.on("razer", "cat /etc/fleet/edited").out == "yes"


def test_what_is_deployed_survives_a_power_cut(fleet: Bench) -> None:
    """After a power cut the host boots what was deployed."""
    wanted = fleet.state("p510")["running"]
    fleet.boot("p510", "kill", "start")
    state = fleet.state("p510")
    assert state["running"] == state["booted"] == wanted


def test_five_outcomes_in_one_run(fleet: Bench) -> None:
    """Down, not evaluating, not activating, not verifying, good: each its outcome, exit code 1."""
    before = {name: fleet.state(name) for name in HOSTS}
    fleet.module("razer", 'environment.etc."broken".text = throw "razer cannot be evaluated";')
    fleet.module("samsung", 'system.activationScripts.broken.text = "exit 1";')
    fleet.module("p510", 'environment.etc."marker".text = "p510";')
    fleet.write(
        "hosts/p510/test_never.py", "def test_never(host):\n    assert host.file('/x').exists\n"
    )
    fleet.module("dex5550", 'environment.etc."marker".text = "dex5550";')
    assert fleet.run("lab", "fault", "p620", "partition").rc == 0
    try:
        done = fleet.deploy()
    finally:
        assert fleet.run("lab", "fault", "p620", "heal").rc == 0

    assert done.rc == 1
    assert done.outcomes == {
        "p620": "failed",
        "razer": "failed",
        "samsung": "rolled_back",
        "p510": "rolled_back",
        "dex5550": "deployed",
    }
    steps = {name: host.get("step") for name, host in done.report["hosts"].items()}
    assert steps == {
        "p620": "connect",
        "razer": "evaluate",
        "samsung": "activate",
        "p510": "verify",
        "dex5550": None,
    }
    assert "razer cannot be evaluated" in done.report["hosts"]["razer"]["message"]
    assert "test_never" in done.report["hosts"]["p510"]["message"]
    for name in ("p620", "razer", "samsung", "p510"):
        now = fleet.state(name)
        assert [now[key] for key in ("running", "profile", "boot_default")] == [
            before[name][key] for key in ("running", "profile", "boot_default")
        ]
    assert fleet.on("dex5550", "cat /etc/marker").out == "dex5550"

    fleet.reset()
    again = fleet.deploy()
    assert again.rc == 0
    assert again.outcomes["samsung"] == "unchanged"


def test_exit_four_with_the_right_end_state_is_a_success_with_a_warning(fleet: Bench) -> None:
    """A unit that does not start makes activation end with 4; the system is there all the same."""
    body = (
        'systemd.services.never = { wantedBy = [ "multi-user.target" ]; '
        'serviceConfig = { Type = "oneshot"; ExecStart = "/bin/sh -c \'exit 1\'"; }; };'
    )
    fleet.module("dex5550", body)
    done = fleet.deploy("dex5550", "--no-verify")
    assert done.outcomes == {"dex5550": "deployed"}
    warnings = " ".join(done.report["hosts"]["dex5550"]["warnings"])
    assert "exit 4" in warnings
    assert "never.service" in warnings


def test_a_revision_and_a_reason_stay_on_the_host(fleet: Bench) -> None:
    """An emergency deployment skips verification and leaves its reason on the host."""
    fleet.write("hosts/dex5550/test_never.py", "def test_never(host):\n    assert False\n")
    fleet.module("dex5550", 'environment.etc."marker".text = "urgent";')
    done = fleet.run("deploy", "--json", "dex5550", "--emergency", "the site is down")
    assert done.outcomes == {"dex5550": "deployed"}
    record = fleet.state("dex5550")["record"]
    assert record["emergency"] == "the site is down"
    assert record["revision"].endswith("-dirty")
    assert record["run"] == done.report["run"]


def test_systemd_finds_nothing_wrong_with_the_documented_unit(fleet: Bench) -> None:
    """Each line of the watch service that the documentation gives is known to a host's systemd."""
    page = Path(__file__).parents[2] / "docs/unreachable-hosts.md"
    (unit,) = re.findall(r"^```ini\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    command = "%h/.local/bin/orchestrator"
    assert command in unit

    def found(text: str) -> str:
        folder = "/run/unit"
        file = f"{folder}/orchestrator-watch.service"
        return fleet.on(
            "p510",
            f"mkdir -p {folder}; printf %s {shlex.quote(text)} > {file}; XDG_RUNTIME_DIR={folder} "
            f"systemd-analyze verify --user --man=no {file} 2>&1; rm -r {folder}",
        ).out

    there = unit.replace(command, "/bin/true")
    assert found(there) == ""
    assert "Nonsense" in found(f"{there}\nNonsense=yes\n")
