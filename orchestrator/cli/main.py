"""The command ``orchestrator``: the one place where an error becomes text and an exit code."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence

import click
from click.shell_completion import get_completion_class

from orchestrator.cli.commands import SECTIONS, LazyGroup
from orchestrator.core.errors import OrchestratorError

HELP = """Declarative deployments for NixOS fleets.

\b
  orchestrator plan               what would change, and why
  orchestrator deploy             every host, at the same time
  orchestrator deploy p620        one host; "unchanged" where there is nothing to do
  orchestrator deploy 'tag:portable and not razer'

Exit codes: 0 every host is at its target, 1 a host failed or was rolled back, 2 usage or
inventory error, 3 hosts deferred, 4 a check refused before anything changed, 130 interrupted.
"""


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
        from orchestrator.render.output import Output
        from orchestrator.render.tables import draw_error

        draw_error(error, Output.of(sys.stderr, os.environ))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion of SHELL. In bash: eval "$(orchestrator completion bash)"."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(orchestrator, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE").source())
