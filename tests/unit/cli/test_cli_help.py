"""``--help`` of every command is laid out as it was written."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from orchestrator.cli.main import orchestrator


def _commands(group: click.Group, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*words, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*words, name))


@pytest.mark.parametrize("words", list(_commands(orchestrator)), ids=" ".join)
def test_examples_stand_each_on_its_line(words: tuple[str, ...]) -> None:
    """Click's mark for that is a control character: as two characters it would be printed."""
    done = CliRunner().invoke(orchestrator, [*words, "--help"])
    assert done.exit_code == 0
    assert "\\b" not in done.output
