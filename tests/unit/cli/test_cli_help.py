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


@pytest.mark.parametrize("command", ["deploy", "plan"])
def test_help_fits_on_a_screen(command: str) -> None:
    """Fifty lines of eighty columns, by what options are for; none is left out."""
    lines = CliRunner().invoke(orchestrator, [command, "--help"]).output.splitlines()
    assert len(lines) <= 50
    assert max(map(len, lines)) <= 80
    groups = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert groups[0] == "What:"
    assert len(groups) == 6
    found = orchestrator.get_command(click.Context(orchestrator), command)
    assert found is not None
    for param in found.params:
        if isinstance(param, click.Option) and not param.hidden:
            assert any(param.opts[-1] in line for line in lines), param.opts
