"""Why a host is not ours to change: who has it, since when, and how to go on."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.core.errors import RefusedError
from orchestrator.core.lock import Hold, Lock
from orchestrator.core.token import host_of
from orchestrator.deploy.work import HostWork
from orchestrator.host.lock import Answer, Told


def refusal(work: HostWork, told: Told, *, lost: bool = False) -> RefusedError:
    """Put a host's answer into words.

    Args:
        work: The host's share of the run.
        told: What stands there; not that all is well.
        lost: Whether the lock was ours before.
    """
    if told.answer is Answer.HELD and told.hold:
        return held_by(work, told.hold)
    if not lost:
        return locked_by(work, told.lock)
    if told.lock is None:
        message = "its lock is gone: somebody removed it, or another deployment came and went"
    else:
        message = f"its lock was taken away {told.lock.in_words(datetime.now(UTC))}"
    return RefusedError(message, hint="look at what it runs (orchestrator status), then deploy")


def held_by(work: HostWork, hold: Hold) -> RefusedError:
    """A person's hold stands."""
    name = work.host.name
    return RefusedError(
        f"held {hold.in_words(datetime.now(UTC))}",
        hint=(
            f"lift it: orchestrator release {name}; "
            f"a deployment that names it goes past it: --despite-hold {hold.id}"
        ),
    )


def locked_by(work: HostWork, other: Lock | None) -> RefusedError:
    """Another deployment's lock counts."""
    name = work.host.name
    whose = other.in_words(datetime.now(UTC)) if other else "by somebody"
    if other and host_of(other.token) not in ("", name):
        whose += f", as {host_of(other.token)}"
    left = f"{other.expires_in:.0f} s" if other else "its time"
    return RefusedError(
        f"another deployment is at it: locked {whose}",
        hint=(
            f"wait for its end; where its deployer is gone, the lock ends in {left}; "
            f"take it away: orchestrator lock steal {name}"
        ),
    )
