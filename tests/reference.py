"""The reference of commands, as the program's own help has it. It writes ``docs/commands.md``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from orchestrator.cli.commands import SECTIONS
from orchestrator.cli.main import END, HELP, orchestrator

PAGE = "docs/commands.md"

_HEAD = """# Commands

Each command, its arguments and options, as `--help` has them. This page is made from the program by
`python -m tests.reference`, and a test holds it to that. Examples are on the pages that the
[documentation](README.md) lists; what people type most has a [recipe](recipes.md).
"""


def reference() -> str:
    """Give the page's text."""
    # With its own settings: click remembers a command's help option from its first use.
    context = orchestrator.make_context("orchestrator", [], resilient_parsing=True)
    parts = [_HEAD, _block(HELP), _block(END)]
    for section, commands in SECTIONS.items():
        parts.append(f"## {section}\n")
        for name in commands:
            parts += _entries(context, orchestrator, name)
    return "\n".join(parts)


def _entries(parent: click.Context, group: click.Group, name: str) -> Iterator[str]:
    command = group.get_command(parent, name)
    assert command is not None, name
    context = click.Context(command, info_name=name, parent=parent)
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            yield from _entries(context, command, below)
        return
    arguments = [
        param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)
    ]
    yield f"### `{' '.join((context.command_path, *arguments))}`\n"
    yield _prose(command.help or "")
    records = [
        record
        for param in command.params
        if isinstance(param, click.Option) and (record := param.get_help_record(context))
    ]
    if records:
        rows = [f"| `{_cell(option)}` | {_cell(text)} |" for option, text in records]
        yield "\n".join(("| option | |", "|---|---|", *rows)) + "\n"


def _prose(text: str) -> str:
    """Help as Markdown: Click's mark (a backspace) stands before lines that stay as they are."""
    parts = re.split(r"\n\n", text.replace("\r", "").strip())
    return "\n\n".join(_paragraph(part) for part in parts) + "\n"


def _paragraph(part: str) -> str:
    if part.startswith("\b\n"):
        return _block(part).rstrip()
    return " ".join(line.strip() for line in part.splitlines()).replace("<", "\\<")


def _block(text: str) -> str:
    return "```text\n" + text.replace("\b\n", "").strip("\n") + "\n```\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    Path(__file__).parents[1].joinpath(PAGE).write_text(reference())
