"""What is remembered of hosts, and what is believed of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.core.errors import StepError
from orchestrator.core.facts import Fact, Facts
from orchestrator.facts.cache import known, remember

FACTS = Facts("a" * 32, datetime(2026, 1, 2, tzinfo=UTC), {"cpu.threads": Fact(4, "/sys")})


def test_facts_are_known_as_they_were_remembered(tmp_path: Path) -> None:
    """Facts come back with machine-id, time and sources; only their owner may read the file."""
    remember(tmp_path, "p620", FACTS)
    assert known(tmp_path, "p620") == FACTS
    assert known(tmp_path, "p510") is None
    assert (tmp_path / "facts/p620.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"format": 1}',
        json.dumps({"format": 1, "facts": {"machine_id": "a", "at": "2026-01-02T00:00:00"}}),
        json.dumps({"format": 1, "facts": {"machine_id": "a", "at": "0001-01-02T00:00:00Z"}}),
        json.dumps({"format": 1, "facts": {"machine_id": 3, "at": "2026-01-02T00:00:00Z"}}),
    ],
)
def test_a_damaged_file_of_facts_says_nothing(tmp_path: Path, content: str) -> None:
    """A file of facts that is cut off, or of other types, is as if there were none."""
    (tmp_path / "facts").mkdir()
    (tmp_path / "facts/p620.json").write_text(content)
    assert known(tmp_path, "p620") is None
    remember(tmp_path, "p620", FACTS)
    assert known(tmp_path, "p620") == FACTS


def test_facts_of_a_newer_orchestrator_are_left(tmp_path: Path) -> None:
    """A file of a newer format is neither believed nor replaced, and that is said."""
    (tmp_path / "facts").mkdir()
    file = tmp_path / "facts/p620.json"
    file.write_text('{"format": 2, "others": []}')
    assert known(tmp_path, "p620") is None
    with pytest.raises(StepError, match="newer orchestrator"):
        remember(tmp_path, "p620", FACTS)
    assert file.read_text() == '{"format": 2, "others": []}'


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    """A link in place of a file of facts is not read, and is replaced, not followed."""
    outside = tmp_path / "outside.json"
    state = tmp_path / "state"
    remember(tmp_path, "elsewhere", FACTS)
    (tmp_path / "facts/elsewhere.json").rename(outside)
    (state / "facts").mkdir(parents=True)
    (state / "facts/p620.json").symlink_to(outside)
    assert known(state, "p620") is None
    remember(state, "p620", FACTS)
    assert not (state / "facts/p620.json").is_symlink()
