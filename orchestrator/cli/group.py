"""Groups whose commands are imported when called; options that may stand anywhere on the line."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import click
from click.core import ParameterSource
from click.exceptions import NoSuchCommand, NoSuchOption
from msgspec import Struct

from orchestrator.cli.lazy import lazily

with lazily():
    from orchestrator.render import output


class Group(Struct, frozen=True):
    """A group of commands, as the table of commands has it.

    Attributes:
        line: What ``--help`` of the group above says of it.
        help: Its own help.
        commands: Its commands, in the order in which people need them.
    """

    line: str
    help: str
    commands: Mapping[str, Entry]


Entry: TypeAlias = tuple[str, str] | Group
"""A command's module and object (``deploy.commands.deploy:plan``) and its line; or a group."""

Sections: TypeAlias = Mapping[str, Mapping[str, Entry]]
"""Section of ``--help`` → command → what it is."""


def _typed(context: click.Context) -> dict[str, Any]:
    """What stands before the command's name, or counts for each: a parameter's name → its value.

    It is the root context's object: ``main`` has it still when the command has ended.
    """
    typed: dict[str, Any] = context.find_root().ensure_object(dict)
    return typed


def _keep(context: click.Context, param: click.Parameter, value: Any) -> Any:
    if param.name and context.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
        _typed(context)[param.name] = value
    return value


def inherited(context: click.Context, param: click.Parameter, value: Any) -> Any:
    """Take what was typed before the command's name, unless it was typed after it as well."""
    assert param.name is not None
    if context.get_parameter_source(param.name) is ParameterSource.COMMANDLINE:
        return value
    return _typed(context).get(param.name, value)


def is_quiet() -> bool:
    """Whether ``--quiet`` was typed."""
    context = click.get_current_context(silent=True)
    return bool(context and _typed(context).get("quiet"))


def say(text: str) -> None:
    """Print a notice for a person to standard error, unless ``--quiet`` was typed."""
    if not is_quiet():
        click.echo(output.clean(text), err=True)


def _no_colour(context: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        # Programs that are started, such as an editor, are to be without colours as well.
        os.environ["NO_COLOR"] = "1"
    _keep(context, param, value)


def _everywhere(*, hidden: bool) -> list[click.Parameter]:
    """The options that each command has."""
    common: dict[str, Any] = {"is_flag": True, "expose_value": False, "hidden": hidden}
    return [
        click.Option(
            ["-q", "--quiet"], help="Print no progress: results and errors only.",
            callback=_keep, **common,
        ),
        click.Option(
            ["--no-color"], help="Print without colours (also: NO_COLOR).",
            callback=_no_colour, **common,
        ),
        click.Option(
            ["--debug"], help="Print a traceback for expected errors, too.",
            callback=_keep, **common,
        ),
    ]  # fmt: skip


def _before() -> list[click.Parameter]:
    """The options of commands that may stand before the command's name as well."""
    common: dict[str, Any] = {"expose_value": False, "callback": _keep, "hidden": True}
    return [
        click.Option(["--fleet"], type=click.Path(file_okay=False, path_type=Path), **common),
        click.Option(["--json", "as_json"], is_flag=True, **common),
        click.Option(["-v", "--verbose"], is_flag=True, **common),
    ]


class LazyGroup(click.Group):
    """Commands, by sections.

    Args:
        sections: The commands, in the order in which people need them.
        renamed: A command's or an option's former name → what to type today.
    """

    def __init__(
        self, *arguments: Any, sections: Sections, renamed: Mapping[str, str], **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self._sections = sections
        self._renamed = renamed
        self._entries = {name: it for section in sections.values() for name, it in section.items()}
        self.params += [*_before(), *_everywhere(hidden=True)]

    def list_commands(self, _: click.Context) -> list[str]:
        """In the order in which people need them."""
        return list(self._entries)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        match self._entries.get(cmd_name):
            case None:
                return None
            case Group(_, text, commands):
                below = {"Commands": commands}
                return LazyGroup(cmd_name, sections=below, renamed=self._renamed, help=text)
            case module_and_name, _:
                module, name = module_and_name.split(":")
        command = getattr(importlib.import_module(f"orchestrator.{module}"), name)
        assert isinstance(command, click.Command)
        known = {param.name for param in command.params}
        command.params += [one for one in _everywhere(hidden=True) if one.name not in known]
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names.

        Raises:
            NoSuchCommand: There is none; the nearest are named.
            UsageError: It has another name today, or what stands before it is no option of it.
        """
        try:
            found = super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            if (old := self._former_name(ctx, args)) is not None:
                text = f"No such command '{old}'; it is 'orchestrator {self._renamed[old]}' now."
                raise click.UsageError(text, ctx) from None
            raise NoSuchCommand(error.command_name, None, self._entries, ctx) from None
        name, command, _ = found
        if command is not None and not isinstance(command, click.Group):
            known = {param.name for param in command.params}
            for typed in _typed(ctx).keys() - known:
                option = {"as_json": "--json"}.get(typed, f"--{typed}")
                raise click.UsageError(f"{name} has no option {option}", ctx)
        return found

    def _former_name(self, context: click.Context, args: Sequence[str]) -> str | None:
        """Find what was typed among former names: with the word after it, else by itself."""
        above = [] if context.parent is None else [self.name or ""]
        words = [*above, *(word for word in args if not word.startswith("-"))]
        names = (" ".join(words[: len(above) + count]) for count in (2, 1))
        return next((name for name in names if name in self._renamed), None)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command.

        Raises:
            UsageError: An option has another name today.
        """
        try:
            return super().invoke(ctx)
        except NoSuchOption as error:
            new, command = self._renamed.get(error.option_name), error.ctx and error.ctx.command
            known = {name for param in command.params for name in param.opts} if command else set()
            if new is None or (new.startswith("-") and new not in known):
                raise
            typed = new if new.startswith("-") else f"orchestrator {new}"
            text = f"No such option '{error.option_name}'; it is '{typed}' now."
            raise click.UsageError(text, error.ctx) from None

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for, without importing them."""
        width = max(map(len, self._entries))
        for title, commands in self._sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name.ljust(width), _line(it)) for name, it in commands.items()]
                )


def _line(entry: Entry) -> str:
    return entry.line if isinstance(entry, Group) else entry[1]
