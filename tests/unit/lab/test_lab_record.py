"""What is written down of a lab comes back; what is damaged is a clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.lab.places import LabError
from orchestrator.lab.record import HostRecord, LabRecord, load

HOST = HostRecord(3, "0123456789abcdef0123456789abcdef", "ssh-ed25519 AAAA")
LAB = LabRecord(Path("/fleet"), Path("/sys/fs/cgroup/lab"), True, Path("/base"), {"p620": HOST})

BEFORE = {
    "fleet_root": "/fleet",
    "cgroup": "/sys/fs/cgroup/lab",
    "up": True,
    "base": "/base",
    "deployer": "10.77.0.1",
    "hosts": {
        "p620": {
            "address": "10.77.0.5",
            "number": 3,
            "machine_id": "0123456789abcdef0123456789abcdef",
            "host_key": "ssh-ed25519 AAAA",
        }
    },
}
"""As it was written when it said what follows from the rest, too."""


def test_a_lab_s_record_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    """Paths are paths and hosts are hosts; where nothing is written down there is no lab."""
    assert load(tmp_path / "lab.json") is None
    assert load(tmp_path / "none" / "lab.json") is None
    LAB.save(tmp_path / "lab.json")
    assert load(tmp_path / "lab.json") == LAB


def test_a_record_of_an_earlier_shape_is_read(tmp_path: Path) -> None:
    """A lab that is up when the program is updated can still be used and taken down."""
    (tmp_path / "lab.json").write_text(json.dumps(BEFORE, indent=2))
    assert load(tmp_path / "lab.json") == LAB


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps(BEFORE | {"up": "yes"}), "up: expected true or false, not a text"),
        (json.dumps(BEFORE | {"base": 7}), "base: expected a path"),
        (json.dumps({**BEFORE, "hosts": {"a": {}}}), r"hosts\[\.\.\.\]\.number is missing"),
        (json.dumps(BEFORE)[:30], "it is cut off"),
        ("[]", "expected a mapping, not a list"),
    ],
)
def test_a_damaged_record_says_what_is_wrong_and_what_to_do(
    tmp_path: Path, text: str, why: str
) -> None:
    """The file and the field are in the message, and how to begin again is in the hint."""
    (tmp_path / "lab.json").write_text(text)
    with pytest.raises(LabError, match=rf"{tmp_path}/lab\.json cannot be read: {why}") as caught:
        load(tmp_path / "lab.json")
    assert "lab down --purge" in str(caught.value.hint)


def test_a_record_that_cannot_be_opened_says_so_without_a_number(tmp_path: Path) -> None:
    """What the operating system says of the file is a sentence, and not Python's."""
    (tmp_path / "lab.json").mkdir()
    with pytest.raises(LabError, match=r"cannot be read: Is a directory$"):
        load(tmp_path / "lab.json")
