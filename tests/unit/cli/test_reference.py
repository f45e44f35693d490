"""``docs/commands.md`` is made from the program: ``python -m tests.reference`` writes it."""

from __future__ import annotations

from pathlib import Path

from tests.reference import PAGE, reference

ROOT = Path(__file__).parents[3]


def test_the_reference_is_what_the_program_says() -> None:
    """A command or option that changes without the page of commands is found here."""
    assert (ROOT / PAGE).read_text() == reference(), "run: python -m tests.reference"


def test_the_reference_has_each_group_and_its_commands() -> None:
    """The page is not right because it is empty: the commands that people type are headings."""
    page = reference()
    for command in ("deploy", "run resume", "pending deliver", "host lock break", "secrets rekey"):
        assert f"\n### `orchestrator {command}" in page
    assert "--max-failures" in page
