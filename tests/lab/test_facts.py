"""``host facts`` on real hosts: five at once, as a user without root, and with broken tools."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from fleet_bench import Bench

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


def test_five_hosts_say_at_once_what_they_are_made_of(five: Bench) -> None:
    """Each host of the lab tells the machine's processor and memory, and that it is a container."""
    found = facts(five, "--refresh")
    assert len(found) == 5
    for name, one in found.items():
        said = {key: fact["value"] for key, fact in one["facts"].items()}
        here = five.command("lscpu", "-J").out
        threads = {each["field"]: each["data"] for each in json.loads(here)["lscpu"]}["CPU(s):"]
        assert said["virtualisation"] == "container", name
        assert str(said["cpu.threads"]) == threads
        assert said["nixos.version"]
        assert one["facts"].keys() == {key.name for key in KEYS if not key.identifies}
        assert not any("mac" in nic for nic in said["nics"])
