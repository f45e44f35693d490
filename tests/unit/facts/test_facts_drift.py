"""What is told of a machine that is not what it was."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jsonschema
import pytest
from facts_examples import AT, host, made
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.facts import Fact, Facts
from orchestrator.core.values import replace
from orchestrator.facts.ask import FactsAnswer
from orchestrator.facts.cache import known, remember
from orchestrator.facts.draw import answer_json
from orchestrator.facts.model import BY_NAME
from orchestrator.facts.plan.drift import changes, drift
from orchestrator.facts.plan.read import read
from orchestrator.facts.schema import json_schema

MACHINE, KNOWN = read((Path(__file__).parent / "recorded/q35-server/answer").read_text())
BEFORE = Facts(MACHINE, AT, KNOWN)


def now(**values: Any) -> Facts:
    """The same machine with other values, by keys with ``_`` for dots."""
    other = {
        key.replace("_", "."): replace(BEFORE.fact(key.replace("_", ".")), value=value)
        for key, value in values.items()
    }
    return replace(BEFORE, facts={**BEFORE.facts, **other})


def texts(after: Facts) -> list[str]:
    """What a deployment is told."""
    return [one.text for one in drift(BEFORE, after)]


def without(key: str, **of: Any) -> list[dict[str, Any]]:
    """The things of a fact, but for those that have these values."""
    return [one for one in BEFORE.value(key) if any(one[part] != of[part] for part in of)]


def test_a_machine_that_is_as_it_was_is_told_of_nothing() -> None:
    """Equal facts have no differences; nor has a machine of which everything became unknown."""
    assert changes(BEFORE, BEFORE) == ()
    unknown = {key: Fact(None, "no answer") for key in BEFORE.facts}
    assert changes(BEFORE, replace(BEFORE, facts=unknown)) == ()
    assert changes(replace(BEFORE, facts=unknown), BEFORE) == ()


def test_memory_that_shrank_is_told_in_sizes() -> None:
    """Memory that shrank is told before a deployment, memory that grew only in a comparison."""
    assert texts(now(memory_installed=1 << 30)) == ["memory shrank from 1.5 GiB to 1.0 GiB"]
    assert texts(now(memory_installed=4 << 30)) == []
    (grew,) = changes(BEFORE, now(memory_installed=4 << 30))
    assert grew.text == "memory grew from 1.5 GiB to 4.0 GiB"


def test_memory_that_was_measured_otherwise_is_no_difference() -> None:
    """What SMBIOS says is not compared with what the kernel left."""
    other = {**BEFORE.facts, "memory.installed": Fact(1 << 30, "/proc/meminfo")}
    assert drift(BEFORE, replace(BEFORE, facts=other)) == ()


def test_a_disk_that_is_gone_is_told_unless_it_is_meant_to_be_pulled_out() -> None:
    """A fixed disk that is gone is told by name, model and size, not by serial; a stick is not."""
    assert texts(now(disks=without("disks", name="sda"))) == [
        "disk sda (EXAMPLE-HDD, 20.0 GiB) is gone"
    ]
    assert texts(now(disks=without("disks", name="sdb"))) == []
    assert "SN-0" not in str(changes(BEFORE, now(disks=[])))


def test_a_disk_that_is_known_by_less_is_not_gone() -> None:
    """Where a serial could not be read this time, the disk is the one that it was."""
    first, *others = BEFORE.value("disks")
    for less in ({"serial": None}, {"serial": None, "id": None}):
        assert drift(BEFORE, now(disks=[{**first, **less}, *others])) == ()
        assert drift(now(disks=[{**first, **less}, *others]), BEFORE) == ()
    swapped = {**first, "serial": "SN-9", "id": "other-SN-9"}
    assert len(drift(BEFORE, now(disks=[swapped, *others]))) == 1


@pytest.mark.parametrize("size", [128 << 20, 2 << 30])
def test_memory_in_blocks_differs_by_more_than_one_before_it_is_told(size: int) -> None:
    """Without root the last block may not be full: one block less is no memory that is gone."""

    def counted(count: int) -> Facts:
        lines = ("/etc/machine-id:m", f"memory_blocks={count}", "end=")
        block = f"/sys/devices/system/memory/block_size_bytes:{size:x}"
        _, facts = read("\n".join((*lines[:2], block, lines[2])))
        assert "which may be one too many" in facts["memory.installed"].source
        return replace(BEFORE, facts={**BEFORE.facts, **facts})

    assert [one for one in drift(counted(80), counted(79)) if "memory" in one.text] == []
    (told,) = (one.text for one in drift(counted(80), counted(40)) if "memory" in one.text)
    assert told.startswith("memory shrank from ")


def test_what_another_kernel_keeps_is_no_memory_that_shrank() -> None:
    """Where memory is what the kernel left, a little less after an update is no drift."""
    size, source = 8 << 30, "/proc/meminfo: without what the kernel keeps"

    def left(share: float) -> Facts:
        fact = Fact(int(size * share), source)
        return replace(BEFORE, facts={**BEFORE.facts, "memory.installed": fact})

    assert drift(left(1), left(0.99)) == ()
    assert [one.text for one in drift(left(1), left(0.5))] == [
        "memory shrank from 8.0 GiB to 4.0 GiB"
    ]


def test_a_disk_whose_smart_fails_is_told_each_time() -> None:
    """SMART that fails is told although it failed before, too."""
    failing = now(disks=[{**one, "smart": "failed"} for one in BEFORE.value("disks")[:1]])
    assert "SMART says that disk nvme0n1 (QEMU NVMe Ctrl, 30.0 GiB) is failing" in texts(failing)
    assert len(drift(failing, failing)) == 1


def test_a_network_device_that_was_replaced_is_told() -> None:
    """Of the same name with another MAC, it is another or was given one; of none, it is gone."""
    other = [{**BEFORE.value("nics")[0], "mac": "52:54:00:00:00:01"}]
    assert texts(now(nics=other)) == [
        "network device enp0s3 (e1000e) has another MAC: it was replaced, or given one"
    ]
    assert texts(now(nics=[])) == ["network device enp0s3 (e1000e) is gone"]
    wireless = now(nics=[{**BEFORE.value("nics")[0], "wireless": True}])
    assert drift(wireless, now(nics=[{**other[0], "wireless": True}])) == ()


def test_graphics_and_capabilities_that_are_gone_are_told() -> None:
    """A card that is gone, and what the machine cannot any more, are told."""
    assert texts(now(gpus=BEFORE.value("gpus")[:1])) == ["graphics by amd is gone"]
    assert texts(now(capabilities=["aes"])) == ["no longer there: avx, avx2, ecc, iommu, kvm, numa"]
    unsure = now(capabilities=["aes"], capabilities_unknown=["avx", "avx2", "ecc", "iommu", "kvm"])
    assert texts(unsure) == ["no longer there: numa"]


def test_another_machine_is_told_and_nothing_else_of_it() -> None:
    """Where another machine answers, that is told, and its parts are not compared."""
    (one,) = changes(BEFORE, replace(now(memory_installed=1), machine_id="other"))
    assert one.text == "another machine answers than at 2026-01-02 00:00 (its machine-id)"


def test_what_a_container_sees_is_no_drift() -> None:
    """In a container or WSL hardware is another machine's: a deployment is told of none."""
    for kind in ("container", "wsl"):
        assert drift(BEFORE, now(memory_installed=1, virtualisation=kind)) == ()


def test_a_comparison_names_everything_else_that_changed() -> None:
    """A new kernel is in a comparison, with both versions, and is no reason to warn."""
    (one,) = changes(BEFORE, now(kernel="6.12.1"))
    assert (one.text, one.serious) == ("kernel: 6.1.0-57-amd64 → 6.12.1", False)
    (one,) = changes(BEFORE, now(partitions=[]))
    assert one.text == "partitions changed"


THINGS = st.lists(
    st.dictionaries(
        st.sampled_from(["name", "size", "mac", "serial", "vendor", "smart", "removable", "x"]),
        st.none() | st.integers() | st.text(max_size=3) | st.booleans(),
    )
    | st.none(),
    max_size=3,
)
VALUES = st.dictionaries(
    st.sampled_from(sorted(BY_NAME)), st.none() | st.integers() | THINGS | st.text(max_size=3)
)


@given(VALUES, VALUES)
def test_damaged_facts_are_compared_without_harm(old: dict[str, Any], new: dict[str, Any]) -> None:
    """What is kept of another kind than it should be is unknown: nothing fails for it."""
    with TemporaryDirectory() as folder:
        for name, values in (("old", old), ("new", new)):
            remember(Path(folder), name, made(values))
        kept = [known(Path(folder), name) for name in ("old", "new")]
    before, after = (one or made({}) for one in kept)
    changes(before, after)
    said = answer_json(FactsAnswer(host(), after, before), identifying=True, diff=True)
    jsonschema.Draft202012Validator(json_schema()).validate({"p620": json.loads(json.dumps(said))})


def test_fewer_processors_are_told_and_new_parts_are_only_compared() -> None:
    """Processors that are gone are told; what is new is in a comparison alone."""
    assert texts(now(cpu_threads=2)) == ["2 logical processors are online; there were 4"]
    more = now(
        gpus=[*BEFORE.value("gpus"), {"vendor": "nvidia", "driver": None, "pci": "10de:1"}],
        nics=[*BEFORE.value("nics"), {"name": "eth9", "driver": None, "mac": "x"}],
        disks=[*BEFORE.value("disks"), {"name": "sdz", "size": 1 << 40, "serial": "new"}],
    )
    assert drift(BEFORE, more) == ()
    assert [one.text for one in changes(BEFORE, more)] == [
        "disk sdz (1024.0 GiB) is new",
        "network device eth9 (no driver) is new",
        "graphics by nvidia is new",
    ]
