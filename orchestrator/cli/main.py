"""The command ``orchestrator``: the one place where an error becomes text and an exit code."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Sequence

import click

from orchestrator.cli.commands import RENAMED, SECTIONS
from orchestrator.cli.group import LazyGroup
from orchestrator.cli.lazy import lazily
from orchestrator.core.errors import OrchestratorError

with lazily():
    from orchestrator.core import machine
    from orchestrator.render import output, report


HELP = """Declarative deployments for NixOS fleets.

\b
  orchestrator plan               what would change, and why
  orchestrator deploy             every host, at the same time
  orchestrator deploy p620        one host; "unchanged" where there is nothing to do
  orchestrator deploy 'tag:portable and not razer'

Exit codes: 0 every host is at its target, 1 a host failed or was rolled back, 2 usage or
inventory error, 3 hosts are pending, 4 a check refused before anything changed, 130 interrupted.
"""

END = """\b
Anywhere on the line:
  --fleet DIR      the fleet's folder (default: $ORCHESTRATOR_FLEET, else nearest above)
  --json           JSON on standard output, where a command has it
  -v               log lines too, where a command has them
  -q               results and errors only
  --no-color       no colours (also: $NO_COLOR)
  --debug          a traceback for expected errors, too

\b
Environment:
  ORCHESTRATOR_FLEET               the fleet's folder
  ORCHESTRATOR_LEARN=never         deployments do not learn what evaluations read
  ORCHESTRATOR_EVALUATION_MEMORY   bytes that an evaluation may take, such as 4G
  ORCHESTRATOR_CACHE, ORCHESTRATOR_LAB_HOME   where the lab keeps images, and hosts
  NO_COLOR, VISUAL, EDITOR, XDG_STATE_HOME, XDG_CACHE_HOME, SSH_AUTH_SOCK
"""


@click.group(
    cls=LazyGroup,
    sections=SECTIONS,
    renamed=RENAMED,
    help=HELP,
    epilog=END,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="orchestrator")
def orchestrator() -> None:
    """See ``HELP``."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line: the one boundary where an error becomes text and an exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    typed: dict[str, object] = {}
    try:
        code = orchestrator.main(arguments, standalone_mode=False, obj=typed)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.exceptions.Abort:
        sys.exit(130)
    except OrchestratorError as error:
        if "debug" in typed:
            traceback.print_exception(error)
        report.draw_error(error, output.Output.of(sys.stderr, os.environ))
        sys.exit(error.exit_code)
    except OSError as error:
        if (said := _of_the_surroundings(error)) is None or "debug" in typed:
            raise
        click.echo(f"error: {said}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(code if isinstance(code, int) else 0)


def _of_the_surroundings(error: OSError) -> str | None:
    """Say what is wrong around us: an output that is full, a folder that is gone; else ``None``."""
    if error.filename is None and error.errno in (errno.ENOSPC, errno.EIO, errno.EPIPE):
        # What is left to be written would fail at exit once more.
        output.silence(sys.stdout)
        return f"cannot write standard output: {error.strerror}"
    if error.filename is None and error.errno == errno.ENOENT and not _has_folder():
        return "the working directory does not exist any more; cd to another one"
    if (hint := machine.few_files(error)) is not None:
        return f"too many open files: {hint}"
    return None


def _has_folder() -> bool:
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return False
    return True


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion of SHELL. In bash: eval "$(orchestrator completion bash)"."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(orchestrator, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE").source())
