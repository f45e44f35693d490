"""What a host's configuration declares: evaluated once for each system, and kept."""

from __future__ import annotations

import functools
from pathlib import Path

from orchestrator.core.errors import StepError
from orchestrator.core.stored import DamagedError, decode
from orchestrator.nix.configuration import Configuration, nix_string
from orchestrator.security.model import Declared


async def evaluate(configuration: Configuration, specialisation: str = "") -> Declared:
    """Evaluate what of a host's configuration the host is held against.

    Args:
        configuration: The host's.
        specialisation: The one that it runs; empty for the system itself.

    Raises:
        StepError: It does not evaluate, or is not understood.
    """
    failure = f"what {configuration.host} declares does not evaluate"
    asked = f"({_function()}) {nix_string(specialisation)}"
    return parse(await configuration.ask(asked, failure))


@functools.cache
def _function() -> str:
    return Path(__file__).with_name("declared.nix").read_text()


def parse(said: bytes) -> Declared:
    """Read the answer.

    Raises:
        StepError: It is none.
    """
    try:
        return decode(Declared, said)
    except DamagedError as error:
        raise StepError(f"what is declared is not understood: {error}") from None
