"""A report of nixos-facter, taken for facts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from facts_examples import AT, host
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.facts import Facts
from orchestrator.facts.ask import FactsAnswer
from orchestrator.facts.draw import answer_json
from orchestrator.facts.plan.drift import changes
from orchestrator.facts.plan.facter import read_report
from orchestrator.facts.schema import json_schema

CPU = {
    "vendor_name": "GenuineIntel",
    "model_name": "Intel(R) Core(TM) i7",
    "features": ["fpu", "vmx", "avx2"],
    "physical_id": 0,
    "cores": 8,
    "siblings": 16,
}
REPORT: dict[str, Any] = {
    "version": 1,
    "system": "x86_64-linux",
    "virtualisation": "none",
    "uefi": {"supported": True, "platform_size": 64},
    "hardware": {
        "cpu": [CPU, CPU, {**CPU, "physical_id": 1}],
        "disk": [
            {
                "model": "Samsung SSD 970",
                "serial": "S4EW",
                "driver": "nvme",
                "sysfs_iommu_group_id": 14,
                "unix_device_names": ["/dev/nvme0n1", "/dev/disk/by-id/nvme-x"],
                "resources": [
                    {"type": "disk_geo", "cylinders": 1},
                    {"type": "size", "unit": "sectors", "value_1": 1953525168, "value_2": 512},
                ],
            },
            {
                "hotplug": "usb",
                "driver": "usb-storage",
                "unix_device_names": ["/dev/sda"],
                "resources": [{"type": "size", "unit": "sectors", "value_1": 1 << 33}],
            },
        ],
        "graphics_card": [
            {"vendor": {"hex": "10de", "name": "nVidia", "value": 4318}, "driver": "nvidia"},
            {"vendor": {"hex": "8086", "value": 32902}, "device": {"hex": "9bc4", "value": 1}},
        ],
        "network_controller": [
            {"driver": "iwlwifi", "class_list": ["network_controller", "wlan_card"]},
        ],
    },
    "smbios": {
        "system": {"manufacturer": "LENOVO", "product": "20XX", "version": "X1"},
        "memory_array": [{"ecc": {"hex": "0003", "name": "None", "value": 3}}],
        "memory_device": [{"size": 16777216}, {"size": 16777216}, {"size": 0}],
    },
}


def values(report: object) -> dict[str, Any]:
    """The values of all facts of a report."""
    return {key: fact.value for key, fact in read_report(json.dumps(report)).items()}


def test_a_report_gives_the_facts_that_it_has() -> None:
    """Processor, memory, disks, graphics, firmware and maker are read; the source is the report."""
    said = values(REPORT)
    expected = {
        "cpu.vendor": "intel",
        "cpu.sockets": 2,
        "cpu.cores": 16,
        "cpu.threads": 32,
        "memory.installed": 32 << 30,
        "memory.ecc": False,
        "disk.largest": 1953525168 * 512,
        "gpu.vendors": ["intel", "nvidia"],
        "firmware": "uefi",
        "virtualisation": "none",
        "dmi.vendor": "LENOVO",
        "architecture": "x86_64",
        "capabilities": ["avx2", "iommu", "kvm", "uefi", "wireless"],
        "kernel": None,
    }
    assert {key: said[key] for key in expected} == expected
    assert [disk["name"] for disk in said["disks"]] == ["nvme0n1", "sda"]
    assert read_report(json.dumps(REPORT))["cpu.vendor"].source == "facter.json"


def test_lines_of_a_log_around_the_report_are_left_out() -> None:
    """A report that a tool's log was written into is read all the same."""
    text = f"time=1 level=INFO msg=scan\n{json.dumps(REPORT, indent=2)}\nlevel=INFO done\n"
    assert read_report(text)["cpu.vendor"].value == "intel"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"version": 1}', "[" * 9999])
def test_what_is_no_report_is_refused(text: str) -> None:
    """Other JSON, and what is none, is no report."""
    with pytest.raises(ValueError, match=r"."):
        read_report(text)


def test_a_report_does_not_drift_from_what_the_machine_says() -> None:
    """What a report does not tell as the machine does is not compared with what that says."""
    report = Facts("", AT, read_report(json.dumps(REPORT)))
    other = {key: fact.__class__(fact.value, "/sys") for key, fact in report.facts.items()}
    now = Facts("m", AT, {**other, "disks": other["disks"].__class__([], "/sys")})
    assert not any(one.serious for one in changes(report, now))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


def _somewhere(report: Any, value: Any, choose: Callable[[int], int]) -> Any:
    """The report with another value somewhere in it."""
    if isinstance(report, dict) and report:
        key = list(report)[choose(len(report))]
        return {**report, key: _somewhere(report[key], value, choose)}
    if isinstance(report, list) and report:
        at = choose(len(report))
        return [*report[:at], _somewhere(report[at], value, choose), *report[at + 1 :]]
    return value


@given(JSON, st.data())
def test_any_value_in_a_report_gives_facts_that_fit_the_schema(value: Any, data: Any) -> None:
    """A report that has any other value anywhere gives facts or unknown ones, or is refused."""
    report = _somewhere(REPORT, value, lambda size: data.draw(st.integers(0, size - 1)))
    report = _somewhere(report, value, lambda size: data.draw(st.integers(0, size - 1)))
    try:
        facts = Facts("", AT, read_report(json.dumps(report)))
    except ValueError:
        return
    said = answer_json(FactsAnswer(host(), facts), identifying=True)
    jsonschema.Draft202012Validator(json_schema()).validate({"p620": json.loads(json.dumps(said))})


def test_classes_that_a_report_does_not_have_are_unknown() -> None:
    """A report without graphics, networks or disks does not say that the machine has none."""
    facts = read_report('{"version": 1, "hardware": {}}')
    for key in ("disks", "gpus", "gpu.vendors", "nics", "iommu.groups"):
        assert facts[key].value is None
    assert facts["capabilities"].value == []
    assert {"iommu", "wireless", "kvm"} <= set(facts["capabilities.unknown"].value)
