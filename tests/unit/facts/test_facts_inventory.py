"""What the inventory says of hardware, and what selectors ask of facts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from facts_examples import AT, host, made

from orchestrator.core.errors import UsageError
from orchestrator.core.facts import Facts
from orchestrator.core.host import Fleet
from orchestrator.facts import cache, selecting
from orchestrator.facts.ask import FactsAnswer
from orchestrator.facts.draw import answer_json
from orchestrator.facts.plan.conditions import parse
from orchestrator.facts.plan.overrides import effective, proposed
from orchestrator.facts.plan.read import read
from orchestrator.facts.schema import json_schema
from orchestrator.host.setup import state_folder
from orchestrator.inventory.select import complete, select

MACHINE, KNOWN = read((Path(__file__).parent / "recorded/q35-server/answer").read_text())
FACTS = Facts(MACHINE, AT, KNOWN)


@pytest.mark.parametrize(
    ("hardware", "key", "value"),
    [
        ({"cpu": "intel"}, "cpu.vendor", "intel"),
        ({"gpu": "nvidia"}, "gpu.vendors", ["amd", "nvidia", "qemu"]),
        ({"gpu": ["nvidia", "intel"]}, "gpu.vendors", ["intel", "nvidia"]),
        ({"gpu": []}, "gpu.vendors", []),
        ({"memory": "64G"}, "memory.installed", 64 << 30),
        ({"memory.installed": 5}, "memory.installed", 5),
        ({"cpus": 64}, "cpu.threads", 64),
        ({"ecc": False}, "memory.ecc", False),
        ({"firmware": "uefi"}, "firmware", "uefi"),
    ],
)
def test_what_the_inventory_says_goes_before_what_the_machine_says(
    hardware: dict[str, Any], key: str, value: object
) -> None:
    """A key of ``hardware:`` counts instead of the fact, and its source is the inventory."""
    found = effective(FACTS, hardware).fact(key)
    assert (found.value, found.source) == (value, "inventory")


def test_a_gpu_that_the_inventory_names_hides_none_that_was_found() -> None:
    """One vendor in ``hardware:`` is there beside the machine's own, for needs and selectors."""
    found = effective(made({"gpu.vendors": ["intel"]}), {"gpu": "nvidia"})
    assert found.value("gpu.vendors") == ["intel", "nvidia"]
    assert effective(None, {"gpu": "nvidia"}).value("gpu.vendors") == ["nvidia"]
    listed = effective(made({"gpu.vendors": ["intel"]}), {"gpu": ["nvidia"]})
    assert listed.value("gpu.vendors") == ["nvidia"]


@pytest.mark.parametrize(
    "hardware", [{"memory": "much"}, {"cpus": True}, {"ecc": "yes"}, {"x": 1}, {"gpu": 3}, {"": 0}]
)
def test_what_is_for_the_templates_alone_changes_no_fact(hardware: dict[str, Any]) -> None:
    """Keys that are no facts, or of another kind than the fact, leave facts as they are."""
    assert effective(FACTS, hardware).facts == FACTS.facts


def test_capabilities_can_be_said_by_the_inventory() -> None:
    """A capability's name with yes or no in ``hardware:`` counts; so do ECC and UEFI there."""
    found = effective(FACTS, {"kvm": False, "tpm2": True, "firmware": "uefi", "ecc": False})
    held = found.value("capabilities")
    assert {"tpm2", "uefi"} <= set(held)
    assert not {"kvm", "ecc"} & set(held)
    nothing = effective(None, {"kvm": True})
    assert nothing.value("capabilities") == ["kvm"]
    assert nothing.value("cpu.vendor") is None


def test_the_json_shows_both() -> None:
    """Where the inventory says otherwise, JSON has its value, and the machine's beside it."""
    answer = FactsAnswer(host(hardware={"cpu": "intel"}), FACTS)
    said = answer_json(answer, identifying=False)
    assert said["facts"]["cpu.vendor"] == {
        "value": "intel",
        "source": "inventory",
        "machine": {"value": "amd", "source": "/proc/cpuinfo"},
    }
    jsonschema.Draft202012Validator(json_schema()).validate({"p620": json.loads(json.dumps(said))})


def test_a_proposal_is_coarse_and_not_made_of_containers() -> None:
    """A proposal has vendors alone; of a container, whose hardware is another's, there is none."""
    assert proposed(FACTS.facts) == {"cpu": "amd", "gpu": "amd"}
    assert proposed(made({"gpu.vendors": ["aspeed", "intel", "nvidia"]}).facts) == {"gpu": "nvidia"}
    assert proposed(made({"cpu.vendor": "amd", "virtualisation": "container"}).facts) == {}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("gpu=amd", True),
        ("gpu=nvidia", False),
        ("gpu=n*", False),
        ("cpu=AMD", True),
        ("memory-below=8GiB", True),
        ("memory-below=1.5G", False),
        ("memory-above=1G", True),
        ("cpus-above=3", True),
        ("disk-above=1T", False),
        ("virtualisation=qemu", True),
        ("capability=avx2", True),
        ("capability=tpm2", False),
        ("secure-boot=no", True),
        ("kernel=6.1.*", True),
        ("boot=1", None),
        ("nix.version=2.24*", None),
    ],
)
def test_conditions_hold_do_not_or_are_not_known(condition: str, holds: bool | None) -> None:
    """A condition holds or not where its fact is known, and else neither."""
    if condition.startswith("boot="):
        with pytest.raises(ValueError, match="expected a fact"):
            parse(condition)
    else:
        assert parse(condition).holds(FACTS) is holds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("gpu", "such as fact:gpu=nvidia"),
        ("gpus=nvidia", "did you mean 'gpu'"),
        ("memory-below=much", "not a size"),
        ("cpus-below=4G", "expected a number"),
        ("dmi.serial=SN*", "can be selected by"),
        ("capability=kmv", "did you mean 'kvm'"),
        ("capability=zzz*", "expected a capability that is asked for: aes"),
    ],
)
def test_a_condition_that_is_none_says_what_is_expected(text: str, says: str) -> None:
    """A fact that there is not, or that identifies a machine, is refused with what there is."""
    with pytest.raises(ValueError, match=says):
        parse(text)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [("KVM", None), ("tpm*", None), ("*", True), ("EC*", False), ("Avx2", True), ("a*", True)],
)
def test_a_capability_that_is_not_known_is_neither_there_nor_not(
    condition: str, holds: bool | None
) -> None:
    """However it is written, a capability that could not be known is never said to be missing."""
    values = {"capabilities": ["avx2"], "capabilities.unknown": ["kvm", "tpm2"]}
    assert parse(f"capability={condition}").holds(made(values)) is holds


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """A fleet of three hosts: one with nvidia, one with amd, one that was never asked."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    selecting._say.cache_clear()
    names = ("p510", "p620", "razer")
    fleet = Fleet("f", "/fleet", "/fleet", {name: host(name) for name in names})
    for name, vendor in (("p510", "nvidia"), ("p620", "amd")):
        facts = made({"gpu.vendors": [vendor], "memory.installed": 4 << 30})
        cache.remember(state_folder(fleet), name, facts)
    return fleet


def chosen(fleet: Fleet, *selectors: str) -> list[str]:
    """The names of the hosts that are meant."""
    return [one.name for one in select(fleet, selectors)]


def test_hosts_are_selected_by_what_is_remembered_of_them(fleet: Fleet) -> None:
    """Facts select among hosts that were asked, alone and in expressions."""
    assert chosen(fleet, "fact:gpu=nvidia") == ["p510"]
    assert chosen(fleet, "fact:memory-below=8GiB and not p510") == ["p620"]
    assert chosen(fleet, "razer or fact:gpu=amd") == ["p620", "razer"]


def test_a_host_without_facts_is_never_meant_by_not(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    """A host of which nothing is known is left out of ``not fact:…`` too, and that is said."""
    assert chosen(fleet, "not fact:gpu=nvidia") == ["p620"]
    said = capsys.readouterr().err
    assert "razer is left out" in said
    assert "orchestrator host facts razer" in said
    assert chosen(fleet, "not (fact:gpu=nvidia and razer)") == ["p510", "p620"]


def test_where_nothing_is_known_the_hint_is_to_ask(fleet: Fleet) -> None:
    """Where no host is meant and some are not known, the error says how to ask them."""
    with pytest.raises(UsageError) as caught:
        chosen(fleet, "fact:gpu=intel")
    assert caught.value.hint == "ask them: orchestrator host facts razer"


def test_the_inventory_decides_where_it_says_something(fleet: Fleet) -> None:
    """A host's ``hardware:`` is selected by although it was never asked."""
    hosts = {**fleet.hosts, "razer": host("razer", hardware={"gpu": "nvidia"})}
    other = Fleet("f", "/fleet", "/fleet", hosts)
    assert chosen(other, "fact:gpu=nvidia") == ["p510", "razer"]


def test_facts_of_another_machine_are_not_this_hosts(fleet: Fleet) -> None:
    """Facts whose machine-id is not the one in the inventory count for nothing."""
    hosts = {**fleet.hosts, "p510": host("p510", machine_id="other")}
    other = Fleet("f", "/fleet", "/fleet", hosts)
    assert chosen(other, "fact:memory-below=8G") == ["p620"]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("fa", ["fact:"]),
        ("fact:memory-", ["fact:memory-below=", "fact:memory-above="]),
        ("fact:capabilities", ["fact:capabilities=", "fact:capabilities.unknown="]),
        ("not fact:gpu=", ["not fact:gpu=amd", "not fact:gpu=nvidia"]),
        ("fact:gpu=n", ["fact:gpu=nvidia"]),
        ("fact:capability=avx5", ["fact:capability=avx512"]),
        ("fact:secure-boot=", ["fact:secure-boot=yes", "fact:secure-boot=no"]),
        ("fact:memory-below=", []),
        ("fact:gpus=", []),
        ("fact:nothing", []),
    ],
)  # fmt: skip
def test_a_shell_is_offered_conditions(fleet: Fleet, typed: str, offered: list[str]) -> None:
    """Conditions are completed: their names, then what is known of the fleet's machines."""
    assert complete(fleet, typed) == offered


def test_what_a_machine_says_is_no_part_of_a_command_line(fleet: Fleet) -> None:
    """A value that a shell would take for its own is not offered, nor what names one machine."""
    said = {
        "dmi.vendor": "$(reboot)",
        "dmi.product": "X9;reboot",
        "kernel": "6.1.0",
        "dmi.serial": "S1",
    }
    cache.remember(state_folder(fleet), "razer", made(said))
    assert complete(fleet, "fact:kernel=") == ["fact:kernel=6.1.0"]
    for name in ("vendor", "product", "dmi.serial"):
        assert complete(fleet, f"fact:{name}=") == []
