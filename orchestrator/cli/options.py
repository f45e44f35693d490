"""Options that commands share, as decorators."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem
from msgspec import Struct

from orchestrator.cli.group import inherited
from orchestrator.cli.lazy import lazily
from orchestrator.core.checks import Check
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.run import Reboot
from orchestrator.core.units import parse_duration

with lazily():
    from orchestrator.cli import console
    from orchestrator.inventory import look, root, select


F = TypeVar("F", bound=Callable[..., Any])


class Target(Struct, frozen=True):
    """Which fleet, and how it is reached.

    Attributes:
        fleet: The fleet's folder as typed; ``None`` is the nearest one.
        frozen: A stale ``inventory/fleet.json`` is an error.
        lab: Whether an active lab stands for the fleet's hosts.
        selectors: The hosts that the command names; none are all.
        this_machine: Whether the command names the machine one sits on.
        ask_sudo_password: Ask for the password that sudo wants on those hosts.
        sudo_password_for: Selectors of hosts; for each a password is asked for.
        dry: Nothing is written: a stale ``inventory/fleet.json`` stays.
    """

    fleet: Path | None = None
    frozen: bool = False
    lab: bool = True
    selectors: tuple[str, ...] = ()
    this_machine: bool = False
    ask_sudo_password: bool = False
    sudo_password_for: tuple[str, ...] = ()
    dry: bool = False


_GROUPS = {
    "What": "goal dry_run plan_builds layout specialisation emergency force no_cache this_machine",
    "Checks": "no_verify skip_preflight despite_hold check_caches",
    "Hosts": "unreachable reboot",
    "Rollout": "canary batch pause budget when_spent all_at_once one_by_one",
    "Building and copying": "all_must_build fast build_on copy",
}
_OTHERS = "Fleet, passwords, output"


class GroupedCommand(click.Command):
    """A command of many options, which ``--help`` lists by what they are for."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them, a group after the other."""
        group_of = {name: group for group, names in _GROUPS.items() for name in names.split()}
        found: dict[str, list[tuple[str, str]]] = {group: [] for group in (*_GROUPS, _OTHERS)}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                found[group_of.get(param.name or "", _OTHERS)].append(record)
        for group, records in found.items():
            if records:
                with formatter.section(group):
                    formatter.write_dl(records)


def fleet_option(command: F) -> F:
    """``--fleet DIR``: the folder that has ``inventory/``."""
    option = click.option(
        "--fleet",
        type=click.Path(file_okay=False, path_type=Path),
        metavar="DIR",
        callback=inherited,
        help="The fleet's folder (default: nearest above).",
    )
    return option(command)


def fleet_options(command: F) -> F:
    """The options that name a fleet, given as one ``target``."""

    @functools.wraps(command)
    def with_target(
        *args: Any, fleet: Path | None, frozen: bool, no_lab: bool, **kwargs: Any
    ) -> Any:
        # What `target_options` adds, where it stands above this.
        passwords = {name: kwargs.pop(name) for name in _PASSWORDS if name in kwargs}
        target = Target(
            fleet,
            frozen,
            not no_lab,
            selectors=(kwargs["host"],) if "host" in kwargs else kwargs.get("selectors", ()),
            this_machine=kwargs.get("this_machine", False),
            **passwords,
        )
        return command(*args, target=target, **kwargs)

    options = (
        fleet_option,
        click.option("--frozen", is_flag=True, help="A stale inventory/fleet.json is an error."),
        click.option("--no-lab", is_flag=True, help="The real hosts, although a lab is up."),
    )
    return functools.reduce(lambda decorated, option: option(decorated), options, with_target)  # type: ignore[return-value]


_PASSWORDS = ("ask_sudo_password", "sudo_password_for")


def target_options(command: F) -> F:
    """The options that name a fleet and the way to its hosts, given as one ``target``."""
    options = (
        click.option(
            "--ask-sudo-password",
            is_flag=True,
            help="Ask for the sudo password of these hosts.",
        ),
        click.option(
            "--sudo-password-for",
            multiple=True,
            metavar="SELECTOR",
            help="Ask for one of their own; repeatable.",
        ),
    )
    return functools.reduce(
        lambda decorated, option: option(decorated), options, fleet_options(command)
    )


def json_option(command: F) -> F:
    """``--json``: for scripts."""
    option = click.option(
        "--json", "as_json", is_flag=True, callback=inherited, help="JSON on standard output."
    )
    return option(command)


def json_done_option(command: F) -> F:
    """``--json`` of a command that does one thing: what it did, or the error that ended it."""

    @functools.wraps(command)
    def with_error(*args: Any, as_json: bool, **kwargs: Any) -> Any:
        with console.errors_as_json(as_json):
            return command(*args, as_json=as_json, **kwargs)

    return json_option(with_error)  # type: ignore[return-value]


def verbose_option(command: F) -> F:
    """``--verbose``: log lines too."""
    option = click.option(
        "-v", "--verbose", is_flag=True, callback=inherited, help="Show log lines too."
    )
    return option(command)


def despite_hold_option(command: F) -> F:
    """``--override-hold ID``: deploy a host that a person holds."""
    option = click.option(
        "--override-hold", "despite_hold", metavar="ID", help="Go past the hold with this id, once."
    )
    return option(command)


def skip_preflight_option(command: F) -> F:
    """``--skip-preflight CHECK``, as often as wanted, given as one tuple ``skip_preflight``."""
    option = click.option(
        "--skip-preflight",
        multiple=True,
        type=click.Choice([check.value for check in Check]),
        metavar="CHECK",
        help="Go past this check; recorded, repeatable.",
    )
    return option(command)


def reboot_option(command: F) -> F:
    """``--reboot [if-needed|always]``, given as one ``reboot``."""
    option = click.option(
        "--reboot",
        is_flag=False,
        flag_value=Reboot.IF_NEEDED.value,
        default=Reboot.NEVER.value,
        metavar="[=if-needed|always]",
        callback=_reboot,
        help="Reboot afterwards: if needed, or always.",
    )
    return option(command)


def _reboot(_: click.Context, __: click.Parameter, text: str) -> Reboot:
    try:
        return Reboot(text)
    except ValueError:
        # Alone it takes the next word for its value.
        raise click.BadParameter(
            f"{text!r} is neither if-needed nor always; --reboot alone comes last, "
            f"or as --reboot=if-needed"
        ) from None


def selectors_argument(required: bool = False, behind: str = "") -> Callable[[F], F]:
    """``[SELECTOR]…``: names, globs and expressions; completed from the inventory.

    Args:
        required: Whether there must be one.
        behind: What else the usage shows after them.
    """
    return click.argument(
        "selectors",
        nargs=-1,
        required=required,
        metavar=("SELECTOR..." if required else "[SELECTOR]...") + behind,
        shell_complete=_complete,
    )


def host_argument(command: F) -> F:
    """``HOST``: one host's name; completed from the inventory."""
    return click.argument("host", metavar="HOST", shell_complete=_complete)(command)


def _complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    try:
        fleet = look.fleet(root.find_root(Path.cwd(), context.params.get("fleet")))
    except (OrchestratorError, OSError):
        return []
    return [CompletionItem(word) for word in select.complete(fleet, incomplete)]


def duration(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    """Read an option's duration, such as ``30s`` or ``5m``, as seconds."""
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
