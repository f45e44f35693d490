"""``secrets``: a group whose commands are imported when they are called."""

from __future__ import annotations

import importlib

import click

# Command → its module here and its object, and the line that `--help` shows.
COMMANDS: dict[str, tuple[str, str]] = {
    "create": ("manage:create", "Make a secret, in $EDITOR or from standard input."),
    "edit": ("manage:edit", "Change a secret, in $EDITOR or from standard input."),
    "show": ("manage:show", "Decrypt a secret to standard output."),
    "rekey": ("manage:rekey", "Encrypt secrets anew to whom secrets.nix names now."),
    "recover": ("manage:recover", "Bring an interrupted change to its end."),
    "status": ("look:status", "Each secret: who can read it, and what is wrong."),
    "recipients": ("look:recipients", "Each key that secrets are encrypted to."),
    "check": ("check:check", "Prove what can be proved, without a private key."),
    "explain": ("check:explain", "What a finding's id means, and how to cure it."),
}

HELP = """Prove and manage the secrets that hosts decrypt with agenix.

\b
  orchestrator secrets check                  what is wrong, and how to cure it
  orchestrator secrets explain REKEY-NEEDED   what an id means

Secrets are declared in secrets.nix, which is looked for in the fleet's folder and in its secrets/.
Where there is no fleet it is the nearest one in this folder or above; with --rules FILE, any.
"""


class LazySecrets(click.Group):
    """As the command itself: a command's module is imported when it is called."""

    def list_commands(self, _: click.Context) -> list[str]:
        """In the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command = getattr(importlib.import_module(f"orchestrator.cli.secrets.{module}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazySecrets, help=HELP)
def secrets() -> None:
    """See ``HELP``."""
