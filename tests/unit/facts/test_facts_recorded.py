"""What is read out of answers that machines of known hardware gave: see ``record``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from facts_examples import answered

from orchestrator.core.facts import Fact
from orchestrator.facts.draw import answer_json
from orchestrator.facts.model import CAPABILITIES
from orchestrator.facts.plan.read import read
from orchestrator.facts.schema import json_schema

RECORDED = Path(__file__).parent / "recorded"
NAMES = sorted(folder.name for folder in RECORDED.iterdir() if folder.is_dir())


def expected(name: str) -> dict[str, Any]:
    """What the machine's command line says that it is."""
    found: dict[str, Any] = json.loads((RECORDED / name / "expected.json").read_text())
    return found


def facts(name: str, answer: str = "answer") -> dict[str, Fact]:
    """What is read out of what a machine said."""
    machine_id, found = read((RECORDED / name / answer).read_text())
    assert machine_id == "0123456789abcdef" * 2
    return dict(found)


@pytest.mark.parametrize("name", NAMES)
def test_every_value_of_a_known_machine_is_right(name: str) -> None:
    """Each fact of a machine that was made for it is what its command line says."""
    found, wanted = facts(name), expected(name)
    assert {key: found[key].value for key in wanted} == wanted


BLOCK = 128 << 20
"""Of memory, by the kernel's count: the last one may reach beyond what is there."""
ROOTS = ("memory.ecc", "memory.modules", "dmi.serial")


@pytest.mark.parametrize("name", NAMES)
def test_without_root_the_same_is_known_but_for_what_only_root_can_read(name: str) -> None:
    """A user without root is told the same; ECC, modules and SMART are unknown, and why is said."""
    found, wanted = facts(name, "answer-nobody"), expected(name)
    for key in ROOTS:
        assert found[key].value is None
        assert found[key].source.startswith("SMBIOS: ")
    for key, value in wanted.items():
        if key == "disks":
            value = [{**disk, "smart": None} for disk in value]
        if key == "memory.installed":
            assert 0 <= found[key].value - value <= BLOCK
        elif key == "virtualisation":
            assert found[key].value in (value, None)
        elif key not in (*ROOTS, "capabilities", "capabilities.unknown"):
            assert found[key].value == value, key
    assert "ecc" in found["capabilities.unknown"].value


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_identifies_a_machine_is_in_the_json(name: str) -> None:
    """Serial numbers and MACs are in no JSON, unless a person asked for them."""
    one = answered((RECORDED / name / "answer").read_text())
    text = json.dumps(answer_json(one, identifying=False))
    assert "SN-0" not in text
    assert "52:54:00" not in text
    assert "0123456789abcdef" not in text
    whole = json.dumps(answer_json(one, identifying=True))
    assert "0123456789abcdef" in whole
    for said in (text, whole):
        jsonschema.Draft202012Validator(json_schema()).validate({"p620": json.loads(said)})


@pytest.mark.parametrize("name", NAMES)
def test_every_capability_has_a_name_that_is_documented(name: str) -> None:
    """Each machine says of exactly the capabilities that there are whether it has them, or not."""
    found = facts(name)
    assert {*found["capabilities"].value, *found["capabilities.unknown"].value} <= CAPABILITIES


@pytest.mark.parametrize("name", NAMES)
def test_the_machine_is_what_lscpu_and_lsblk_say_there(name: str) -> None:
    """Processors and disks are those that the machine's own tools named when it was asked."""
    found = {key: fact.value for key, fact in facts(name).items()}
    listed = json.loads((RECORDED / name / "lscpu").read_text())["lscpu"]
    said = {one["field"]: one["data"] for one in listed}
    assert said["CPU(s):"] == str(found["cpu.threads"])
    assert said["Model name:"] == found["cpu.model"]
    assert set(said["Flags:"].split()) == set(found["cpu.flags"])
    disks = json.loads((RECORDED / name / "lsblk").read_text())["blockdevices"]
    assert sorted(disk["name"] for disk in disks) == [disk["name"] for disk in found["disks"]]
    by_name = {disk["name"]: disk for disk in disks}
    for disk in found["disks"]:
        other = by_name[disk["name"]]
        assert (disk["size"], disk["serial"]) == (other["size"], other["serial"])
        assert (disk["rotational"], disk["removable"]) == (other["rota"], other["rm"])


@pytest.mark.parametrize("name", NAMES)
def test_memory_is_what_dmidecode_says_there(name: str) -> None:
    """ECC and modules are those that dmidecode named; where there is no SMBIOS, none are."""
    found = {key: fact.value for key, fact in facts(name).items()}
    said = (RECORDED / name / "dmidecode").read_text()
    kinds = re.findall(r"Error Correction Type: (.+)", said)
    assert found["memory.ecc"] == (
        {"None": False, "Multi-bit ECC": True}[kinds[0]] if kinds else None
    )
    sizes = re.findall(r"^\tSize: ([0-9]+) (MB|GB)$", said, re.MULTILINE)
    total = sum(int(size) << {"MB": 20, "GB": 30}[unit] for size, unit in sizes)
    assert sum(one["size"] for one in found["memory.modules"] or ()) == total
