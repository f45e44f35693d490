"""Whether a host's risk is within its policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from orchestrator.core.risk import Acceptance, Risk, RiskChange, enumerated


@dataclass(frozen=True, slots=True)
class Within:
    """The risk is within the policy."""


@dataclass(frozen=True, slots=True)
class Tolerated:
    """It is not, and the deployment goes on all the same; ``text`` is why, for the history."""

    text: str


@dataclass(frozen=True, slots=True)
class Exceeded:
    """It is not; ``text`` is by what, and ``hint`` what to do."""

    text: str
    hint: str


Judgement = Within | Tolerated | Exceeded


@dataclass(frozen=True, slots=True)
class Policy:
    """What the inventory says of a host's risk.

    Attributes:
        most: How much it may be at.
        accepted: What is accepted for a while.
        said_at: Where ``most`` is said, as ``inventory/templates.yaml:12``.
        accepted_at: Where ``accepted`` is.
    """

    most: Risk
    accepted: Acceptance | None = None
    said_at: str = ""
    accepted_at: str = ""


def judge(host: str, change: RiskChange, policy: Policy, today: date) -> Judgement:
    """Hold a host's risk against its policy.

    What is less risk than what runs is tolerated, however much it is: to refuse it would keep the
    host at more.

    Args:
        host: The host.
        change: How the deployment would change its risk.
        policy: What the inventory says.
        today: By UTC.
    """
    if change.after <= policy.most:
        return Within()
    limit = f"max_risk: {policy.most.value}{_at(policy.said_at)}"
    accepted = policy.accepted
    if accepted is not None and change.after <= accepted.level and today <= accepted.until:
        until = f"until {accepted.until}{_at(policy.accepted_at)}"
        what = f"risk {change.after.value} is accepted {until}: {accepted.reason}"
        return Tolerated(f"{what} (more than {limit})")
    if _is_less(change):
        return Tolerated(f"{change}; that is more than {limit}, and less than what runs")
    text = f"risk {change.after.value} is more than {limit}: {_made_of(change)}"
    return Exceeded(text + _of_acceptance(policy, change, today), _hint(host, change, today))


def _at(place: str) -> str:
    return f" ({place})" if place else ""


def _is_less(change: RiskChange) -> bool:
    """Whether nothing comes that was not there, and something goes."""
    return change.before is not None and bool(change.lowered) and not change.raised


def _made_of(change: RiskChange) -> str:
    """The terms that raise it; where none does, it says what it is nevertheless."""
    declared = [f"feature {one.feature} is declared {one.risk.value}" for one in change.floors]
    words = [*declared, *(f"{one.what} ({one.weight})" for one in change.raised)]
    return (
        enumerated(words, change.more) if words else f"{change.points} points, as many as what runs"
    )


def _of_acceptance(policy: Policy, change: RiskChange, today: date) -> str:
    """Why what is accepted does not do."""
    accepted, place = policy.accepted, _at(policy.accepted_at)
    if accepted is None:
        return ""
    if today > accepted.until:
        return f"; its acceptance{place} expired on {accepted.until}"
    return f"; its acceptance{place} is of {accepted.level.value} only, not {change.after.value}"


def _hint(host: str, change: RiskChange, today: date) -> str:
    year = today.year + 1
    return (
        f"each term, and the option that says so: orchestrator risk {host}\n"
        f"to accept it for a while, at {host} in the inventory:\n"
        f"accept_risk: {{level: {change.after.value}, reason: …, until: {year}-01-31}}"
    )
