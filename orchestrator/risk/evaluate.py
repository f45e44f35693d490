"""A configuration's surface: evaluated once for each system, and kept."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from orchestrator.core.errors import StepError
from orchestrator.core.stored import DamagedError, decode, encode
from orchestrator.core.values import replace
from orchestrator.nix.configuration import Configuration, nix_string
from orchestrator.nix.verbs import NoNetworkError, OutOfMemoryError
from orchestrator.risk.model import Surface

T = TypeVar("T")

PARTS = tuple(name for name in Surface.__dataclass_fields__ if name != "failures")
"""What ``read.nix`` answers, part by part."""


async def evaluate(configuration: Configuration, specialisation: str = "") -> Surface:
    """Evaluate what of a host's configuration its risk is derived from.

    Args:
        configuration: The host's.
        specialisation: The one that the host is to run, where the system has it; empty for itself.

    Raises:
        StepError: Nothing of it evaluates.
    """
    failure = f"what the risk of {configuration.host} is derived from does not evaluate"
    whole = of_surface(specialisation)
    try:
        return parse(await configuration.ask(whole, failure))
    except (NoNetworkError, OutOfMemoryError):
        raise
    except StepError as error:
        return await _by_parts(whole, configuration, failure, error)


async def _by_parts(
    whole: str, configuration: Configuration, failure: str, first: StepError
) -> Surface:
    """Ask for each part by itself: Nix cannot catch every error, and one hides the others then.

    Raises:
        StepError: None of them evaluates; or one was not tried to its end, for want of network,
            memory or time: the next try may know it.
    """
    found = Surface()
    failures: dict[str, str] = {}
    for part in PARTS:
        try:
            said = await configuration.ask(
                f"config: {{ inherit ({whole} config) {part}; }}", failure
            )
            found = replace(found, **{part: getattr(parse(said), part)})
        except (NoNetworkError, OutOfMemoryError):
            raise
        except StepError as error:
            if configuration.left <= 0:
                raise
            failures[part] = error.message
    if len(failures) == len(PARTS):
        raise first
    return replace(found, failures=failures)


def of_surface(specialisation: str) -> str:
    """The function of Nix's that gives a configuration's surface, or a specialisation's of it."""
    return f"({_function()}) {nix_string(specialisation)}"


@functools.cache
def _function() -> str:
    return Path(__file__).with_name("read.nix").read_text()


def parse(said: bytes) -> Surface:
    """Read the answer; a part that is not what NixOS has is not known, and the others are.

    Raises:
        StepError: It is no answer at all.
    """
    try:
        parts = decode(dict[str, Any], said)
    except DamagedError as error:
        raise StepError(f"what its risk is derived from is not understood: {error}") from None
    kinds = get_type_hints(Surface)
    found: dict[str, Any] = {name: _part(kinds[name], parts.get(name)) for name in PARTS}
    return Surface(**found)


def _part(kind: type[T], said: object) -> T | None:
    found = _read(kind, said)
    if found is None and isinstance(said, dict) and get_origin(get_args(kind)[0]) is Mapping:
        # One entry that is otherwise must not hide the others.
        fit = {name: one for name, one in said.items() if _read(kind, {name: one}) is not None}
        found = _read(kind, {**dict.fromkeys(said), **fit})
    return found


def _read(kind: type[T], said: object) -> T | None:
    with contextlib.suppress(DamagedError):
        return decode(kind, encode(said))
    return None
