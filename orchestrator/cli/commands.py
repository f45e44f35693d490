"""The commands: where each is, what ``--help`` says of it; imported when called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.exceptions import NoSuchCommand

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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names.

        Raises:
            NoSuchCommand: There is none; the nearest are named.
        """
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as error:
            raise NoSuchCommand(error.command_name, None, self._places, ctx) from None

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what they are for, without importing them."""
        width = max(map(len, self._places))
        for title, commands in self._sections.items():
            with formatter.section(title):
                lines = [(name.ljust(width), line) for name, (_, line) in commands.items()]
                formatter.write_dl(lines)


# Section → command → its module and object, and a line. Here and not in the modules, so that
# `--help` imports none of them.
SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Deploy": {
        "plan": ("deploy.commands.deploy:plan", "Say what a deployment would do; touch nothing."),
        "deploy": ("deploy.commands.deploy:deploy", "Bring hosts to what the fleet says."),
        "emergency-deploy": (
            "deploy.commands.deploy:emergency_deploy",
            "Deploy one host, without checks.",
        ),
        "build": ("deploy.commands.deploy:build", "Build hosts' systems, contact no host."),
        "ci": ("deploy.commands.deploy:ci", "Check everything and build every host; for CI."),
    },
    "Go back, or go on": {
        "rollback": ("deploy.commands.rollback:rollback", "Take hosts back to what they ran."),
        "generations": (
            "host.commands:generations",
            "Which systems a host may go back to.",
        ),
        "resume": ("rollout.commands:resume_run", "Go on with a run that was cut off."),
        "rollout": (
            "rollout.commands:rollout",
            "Pause, resume or abort a run that goes on.",
        ),
    },
    "Look": {
        "status": ("host.commands:status", "What runs where, and who deployed it."),
        "ping": ("host.commands:ping", "Which hosts answer."),
        "diff": ("deploy.commands.deploy:diff", "What a deployment would change on a host."),
        "history": ("runs.commands:history", "Past runs from this machine."),
        "why": ("changes.commands:why", "What a host's evaluation reads, and what changed."),
        "affected": ("changes.commands:affected", "Which hosts the fleet's changes touch."),
    },
    "Keep others away": {
        "lock": ("host.commands:lock", "Who is at work on which host; take a lock away."),
        "hold": ("host.commands:hold", "Keep everybody from deploying hosts."),
        "release": ("host.commands:release", "Lift the holds of hosts."),
    },
    "Hosts that are away": {
        "pending": ("offline.commands:pending", "What waits for hosts that were absent."),
        "catch-up": (
            "offline.commands:catch_up",
            "Deliver what waits, where hosts answer.",
        ),
        "watch": ("offline.commands:watch", "Deliver what waits as soon as hosts answer."),
    },
    "The fleet's files": {
        "inventory": ("inventory.commands:inventory", "Show and check the inventory."),
        "validate": (
            "fleet.commands:validate",
            "Check inventory, syntax, evaluation, secrets.",
        ),
        "check-syntax": ("fleet.commands:check_syntax", "Parse every Nix file."),
        "format": ("fleet.commands:format_files", "Format every Nix file."),
        "update": (
            "fleet.commands:update",
            "Move the flake's pins; commit what evaluates.",
        ),
        "learn": ("changes.commands:learn", "Find out what hosts' evaluations read."),
    },
    "Secrets": {
        "secrets": (
            "secrets.commands.group:secrets",
            "Prove and manage the secrets that hosts decrypt.",
        ),
    },
    "Hosts and this machine": {
        "host": ("host.commands:host", "Add a host; trust its key; log in."),
        "doctor": ("fleet.commands:doctor", "Whether this machine has what it takes."),
        "lab": ("lab.commands:lab", "Real hosts on this machine, for trying and tests."),
        "completion": ("cli.main:completion", "Print a shell's completion."),
    },
}

COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
"""Every command by its name."""
