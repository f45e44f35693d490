"""``secrets``: a group whose commands are imported when they are called."""

from __future__ import annotations

import click

from orchestrator.cli.commands import LazyGroup

# Command → its module and object, and the line that `--help` shows.
COMMANDS: dict[str, tuple[str, str]] = {
    "create": (
        "secrets.commands.manage:create",
        "Make a secret, in $EDITOR or from standard input.",
    ),
    "edit": (
        "secrets.commands.manage:edit",
        "Change a secret, in $EDITOR or from standard input.",
    ),
    "show": ("secrets.commands.manage:show", "Decrypt a secret to standard output."),
    "rekey": (
        "secrets.commands.manage:rekey",
        "Encrypt secrets anew to whom secrets.nix names now.",
    ),
    "recover": (
        "secrets.commands.manage:recover",
        "Bring an interrupted change to its end.",
    ),
    "status": (
        "secrets.commands.check:status",
        "Each secret: who can read it, and what is wrong.",
    ),
    "recipients": (
        "secrets.commands.check:recipients",
        "Each key that secrets are encrypted to.",
    ),
    "check": (
        "secrets.commands.check:check",
        "Prove what can be proved, without a private key.",
    ),
    "explain": (
        "secrets.commands.check:explain",
        "What a finding's id means, and how to cure it.",
    ),
}

HELP = """Prove and manage the secrets that hosts decrypt with agenix.

\b
  orchestrator secrets check                  what is wrong, and how to cure it
  orchestrator secrets explain REKEY-NEEDED   what an id means

Secrets are declared in secrets.nix, which is looked for in the fleet's folder and in its secrets/.
Where there is no fleet it is the nearest one in this folder or above; with --rules FILE, any.
"""


@click.group(cls=LazyGroup, sections={"Commands": COMMANDS}, help=HELP)
def secrets() -> None:
    """See ``HELP``."""
