"""What a feature opens is told before it is deployed; more than the policy has it is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from fleet_bench import Bench, Done

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "p510"
PLEX = """{ pkgs, ... }:
{
  networking.firewall.allowedTCPPorts = [ 8096 8097 8098 8099 ];
  systemd.services.plex = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = "${pkgs.busybox}/bin/busybox sleep infinity";
  };
}
"""
RAISED = "opens 8096/tcp to everybody"
BARE = "plex runs as root without hardening"
HOST_LINE = f"  {HOST}:\n"


def add_feature(fleet: Bench) -> None:
    """Give the host a feature that opens a port and runs a service as root."""
    fleet.write("templates/features/plex.nix", PLEX)
    edit(fleet, "features", "features:\n", "features:\n  plex:\n    description: Films.\n")
    edit(fleet, "hosts", "      media-server:\n", "      media-server:\n      plex:\n")


def edit(fleet: Bench, name: str, before: str, after: str) -> None:
    """Edit one of the inventory's files."""
    file = fleet.root / f"inventory/{name}.yaml"
    text = file.read_text()
    assert before in text
    file.write_text(text.replace(before, after, 1))


def limit(fleet: Bench, *lines: str) -> None:
    """Say at the host how much risk it may be at."""
    edit(fleet, "hosts", HOST_LINE, HOST_LINE + "".join(f"    {line}\n" for line in lines))


def result(done: Done) -> dict[str, Any]:
    """The host's part of a report."""
    return done.report["hosts"][HOST]


def systems(fleet: Bench) -> list[str]:
    """What the host runs, has as its profile, and boots."""
    state = fleet.state(HOST)
    return [state[key] for key in ("running", "profile", "boot_default")]


def evaluated(done: Done) -> bool:
    """Whether the run evaluated the host."""
    return {"type": "phase", "host": HOST, "phase": "evaluate"} in done.events


def test_a_port_and_a_service_raise_the_risk_and_are_refused_until_accepted(fleet: Bench) -> None:
    """The plan names them; above `max_risk` exit 4, host untouched; accepted, it is recorded."""
    assert fleet.run("risk", HOST).rc == 0  # what runs is known from here on
    before = systems(fleet)
    add_feature(fleet)
    planned = fleet.run("plan", HOST)
    assert planned.rc == 0, planned
    told = re.escape(f"moderate → high: {BARE}, {RAISED}")
    assert re.search(f"risk +{told}", planned.out + planned.err), planned

    limit(fleet, "max_risk: moderate")
    refused = fleet.deploy(HOST)
    assert refused.rc == 4, refused
    message = result(refused)["message"]
    assert message.startswith("risk high is more than max_risk: moderate (inventory/hosts.yaml:")
    assert f"{BARE} (10), {RAISED} (5)" in message
    assert result(refused)["checks"] == ["risk"]
    assert "accept_risk: {level: high" in result(refused)["hint"]
    phases = {event["phase"] for event in refused.events if event["type"] == "phase"}
    assert phases.isdisjoint({"build", "copy", "activate"}), refused
    assert systems(fleet) == before

    accepted = "accept_risk: {level: high, reason: films for the party, until: 2020-01-01}"
    limit(fleet, accepted)
    late = fleet.deploy(HOST)
    assert late.rc == 4, late
    assert "expired on 2020-01-01" in result(late)["message"]
    assert systems(fleet) == before

    edit(fleet, "hosts", "2020-01-01", "2999-12-31")
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "deployed"}, done
    warning = "risk high is accepted until 2999-12-31"
    assert any(warning in text for text in result(done)["warnings"]), done
    assert result(done)["risk"]["after"] == "high"
    shown = fleet.run("run", "show", str(done.report["run"]), "--json")
    assert "films for the party" in shown.out, shown

    edit(fleet, "hosts", "2999-12-31", "2020-01-01")
    again = fleet.deploy(HOST)
    assert again.outcomes == {HOST: "unchanged"}, again
    assert not evaluated(again)
