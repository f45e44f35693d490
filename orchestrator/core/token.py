"""What names a host's share of a run, on this machine and there."""

from __future__ import annotations

from orchestrator.core.host import is_host_name

BACK = "-back"
"""Ends the name of a run where it takes back what it deployed."""


def token_of(run: str, host: str, nonce: str) -> str:
    """Name a host's share of a run.

    Args:
        run: Names the run; no two runs from any machine share it, and it has no dot.
        host: The host.
        nonce: What no other host can guess: a machine that has the token is the one that was given
            it.
    """
    return f"{run}.{host}.{nonce}"


def host_of(token: str) -> str:
    """The host that a token names; empty where it names none: such were written once."""
    host = [*token.split("."), ""][1]
    return host if is_host_name(host) else ""


def run_of(token: str) -> str:
    """What names the run, on its way forth and back."""
    run, _, _ = token.partition(".")
    return run.removesuffix(BACK)
