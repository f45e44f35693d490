"""What a deployment says that it changed, on real hosts; and that all must build."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from fleet_bench import HOSTS, Bench, log_of

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

UNBUILDABLE = '  environment.etc."broken".source = pkgs.runCommand "broken" { } "exit 7";'


def serving(version: str, text: str = "") -> str:
    """A host with a package of a version, and a unit that runs it."""
    return f"""
  environment.systemPackages = [ pkgs.tmux ];
  environment.etc."results".text = "{text}";
  systemd.services.results = {{
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = "${{pkgs.runCommand "webserver-{version}" {{ }} ''
      mkdir -p $out/bin
      printf '#!/bin/sh\\nexec sleep infinity\\n' > $out/bin/serve
      chmod +x $out/bin/serve
    ''}}/bin/serve";
  }};"""


def systems(fleet: Bench) -> dict[str, Any]:
    """What each host runs, its profile and what it boots."""
    keys = ("running", "profile", "boot_default")
    return {host: [fleet.state(host)[key] for key in keys] for host in HOSTS}


def test_a_result_names_packages_units_and_size_and_no_store_path(fleet: Bench) -> None:
    """A person reads one line; the log, the JSON and ``-v`` have the store paths."""
    fleet.module("p510", serving("1.26"))
    first = fleet.deploy("p510")
    assert first.outcomes == {"p510": "deployed"}, first
    assert re.match(
        r"webserver 1\.26 added, 1 unit started, closure \+[\d.]+ k?B$",
        first.report["hosts"]["p510"]["reason"],
    ), first.report["hosts"]["p510"]

    before = fleet.state("p510")["running"]
    fleet.module("p510", serving("1.28"))
    done = fleet.run("deploy", "p510", "-v")
    assert done.rc == 0, done
    after = fleet.state("p510")["running"]
    assert re.search(r"webserver 1\.26 → 1\.28, 1 unit restarted", done.out), done
    assert "/nix/store" not in done.out
    assert f"p510: | system: {before} → {after}" in done.err

    fleet.module("p510", serving("1.28", "only a file"))
    quiet = fleet.deploy("p510")
    result = quiet.report["hosts"]["p510"]
    assert result["reason"].startswith("same packages"), result
    assert result["changed"]["closure"]["packages"] == []
    assert result["out_path"] == fleet.state("p510")["running"]
    log = log_of(quiet.report["folder"], "p510")
    assert f"system: {after} → {result['out_path']}" in log


def test_a_plan_says_what_would_change_once_that_is_built(fleet: Bench) -> None:
    """Before the build it says that this is not known; it takes no word back afterwards."""
    # The store outlives a lab: what was built once is known in a plan.
    version = f"2.{time.time_ns()}"
    fleet.module("p510", serving(version))
    planned = fleet.run("plan", "p510", "--json")
    assert planned.outcomes == {"p510": "deployed"}, planned
    unbuilt = planned.report["hosts"]["p510"]
    assert unbuilt["reason"].endswith("what that changes is known once it is built"), unbuilt
    assert unbuilt["changed"] is None
    assert fleet.run("build", "p510").rc == 0
    built = fleet.run("plan", "p510", "--json").report["hosts"]["p510"]
    assert re.search(rf"webserver {version} added, closure \+", built["reason"]), built
    done = fleet.deploy("p510").report["hosts"]["p510"]
    assert done["changed"]["closure"] == built["changed"]["closure"]


@pytest.mark.parametrize("options", [(), ("--canary", "1"), ("--one-by-one",), ("--no-waves",)])
def test_nothing_is_activated_anywhere_where_one_system_does_not_build(
    fleet: Bench, options: tuple[str, ...]
) -> None:
    """The others are built, told whose build failed, and left as they were."""
    for host in HOSTS:
        fleet.module(host, f'  environment.etc."must-build".text = "{"".join(options)}";')
    fleet.module("razer", UNBUILDABLE)
    before = systems(fleet)
    done = fleet.deploy("--all-must-build", *options)
    assert done.rc == 1, done
    assert done.outcomes == {**dict.fromkeys(HOSTS, "skipped"), "razer": "failed"}, done
    assert "razer did not build" in done.report["hosts"]["p620"]["reason"]
    phases = {event["phase"] for event in done.events if event["type"] == "phase"}
    assert phases.isdisjoint({"copy", "activate", "commit"})
    assert systems(fleet) == before


def test_all_are_deployed_where_all_build_and_one_does_not_answer(fleet: Bench) -> None:
    """Silence is no failed build: that host's system is built, and it alone has failed."""
    for host in HOSTS:
        fleet.module(host, '  environment.etc."must-build".text = "silent";')
    assert fleet.run("lab", "fault", "p620", "stop").rc == 0
    try:
        done = fleet.deploy("--all-must-build", "--unreachable", "fail")
        assert done.outcomes == {**dict.fromkeys(HOSTS, "deployed"), "p620": "failed"}, done
        assert done.report["hosts"]["p620"]["step"] == "connect"
        phases = [event for event in done.events if event["type"] == "phase"]
        assert {"type": "phase", "host": "p620", "phase": "build"} in phases
    finally:
        fleet.boot("p620", "start")


def test_fast_builds_nothing_that_the_host_has_and_verifies(fleet: Bench) -> None:
    """A system that it ran before is neither built nor copied, and checked as any other."""
    first = fleet.state("samsung")["running"]
    fleet.module("samsung", '  environment.etc."fast".text = "fast";')
    assert fleet.deploy("samsung").outcomes == {"samsung": "deployed"}
    fleet.reset()
    done = fleet.deploy("samsung", "--fast")
    assert done.outcomes == {"samsung": "deployed"}, done
    phases = {event["phase"] for event in done.events if event["type"] == "phase"}
    assert {"build", "copy"}.isdisjoint(phases)
    assert "verify" in phases
    assert fleet.state("samsung")["running"] == first
