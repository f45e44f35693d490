"""Whatever a host answers, there are facts or there is "unknown": valid JSON in any case."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import jsonschema
import pytest
from facts_examples import answered
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.facts.draw import answer_json
from orchestrator.facts.model import KEYS
from orchestrator.facts.plan.read import read
from orchestrator.facts.schema import json_schema

ANSWER = (Path(__file__).parent / "recorded/q35-server/answer").read_text()
LINES = ANSWER.split("\n")
VALIDATOR = jsonschema.Draft202012Validator(json_schema())

ODD = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            *("", "\0", "-1", "9" * 30, "0x", "{", "[]", "null", "NaN", "1e999", "]" * 50, "a=b"),
            *('{"lscpu": 1}', '{"lscpu": [1]}', '{"blockdevices": {}}', "[" * 5000, "\x1b[31m"),
            *('{"blockdevices": [{"name": 1, "children": 2, "fstype": []}]}', "☃", "\ud800"),
            *('{"smart_status": {"passed": "no"}}', '{"smart_status": []}', "AAAA", "/../../etc"),
        ]
    ),
)


def check(text: str) -> None:
    """Hold what comes of an answer against the schema, as strict JSON."""
    for identifying in (False, True):
        said = answer_json(answered(text), identifying=identifying)
        VALIDATOR.validate({"p620": json.loads(json.dumps(said, allow_nan=False))})
    assert set(read(text)[1]) == {key.name for key in KEYS}


@pytest.mark.parametrize("said", ["dmi=\x80", "dmi=\ud800", "secure_boot=ü", "dmi=A", "dmi=A\0B="])
def test_bytes_that_are_none_are_unknown(said: str) -> None:
    """A file of bytes that is not base64, in whatever way, is one that could not be read."""
    check(f"{said}\n{ANSWER}")


@given(st.data())
def test_broken_lines_never_break_the_json(data: st.DataObject) -> None:
    """Lines that are cut, garbled, doubled or dropped give facts, or unknown ones."""
    lines = list(LINES)
    for _ in range(data.draw(st.integers(1, 12))):
        at = data.draw(st.integers(0, len(lines) - 1))
        head, mark, value = lines[at].partition(data.draw(st.sampled_from(["=", ":", "/", " "])))
        new = data.draw(
            st.sampled_from([head, value, lines[at] * 2, head + mark, mark + value])
            | ODD.map(lambda odd, head=head, mark=mark: head + mark + odd)  # type: ignore[misc]
            | ODD
        )
        lines[at : at + data.draw(st.integers(0, 2))] = [new]
    check("\n".join(lines))


@given(st.text())
def test_any_text_at_all_is_an_answer_that_says_little(text: str) -> None:
    """An answer that is not one gives only unknown facts, each with a reason."""
    check(text)
    for key, fact in read(text)[1].items():
        assert fact.source
        assert fact.value is None or key.startswith("capabilities")


@given(st.binary(max_size=600))
def test_any_table_of_smbios_is_read_to_where_it_makes_sense(table: bytes) -> None:
    """A table of any bytes never breaks the facts of memory and machine."""
    check(f"dmi={base64.b64encode(table).decode()}\nroot=yes\n")


PROGRAMS = ("lscpu", "lsblk", "virt", "nix", "analyze", "active", "chrony", "smart.sda")


@pytest.mark.parametrize("said", ["", "{", "Segmentation fault", "\x1b]0;\x07", "no such option"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_what_a_program_says_otherwise_is_unknown(program: str, said: str) -> None:
    """A program whose answer is not understood leaves its facts unknown, and no others."""
    text = "\n".join(line for line in LINES if not line.startswith(f"{program}="))
    check(f"{text}\n{program}={said}")
    found = read(f"{text}\n{program}={said}")[1]
    assert found["memory.installed"].value == 1536 << 20
    assert found["disk.largest"].value == 30 << 30
    assert found["boot.time"].value is None


@pytest.mark.parametrize("program", ["lscpu", "lsblk", "systemd-detect-virt", "smartctl"])
def test_a_program_that_is_not_there_is_named(program: str) -> None:
    """Where a program is missing, what follows from it alone is unknown, and why is said."""
    short = {"systemd-detect-virt": "virt", "smartctl": "smart.sda"}.get(program, program)
    lines = [line for line in LINES if not line.startswith(f"{short}=")]
    check("\n".join((*lines, f"missing={program}")))


def test_without_sys_all_of_it_is_unknown() -> None:
    """A host without /sys says what it can; the rest is unknown, and says that there is no /sys."""
    lines = [line for line in LINES if "/sys/" not in line and not line.startswith("sysfs.")]
    check("\n".join(lines))
    found = read("\n".join(lines))[1]
    for key in ("disks", "disk.largest", "gpus", "nics", "iommu.groups", "tpm", "cpu.threads"):
        assert found[key].value is None
        assert "/sys" in found[key].source
    assert found["cpu.model"].value == "AMD EPYC Processor"


def test_texts_that_are_kept_are_short_and_printable() -> None:
    """A model's name of a million characters, or of escapes, is kept as so much plain text."""
    long = "\x1b[31m" + "x" * 1_000_000
    text = ANSWER.replace("model name\t: AMD EPYC Processor", f"model name\t: {long}")
    model = read(text)[1]["cpu.model"].value
    assert model.isprintable()
    assert len(model) <= 200


def test_many_links_hide_no_disk_and_no_network_device() -> None:
    """However many names disks have below ``/dev/disk/by-id``, all disks and networks are seen."""
    names = [f"link=/dev/disk/by-id/wwn-{number} -> ../../sda" for number in range(2000)]
    plain, crowded = read(ANSWER)[1], read("\n".join([*names, *LINES]))[1]
    for key in ("disk.largest", "nics"):
        assert plain[key].value
        assert crowded[key] == plain[key]
    assert len(crowded["disks"].value) == len(plain["disks"].value)


def test_names_that_tell_the_machine_are_not_shown() -> None:
    """A MAC in a device's name, and a serial or UUID by which it is mounted, stay local."""
    lines = [
        "link=/sys/class/net/enx001122334455 -> ../../devices/usb1/net/enx001122334455",
        "link=/sys/class/net/wlx66778899aabb -> ../../devices/usb2/net/wlx66778899aabb",
        "/sys/class/net/enx001122334455/address:00:11:22:33:44:55",
        "/proc/self/mounts:/dev/disk/by-id/ata-SN12345-part1 /a ext4 rw 0 0",
        "/proc/self/mounts:/dev/disk/by-uuid/ABCD-1234 /boot vfat rw 0 0",
    ]
    text = json.dumps(answer_json(answered("\n".join([*lines, *LINES])), identifying=False))
    assert "enx\\u2026" in text
    assert "wlx\\u2026" in text
    assert "/dev/disk/by-uuid/\\u2026" in text
    for own in ("001122334455", "66778899aabb", "SN12345", "ABCD-1234"):
        assert own not in text
