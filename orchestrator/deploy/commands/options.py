"""The options of rollouts."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from orchestrator.cli.options import duration
from orchestrator.core.rollout import Amount, RolloutPolicy, WhenSpent

F = TypeVar("F", bound=Callable[..., Any])


def _amount(_: click.Context, __: click.Parameter, text: str | None) -> Amount | None:
    try:
        return None if text is None else Amount.parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _canary(_: click.Context, __: click.Parameter, text: str | None) -> Amount | str | None:
    if text is None or not re.fullmatch(r"\d+%?", text):
        return text
    return _amount(_, __, text)


_OPTIONS = (
    click.option(
        "--canary",
        metavar="N|P%|SELECTOR",
        callback=_canary,
        help="Who goes first, as a wave of their own.",
    ),
    click.option(
        "--batch", metavar="N|P%", callback=_amount, help="How many hosts at a time, then."
    ),
    click.option(
        "--pause", metavar="TIME", callback=duration, help="Between two waves, such as 10m."
    ),
    click.option(
        "--max-failures",
        "budget",
        metavar="N|P%",
        callback=_amount,
        help="Stop after so many failures (default: 1).",
    ),
    click.option(
        "--on-failure",
        "when_spent",
        type=click.Choice([what.value for what in WhenSpent]),
        metavar="ACTION",
        help="stop (default), roll-back-wave, roll-back-run.",
    ),
    click.option(
        "--no-waves",
        "all_at_once",
        is_flag=True,
        help="Ignore the rollout of the inventory.",
    ),
    click.option("--one-by-one", is_flag=True, help="One host after the other, whatever fails."),
)


def rollout_options(command: F) -> F:
    """``--canary``, ``--batch`` and so on, given as one ``rollout``."""

    @functools.wraps(command)
    def with_rollout(*args: Any, **kwargs: Any) -> Any:
        typed = {name: kwargs.pop(name) for name in ("canary", "batch", "pause", "budget")}
        when, at_once = kwargs.pop("when_spent"), kwargs.pop("all_at_once")
        policy = RolloutPolicy(
            **typed, when_spent=WhenSpent(when) if when else None, at_once=at_once or None
        )
        if kwargs.pop("one_by_one"):
            policy = _one_by_one(policy)
        if policy.at_once and (policy.canary or policy.batch or policy.pause):
            raise click.UsageError("--no-waves has no canary, no batches and no pause")
        return command(*args, rollout=policy, **kwargs)

    return functools.reduce(
        lambda decorated, option: option(decorated), reversed(_OPTIONS), with_rollout
    )  # type: ignore[return-value]


def _one_by_one(policy: RolloutPolicy) -> RolloutPolicy:
    """Waves of one, of which none that fails stops the next, unless a budget is typed."""
    if policy.batch is not None or policy.canary is not None:
        raise click.UsageError("--one-by-one is --batch 1; leave --batch and --canary out")
    whole = Amount(100, percent=True)
    one = RolloutPolicy(canary=Amount(1), batch=Amount(1), stages=())
    # All is said here: nothing of the fleet's own rollout holds.
    return one.over(policy).over(RolloutPolicy(pause=0.0, budget=whole))
