"""``host facts`` on real hosts: five at once, as a user without root, and with broken tools."""

from __future__ import annotations

import json
import shlex
import time
from datetime import datetime
from typing import Any

import jsonschema
import pytest
from fleet_bench import HOSTS, Bench

from orchestrator.facts.model import KEYS
from orchestrator.facts.schema import json_schema

pytestmark = pytest.mark.lab


def facts(lab: Bench, *words: str) -> dict[str, Any]:
    """What ``host facts --json`` prints, which is as its schema says."""
    done = lab.run("host", "facts", "--json", *words)
    assert done.rc == 0, done
    found: dict[str, Any] = json.loads(done.out)
    jsonschema.Draft202012Validator(json_schema()).validate(found)
    return found


def values(one: dict[str, Any]) -> dict[str, Any]:
    """The value of each fact of one host."""
    return {key: fact["value"] for key, fact in one["facts"].items()}


def test_five_hosts_say_at_once_what_they_are_made_of(five: Bench) -> None:
    """Each host tells this machine's processor, that it is a container, and no serial."""
    found = facts(five, "--refresh")
    assert list(found) == list(HOSTS)
    listed = json.loads(five.command("lscpu", "-J").out)["lscpu"]
    here = {each["field"]: each["data"] for each in listed}
    for name, one in found.items():
        said = values(one)
        assert said["virtualisation"] == "container", name
        assert str(said["cpu.threads"]) == here["CPU(s):"]
        running = five.on(name, "cat /run/current-system/nixos-version").out.strip()
        assert said["nixos.version"] == running
        assert said["nix.version"] == five.on(name, "nix --version").out.split()[-1]
        assert said["boot.time"]
        assert one["facts"].keys() == {key.name for key in KEYS if not key.identifies}
        assert not any("mac" in nic for nic in said["nics"])
        assert not any("serial" in disk for disk in said["disks"] or ())


def test_facts_are_remembered_and_compared(five: Bench) -> None:
    """A host that was asked is not asked again; what changed is told, and only once."""
    first = facts(five, "--refresh", "p620")["p620"]
    again = facts(five, "p620")["p620"]
    assert (first["asked"], again["asked"]) == (True, False)
    assert first["at"] == again["at"]
    found = facts(five, "--diff", "p620")["p620"]
    assert found["changes"] == []


def test_selectors_go_by_what_is_remembered(five: Bench) -> None:
    """Hosts are selected by what is remembered of them, and none where no fact is so."""
    facts(five, "--refresh", "p620", "razer")
    done = five.run("host", "ping", "--json", "fact:virtualisation=container and (p620 or razer)")
    assert list(json.loads(done.out)) == ["p620", "razer"]
    done = five.run("host", "ping", "fact:memory-below=1M and p620")
    assert done.rc == 2
    assert "no host matches" in done.err


BROKEN = {
    "lsblk": "echo '{\"blockdevices\": ['",
    "lscpu": "exit 127",
    "systemd-detect-virt": "echo; echo '{'",
    "systemd-analyze": "yes",
    "nix": "printf '\\033[31m'",
}


def broken(name: str, text: str) -> str:
    """Have a program on a host print something else, until what is mounted there is taken away."""
    script = shlex.quote(f"#!/bin/sh\n{text}\n")
    return (
        f"printf %s {script} > /run/broken-{name} && chmod +x /run/broken-{name} && "
        f'mount --bind /run/broken-{name} "$(readlink -f "$(command -v {name})")"'
    )


def test_broken_tools_give_unknown_facts(five: Bench) -> None:
    """A host whose tools answer nonsense says what it can; all else is unknown, in valid JSON."""
    made = [broken(name, text) for name, text in BROKEN.items()]
    undo = "awk '$4 ~ /^\\/broken-/ { print $5 }' /proc/self/mountinfo"
    done = five.on("p510", " && ".join(made))
    try:
        assert done.rc == 0, done
        said = values(facts(five, "--refresh", "p510")["p510"])
    finally:
        assert five.on("p510", f"{undo} | xargs -r umount").rc == 0
    assert said["nix.version"] is None
    assert said["boot.time"] is None
    assert said["cpu.threads"]
    assert said["memory.installed"]


def test_a_deployment_remembers_facts_and_an_unchanged_one_asks_none(fleet: Bench) -> None:
    """What changes a host asks what it is made of on its way; what changes nothing does not."""
    fleet.module("razer", 'environment.etc."facts".text = "more";')
    before = time.time()
    assert fleet.deploy("razer").rc == 0
    at = datetime.fromisoformat(facts(fleet, "razer")["razer"]["at"])
    assert at.timestamp() > before - 1
    assert fleet.deploy("razer").outcomes == {"razer": "unchanged"}
    assert datetime.fromisoformat(facts(fleet, "razer")["razer"]["at"]) == at
