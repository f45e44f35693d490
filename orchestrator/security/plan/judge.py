"""All that is found on a host, since when, and what of it is accepted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from fnmatch import fnmatchcase

from orchestrator.core.risk import AcceptedFinding
from orchestrator.core.values import replace
from orchestrator.security.model import Base, Declared, Finding, Kind, Severity
from orchestrator.security.plan import accounts, files, processes, sockets, units
from orchestrator.security.plan.answer import Seen

_JUDGES: tuple[Callable[[Seen, Base, Declared], Iterator[Finding]], ...] = (
    sockets.sockets,
    processes.processes,
    files.rights,
    accounts.accounts,
    accounts.groups,
    accounts.passwords,
    accounts.keys,
    units.units,
    units.tables,
    files.etc,
    files.boots,
    files.kernel,
    files.store,
    files.own,
    files.logins,
)

MOST = 2000
"""Findings of one host that are kept: it may say anything."""

_LONGEST = 500

WITHOUT_ROOT = (
    *("processes of others", "owners of sockets", "passwords", "keys", "setuid files"),
    *("capabilities", "tables of cron's", "logins", "the guard's files", "the store"),
)
_WORDS = {
    "capabilities": "capabilities of files (there is no getcap)",
    "kernel": "the kernel (a container has its machine's)",
    "modules": "modules (the booted kernel's are not there)",
    "logins": "logins (there is no journalctl)",
}


def judge(declared: Declared, seen: Seen, base: Base) -> tuple[Finding, ...]:
    """Give all that is found, the worst first; names of a host's are bounded here."""
    found = [one for each in _JUDGES for one in each(seen, base, declared)]
    found.sort(key=lambda one: (-one.severity.rank, one.kind.value, one.subject))
    return tuple(
        replace(one, subject=one.subject[:_LONGEST], seen=one.seen[:_LONGEST])
        for one in found[:MOST]
    )


def changed_sums(before: Mapping[str, str], seen: Seen, *, deployed: bool) -> Iterator[Finding]:
    """Give files of the guard's and of sshd's that changed since the check before.

    Args:
        before: What they were then.
        seen: What they are.
        deployed: Whether the host was deployed since, which writes the guard's.
    """
    for path, digest in seen.pairs("sum"):
        known = before.get(path)
        if known is None or known == digest or (deployed and "/orchestrator/" in path):
            continue
        yield Finding(
            Kind.OWN,
            path,
            "as the check before found it",
            "it was changed since",
            Severity.HIGH,
            "see who changed it: ls -l, journalctl",
        )


def unseen(seen: Seen) -> tuple[str, ...]:
    """Say what could not be looked at, or not to its end."""
    without = () if seen.is_root else WITHOUT_ROOT
    said = [_WORDS[one] for one in sorted(seen.texts("unseen")) if one in _WORDS]
    cut = {*seen.texts("cut")}
    cut |= {kind for kind in ("setuid", "capability") if ("cut",) in seen.rows.get(kind, ())}
    return (*without, *said, *(f"{one[:20]}: more than is looked at" for one in sorted(cut)))


def dated(
    found: Sequence[Finding], before: Mapping[str, datetime], at: datetime
) -> tuple[Finding, ...]:
    """Say since when each is seen: by the checks before, else now."""
    return tuple(replace(one, since=before.get(one.id, at)) for one in found)


def accept(
    found: Sequence[Finding], accepted: Sequence[AcceptedFinding], today: date
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Mark what somebody accepted.

    Returns:
        The findings; and in words the acceptances that are over, of what is still found.
    """
    live = [one for one in accepted if today <= one.until]
    over = [one for one in accepted if today > one.until]
    marked = tuple(
        replace(one, accepted=reason) if (reason := _reason(one, live)) else one for one in found
    )
    still = [
        f"what was accepted of {old.finding} until {old.until} is accepted no more: {old.reason}"
        for old in over
        if any(fnmatchcase(one.id, old.finding) for one in marked if one.is_alarm)
    ]
    return marked, tuple(still)


def _reason(one: Finding, live: Sequence[AcceptedFinding]) -> str:
    for each in live:
        if one.severity.is_alarm and fnmatchcase(one.id, each.finding):
            return f"{each.reason} (until {each.until})"
    return ""
