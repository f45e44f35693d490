"""A plan that tells what will happen, held against what then happens on real hosts."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from fleet_bench import Bench

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "p510"


def feature(number: str, mode: str = "new") -> str:
    """A feature: a package, a user, a file, units that come, change and are wanted by others."""
    return f"""
  environment.systemPackages = [ pkgs.tmux ];
  environment.etc."player/mode".text = "{mode}";
  users.groups.player = {{ }};
  users.users.player = {{ isSystemUser = true; group = "player"; }};
  systemd.services.player = {{
    wantedBy = [ "multi-user.target" ];
    wants = [ "player-index.service" ];
    environment.MODE = "{mode}";
    serviceConfig.ExecStart = "${{pkgs.runCommand "player-{number}" {{ }} ''
      mkdir -p $out/bin
      printf '#!/bin/sh\\nexec sleep infinity\\n' > $out/bin/player
      chmod +x $out/bin/player
    ''}}/bin/player";
  }};
  systemd.services.player-index = {{
    serviceConfig = {{ Type = "oneshot"; RemainAfterExit = true; }};
    script = "true";
  }};
  systemd.services.player-once = {{
    wantedBy = [ "multi-user.target" ];
    serviceConfig.Type = "oneshot";
    script = "true";
  }};
  systemd.timers.player = {{
    wantedBy = [ "timers.target" ];
    timerConfig.OnCalendar = "yearly";
  }};"""


@pytest.fixture
def number() -> str:
    """A version that no store has: what was built once is known in every later plan."""
    return f"1.{time.time_ns()}"


def of_host(done: Any) -> dict[str, Any]:
    """The host's part of a report."""
    assert done.rc == 0, done
    host: dict[str, Any] = done.report["hosts"][HOST]
    return host


def etc_of(fleet: Bench) -> dict[str, str]:
    """What is in /etc, as the host has it."""
    listed = fleet.on(HOST, "cd -P /etc/static && find . -type f | xargs sha256sum").out
    return {line[66:].removeprefix("./"): line[:64] for line in listed.splitlines()}


def closure_size(fleet: Bench) -> int:
    """Bytes of what the host runs, with all that it needs."""
    asked = "nix-store -q --requisites /run/current-system | xargs nix-store -q --size"
    return sum(map(int, fleet.on(HOST, asked).out.split()))


def accounts(fleet: Bench, what: str) -> set[str]:
    """Names of the host's users or groups."""
    return {line.partition(":")[0] for line in fleet.on(HOST, f"getent {what}").out.split("\n")}


def test_all_that_a_plan_says_of_a_feature_is_what_then_happens(fleet: Bench, number: str) -> None:
    """Units, packages, files, users, size: foreseen from files, then compared with the host."""
    before, users = etc_of(fleet), accounts(fleet, "passwd")
    fleet.module(HOST, feature(number))
    unbuilt = of_host(fleet.run("plan", HOST, "--json"))
    assert unbuilt["foreseen"]["unknown"] == [
        "not built yet: size, units, users, files in /etc and secrets are not known (--build)"
    ]
    planned = of_host(fleet.run("plan", HOST, "--build", "--json"))
    told = planned["foreseen"]
    assert told["units"]["source"] == "unit-files"
    assert told["copy"]["size"] > 0

    deployed = of_host(fleet.deploy(HOST))
    happened = deployed["changed"]
    assert happened["closure"] == planned["changed"]["closure"]
    assert happened["units"] == {
        key: told["units"][key] for key in ("restarted", "reloaded", "started", "stopped")
    }
    assert happened["units"]["started"] == [
        "player-index.service",
        "player.service",
        "player.timer",
    ]
    assert closure_size(fleet) == told["closure_size"]
    after = etc_of(fleet)
    differs = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    foreseen = {name for names in told["etc"].values() for name in names}
    assert {name for name in differs if not name.startswith("systemd/system/")} == foreseen
    assert accounts(fleet, "passwd") - users == {"player"} == set(told["users"]["added"])
    assert "player" in told["groups"]["added"]
    assert told["reboot"] == deployed["reboot_required"]


PLAYS = """{ pkgs, ... }:
{
  networking.firewall.allowedTCPPorts = [ 8097 ];
  systemd.services.plays = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = "${pkgs.busybox}/bin/busybox httpd -f -p 8097 -h /etc/fleet";
  };
}
"""
CATALOGUE = """
  plays:
    description: Plays films.
  plays-page:
    description: A page to choose one.
    requires: [plays]
"""


def test_a_feature_that_is_turned_on_is_told_with_its_chain_its_port_and_its_risk(
    fleet: Bench,
) -> None:
    """Why each feature comes, what it opens and starts: and that is so once it is deployed."""
    assert fleet.run("risk", HOST).rc == 0  # what runs is known from here on
    text = (fleet.root / "inventory/features.yaml").read_text()
    fleet.write("inventory/features.yaml", text.rstrip() + CATALOGUE)
    fleet.write("templates/features/plays.nix", PLAYS)
    fleet.write("templates/features/plays-page.nix", "{ }\n")
    enabled = fleet.run("catalogue", "enable", "plays-page", HOST, "--later")
    assert enabled.rc == 0, enabled
    planned = of_host(fleet.run("plan", HOST, "--build", "--json"))
    notes = [(note["topic"], note["text"]) for note in planned["foreseen"]["notes"]]
    told = {text.split(":")[0]: text for topic, text in notes if topic == "features"}
    assert set(told) == {"+ plays", "+ plays-page"}
    assert "required by plays-page" in told["+ plays"]
    assert "inventory/hosts.yaml:" in told["+ plays-page"]
    raised = {term["id"] for term in planned["risk"]["raised"]}
    assert any("8097" in term for term in raised), raised
    assert any("plays" in term for term in raised), raised
    assert planned["foreseen"]["units"]["started"] == ["plays.service"]

    differs = json.loads(fleet.run("diff", HOST, "--json").out)["foreseen"]
    assert differs["notes"] == planned["foreseen"]["notes"]

    deployed = of_host(fleet.deploy(HOST))
    assert deployed["changed"]["units"]["started"] == ["plays.service"]
    has = json.loads(fleet.on(HOST, "cat /etc/fleet/host.json").out)["features"]
    assert {"plays", "plays-page"} <= {*has}
    assert ":8097" in fleet.on(HOST, "ss -ltn").out
    assert fleet.run("catalogue", "status", HOST).out.count("pending") == 0
    after = json.loads(fleet.run("risk", HOST, "--json").out)
    assert planned["risk"]["after"] in json.dumps(after)


def test_a_dry_activation_on_the_host_says_the_same_as_the_files(fleet: Bench, number: str) -> None:
    """Both are right about a service that changes: the one is asked, where the host has both."""
    fleet.module(HOST, feature(number))
    of_host(fleet.deploy(HOST))
    fleet.module(HOST, feature(number, "other"))
    computed = of_host(fleet.run("plan", HOST, "--build", "--json"))["foreseen"]["units"]
    assert fleet.run("deploy", HOST, "--goal", "push").rc == 0
    started = fleet.on(HOST, "systemctl show -p ActiveEnterTimestamp player").out
    asked = of_host(fleet.run("plan", HOST, "--json"))["foreseen"]
    assert (computed.pop("source"), asked["units"].pop("source")) == ("unit-files", "dry-activate")
    assert asked["units"] == computed
    assert asked["units"]["restarted"] == ["player.service"]
    assert asked["copy"] == {"size": 0, "paths": 0}
    assert fleet.on(HOST, "systemctl show -p ActiveEnterTimestamp player").out == started
    deployed = of_host(fleet.deploy(HOST))
    assert deployed["changed"]["units"]["restarted"] == ["player.service"]
    gone = fleet.run("diff", HOST, "--json")
    assert gone.rc == 0, gone
    fleet.reset()
    told = json.loads(fleet.run("diff", HOST, "--json").out)["foreseen"]
    happened = of_host(fleet.deploy(HOST))["changed"]["units"]
    assert told["units"]["stopped"] == happened["stopped"]
    assert "player.service" in happened["stopped"]
    assert told["users"]["removed"] == ["player"]


def test_a_system_over_its_budget_is_refused_and_a_person_goes_past_it(
    fleet: Bench, number: str
) -> None:
    """The plan says so before; the deployment is refused with exit 4, and skipping is recorded."""
    text = (fleet.root / "inventory/hosts.yaml").read_text()
    entry = f"  {HOST}:\n"
    assert entry in text
    budget = f"{entry}    preflight: {{closure_budget: 1M}}\n"
    fleet.write("inventory/hosts.yaml", text.replace(entry, budget))
    fleet.module(HOST, feature(number))
    planned = of_host(fleet.run("plan", HOST, "--build", "--json"))
    assert any("1 MiB are allowed" in text for text in planned["warnings"]), planned
    assert "OVER budget 1 MiB" in fleet.run("plan", HOST).out
    refused = fleet.deploy(HOST)
    assert (refused.rc, refused.report["hosts"][HOST]["checks"]) == (4, ["closure-size"]), refused
    skipped = of_host(fleet.deploy(HOST, "--skip-preflight", "closure-size"))
    assert any("closure-size was skipped" in text for text in skipped["warnings"]), skipped
