"""Selectors that name a fact: decided by what is remembered of hosts; none is asked for it.

``inventory/select.py`` loads this where a selector has ``fact:``, and never else.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
from collections.abc import Callable, Sequence

from orchestrator.core.facts import Facts
from orchestrator.core.host import Fleet, Host
from orchestrator.core.units import listing
from orchestrator.facts import cache
from orchestrator.facts.plan import conditions
from orchestrator.facts.plan.overrides import effective
from orchestrator.host.setup import state_folder
from orchestrator.render.output import Output


def check(text: str) -> None:
    """Refuse what is no condition.

    Raises:
        ValueError: It is none; the message says what is expected.
    """
    conditions.parse(text)


def holds(fleet: Fleet) -> Callable[[str, Host], bool | None]:
    """Give what decides conditions for a fleet's hosts: ``None`` where that is not known."""
    folder = state_folder(fleet)

    @functools.cache
    def of(name: str) -> Facts:
        host = fleet.hosts[name]
        found = (cache.known_of(place, host) for place in cache.places(folder))
        return effective(next(filter(None, found), None), host.hardware)

    return lambda text, host: conditions.parse(text).holds(of(host.name))


_MOST_COMPLETED = 200
"""Of so many hosts the facts are read while somebody waits at a shell."""


def complete(fleet: Fleet, text: str) -> list[str]:
    """What a condition that begins so could become: names, then what is known of hosts."""
    name, equals, _ = text.partition("=")
    if not equals:
        return [f"{one}=" for one in conditions.names()]
    place, _ = cache.places(state_folder(fleet))
    known = (
        effective(cache.known_of(place, host), host.hardware)
        for host in itertools.islice(fleet.hosts.values(), _MOST_COMPLETED)
    )
    return [f"{name}={value}" for value in conditions.values(name, known)]


def tell_unknown(hosts: Sequence[str]) -> str:
    """Say once which hosts were left out because a fact of theirs is not known.

    Returns:
        What to do about it.
    """
    hint = f"ask them: orchestrator host facts {' '.join(hosts[:20])}"
    are = "are" if len(hosts) > 1 else "is"
    _say(f"warning: {listing(hosts, 20)} {are} left out: what is selected by is not known; {hint}")
    return hint


@functools.cache
def _say(text: str) -> None:
    """Write a line to standard error: a command may select more than once."""
    Output.of(sys.stderr, os.environ).line(text)
