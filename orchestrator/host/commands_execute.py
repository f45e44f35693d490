"""``host exec`` and ``host ssh``: a person's own commands, and a terminal."""

from __future__ import annotations

import contextlib
import shlex
import signal
from collections.abc import Iterator
from typing import Any

import click

from orchestrator.cli.group import is_quiet
from orchestrator.cli.lazy import lazily
from orchestrator.cli.options import (
    Target,
    duration,
    host_argument,
    json_option,
    selectors_argument,
    target_options,
)
from orchestrator.core.errors import StepError, UsageError

with lazily():
    from orchestrator.cli import console, opening
    from orchestrator.host import draw_execute
    from orchestrator.host import execute as host_execute
    from orchestrator.inventory import select
    from orchestrator.render import report
    from orchestrator.ssh import runner


_COMMAND = "orchestrator.command"
_CONNECTION = 255
"""As ssh(1): its own failures are told from the command's by this exit code."""


class CommandBehind(click.Command):
    """A command that takes another one behind ``--``, word for word: none of it is its own."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set aside what stands behind the first ``--``."""
        own, behind = args, []
        if "--" in args:
            at = args.index("--")
            own, behind = args[:at], args[at + 1 :]
        ctx.meta[_COMMAND] = tuple(behind)
        return super().parse_args(ctx, own)


def _behind() -> tuple[str, ...]:
    found: tuple[str, ...] = click.get_current_context().meta[_COMMAND]
    return found


def sudo_option(command: Any) -> Any:
    """``--sudo``: as root."""
    text = "Run it as root, through sudo where the login is another user."
    return click.option("--sudo", is_flag=True, help=text)(command)


@click.command("exec", cls=CommandBehind)
@selectors_argument(required=True, behind=" -- COMMAND...")
@sudo_option
@click.option("--timeout", callback=duration, metavar="TIME", help="For each host, such as 30s.")
@click.option(
    "--jobs", type=click.IntRange(1, 256), default=32, show_default=True, help="Hosts at a time."
)
@target_options
@json_option
def exec_(
    selectors: tuple[str, ...],
    sudo: bool,
    timeout: float | None,
    jobs: int,
    target: Target,
    as_json: bool,
) -> int:
    """Run COMMAND on hosts, at the same time. Exit 1 unless it succeeds on all of them.

    Each argument arrives as it is; no shell reads them. For a shell: sh -c '...'. The command is
    given no input. With --json: one object a host, a line each, as soon as its command ended. For
    example: orchestrator host exec tag:web -- systemctl status nginx
    """
    argv = _behind()
    if not argv:
        raise UsageError(
            "which command? It stands behind --",
            hint=f"orchestrator host exec {shlex.join(selectors)} -- systemctl --failed",
        )
    setup = opening.open_setup(target)
    hosts = select.select(setup.fleet, selectors)
    results, words = console.results(), console.words()
    output: host_execute.ExecOutput = draw_execute.JsonLines(results, words)
    if not as_json:
        output = draw_execute.LiveLines([host.name for host in hosts], results, words)
    request = host_execute.ExecRequest(argv, sudo, timeout, jobs)
    with _signals_as_keys():
        done, interrupted = host_execute.execute(setup, hosts, request, output)
    draw_execute.draw_summary(done, words, counts=not is_quiet())
    if interrupted:
        return 130
    return int(any(one.status is not host_execute.ExecStatus.SUCCEEDED for one in done))


@click.command(cls=CommandBehind)
@host_argument
@click.argument("rest", nargs=-1, metavar="[-- COMMAND...]")
@sudo_option
@target_options
def ssh(host: str, rest: tuple[str, ...], sudo: bool, target: Target) -> int:
    """Log in to HOST by the way that deployments take, or run COMMAND there.

    In a terminal the host has one, too: its size follows, each key is passed on, and `~.` at the
    start of a line leaves a host that hangs. Else the streams are passed on as they are. Each
    argument of COMMAND arrives as it is; for a shell: sh -c '...'.

    Exit code: the command's; 128 and the number of the signal that ended it; 255 where the host
    was not reached, or the connection was lost.
    """
    argv = _behind()
    if rest:
        by_hand = f"orchestrator host ssh {shlex.quote(host)} -- {shlex.join((*rest, *argv))}"
        raise UsageError("the command stands behind --", hint=by_hand)
    setup = opening.open_setup(target)
    found = opening.one_host(setup.fleet, host)
    try:
        with _signals_as_keys():
            code = host_execute.log_in(setup, found, argv, root=sudo)
    except runner.StoppedError:
        return 130
    except BrokenPipeError:  # who read its output is gone
        return 128 + signal.SIGPIPE
    except StepError as error:
        report.draw_step_error(found.name, error, console.words())
        return _CONNECTION
    return 128 - code if code < 0 else code


@contextlib.contextmanager
def _signals_as_keys() -> Iterator[None]:
    """Have TERM and HUP stop what Ctrl-C does."""

    def stop(_: int, __: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
