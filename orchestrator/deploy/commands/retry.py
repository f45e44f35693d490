"""``--retry-failed``: only those hosts that failed before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from orchestrator.core.run import DeployRequest

if TYPE_CHECKING:
    from orchestrator.host.setup import Setup

F = TypeVar("F", bound=Callable[..., Any])

_LAST = "last"


@dataclass(frozen=True, slots=True)
class RetryFailed:
    """Which run's failed hosts are wanted; ``None`` is the last one's."""

    run: int | None


def retry_failed_option(command: F) -> F:
    """``--retry-failed [=RUN]``, given as one ``retry_failed``."""
    option = click.option(
        "--retry-failed",
        is_flag=False,
        flag_value=_LAST,
        callback=_which,
        metavar="[=RUN]",
        help="Those hosts that failed, were rolled back or skipped in the last run, or in RUN.",
    )
    return option(command)


def only_failed(setup: Setup, request: DeployRequest, which: RetryFailed) -> DeployRequest:
    """The request for those hosts only; for none, where nothing failed. It is told.

    Raises:
        UsageError: There is no such run, it lives still, or it was no deployment of the fleet.
    """
    from orchestrator.rollout.again import failed_in

    if request.selectors:
        raise click.UsageError("--retry-failed says which hosts; leave the selectors out")
    number, failed = failed_in(setup, which.run)
    names = tuple(name for name in failed if name in setup.fleet.hosts)
    if gone := [name for name in failed if name not in names]:
        left_out = "left out, as the fleet does not have them any more"
        click.echo(f"run {number}: {left_out}: {', '.join(gone)}", err=True)
    if names:
        click.echo(f"run {number}: again {', '.join(names)}", err=True)
    elif not gone:
        click.echo(f"run {number}: nothing failed, nothing is to be done again", err=True)
    return replace(request, selectors=names)


def _which(_: click.Context, __: click.Parameter, text: str | None) -> RetryFailed | None:
    if text is None or text == _LAST:
        return RetryFailed(None) if text else None
    if not (text.isascii() and text.isdecimal()):
        # Alone it takes the next word for its value.
        raise click.BadParameter(f"{text!r} is no run's number; --retry-failed alone comes last")
    return RetryFailed(int(text))
