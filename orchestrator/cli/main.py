"""The command ``orchestrator``: a group that imports a command only when it is called."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from orchestrator.errors import OrchestratorError

# Command → its module and object, and the line that `--help` shows. Here and not in the modules,
# so that `--help` imports none of them.
COMMANDS: dict[str, tuple[str, str]] = {
    "deploy": ("orchestrator.cli.deploy:deploy", "Bring hosts to what the fleet says."),
    "plan": ("orchestrator.cli.deploy:plan", "Say what a deployment would do; touch nothing."),
    "build": ("orchestrator.cli.deploy:build", "Build hosts' systems, contact no host."),
    "emergency-deploy": (
        "orchestrator.cli.deploy:emergency_deploy",
        "Deploy one host without checks and verification.",
    ),
    "rollback": ("orchestrator.cli.rollback:rollback", "Take hosts back to what they ran."),
    "rollout": ("orchestrator.cli.rollout:rollout", "Pause, resume or abort a run that goes on."),
    "resume": ("orchestrator.cli.rollout:resume_run", "Go on with a run that was cut off."),
    "generations": (
        "orchestrator.cli.generations:generations",
        "Which systems a host may go back to.",
    ),
    "status": ("orchestrator.cli.status:status", "What runs where, and who deployed it."),
    "ping": ("orchestrator.cli.status:ping", "Which hosts answer."),
    "diff": ("orchestrator.cli.diff:diff", "What a deployment would change on a host."),
    "lock": ("orchestrator.cli.lock:lock", "Who is at work on which host; take a lock away."),
    "hold": ("orchestrator.cli.lock:hold", "Keep everybody from deploying hosts."),
    "release": ("orchestrator.cli.lock:release", "Lift the holds of hosts."),
    "history": ("orchestrator.cli.history:history", "Past runs from this machine."),
    "pending": ("orchestrator.cli.pending:pending", "What waits for hosts that were absent."),
    "catch-up": ("orchestrator.cli.pending:catch_up", "Deliver what waits, where hosts answer."),
    "watch": ("orchestrator.cli.pending:watch", "Deliver what waits as soon as hosts answer."),
    "validate": ("orchestrator.cli.check:validate", "Check inventory, syntax and evaluation."),
    "check-syntax": ("orchestrator.cli.check:check_syntax", "Parse every Nix file."),
    "ci": ("orchestrator.cli.deploy:ci", "Check everything and build every host; for CI."),
    "format": ("orchestrator.cli.check:format_files", "Format every Nix file."),
    "update": ("orchestrator.cli.update:update", "Move the flake's pins; commit what evaluates."),
    "learn": ("orchestrator.cli.learn:learn", "Find out what hosts' evaluations read."),
    "why": ("orchestrator.cli.learn:why", "What a host's evaluation reads, and what changed."),
    "affected": ("orchestrator.cli.learn:affected", "Which hosts the fleet's changes touch."),
    "inventory": ("orchestrator.cli.inventory:inventory", "Show and check the inventory."),
    "host": ("orchestrator.cli.host:host", "Trust a host's key; log in."),
    "doctor": ("orchestrator.cli.doctor:doctor", "Whether this machine has what it takes."),
    "lab": ("orchestrator.cli.lab:lab", "Real hosts on this machine, for trying and tests."),
    "completion": ("orchestrator.cli.completion:completion", "Print a shell's completion."),
}

HELP = """Declarative deployments for NixOS fleets.

\b
  orchestrator plan               what would change, and why
  orchestrator deploy             every host, at the same time
  orchestrator deploy p620        one host; "unchanged" where there is nothing to do
  orchestrator deploy 'tag:portable and not razer'

Exit codes: 0 every host is at its target, 1 a host failed or was rolled back, 2 usage or
inventory error, 3 hosts deferred, 4 a check refused before anything changed, 130 interrupted.
"""


class Lazy(click.Group):
    """A group whose commands are imported when they are called, not to list them."""

    def list_commands(self, _: click.Context) -> list[str]:
        """In the order in which people need them."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name][0].split(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[1]) for name, entry in COMMANDS.items()])


@click.group(cls=Lazy, help=HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="orchestrator")
@click.option("--debug", is_flag=True, help="Show a traceback for an expected error, too.")
def orchestrator(debug: bool) -> None:
    """See ``HELP``."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line: the one boundary where an error becomes text and an exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Most of what a command makes, modules first of all, it keeps to its end: to look through it
    # again and again (the default is each 700 objects) was a tenth of a run over 1,000 hosts.
    gc.set_threshold(50_000, 20, 20)
    try:
        code = orchestrator.main(arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except OrchestratorError as error:
        if "--debug" in arguments:
            raise
        from orchestrator.render.errors import draw_error
        from orchestrator.render.output import Output

        draw_error(error, Output.of(sys.stderr, os.environ))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)
