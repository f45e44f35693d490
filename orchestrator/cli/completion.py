"""``completion``: the script that a shell sources."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion of SHELL. In bash: eval "$(orchestrator completion bash)"."""
    from orchestrator.cli.main import orchestrator

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(orchestrator, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE").source())
