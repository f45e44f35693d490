"""A group whose commands are imported when they are called, not to list them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

Sections = Mapping[str, Mapping[str, tuple[str, str]]]
"""Section → command → its module and object (``cli.deploy:deploy``), and a line for ``--help``."""


class LazyGroup(click.Group):
    """Commands, by sections.

    Args:
        sections: The commands, in the order in which people need them.
    """

    def __init__(self, *arguments: Any, sections: Sections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._sections = sections
        self._places = {
            name: place for section in sections.values() for name, (place, _) in section.items()
        }

    def list_commands(self, _: click.Context) -> list[str]:
        """In the order in which people need them."""
        return list(self._places)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in self._places:
            return None
        module, name = self._places[cmd_name].split(":")
        command = getattr(importlib.import_module(f"orchestrator.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for, without importing them."""
        width = max(map(len, self._places))
        for title, commands in self._sections.items():
            with formatter.section(title):
                lines = [(name.ljust(width), line) for name, (_, line) in commands.items()]
                formatter.write_dl(lines)
