"""What of the findings concerns a host that is to be changed, in preflight's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from orchestrator.core.check import Check
from orchestrator.core.preflight import Shortfall
from orchestrator.core.words import listing
from orchestrator.secrets.model.finding import SecretFinding, Severity
from orchestrator.secrets.model.host import HostSecrets, Identity
from orchestrator.secrets.plan.checks import check
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.host import has_keys

_TOLD_BY_KEYS = frozenset({"CFG-HOST", "REKEY-NEEDED"})
"""What is less than the host's own keys tell of the same file."""


def before_the_copy(
    evidence: Evidence, secrets: HostSecrets, identities: Sequence[Identity]
) -> Iterator[SecretFinding]:
    """Find what is wrong with one host's secrets, by all that is known before the copy.

    Args:
        evidence: What is known of the repository.
        secrets: What the host's configuration says.
        identities: What the host says of its keys: they count for more than those known before.
    """
    host = secrets.host
    live = {one.public.text: (host,) for one in identities if one.public is not None}
    own = replace(
        evidence,
        uses=secrets.uses,
        hosts={**evidence.hosts, **live},
        targets=frozenset({host}),
    )
    by_keys = list(has_keys(own, secrets, identities))
    told = {one.path for one in by_keys}
    files = {use.file for use in secrets.uses} | {""}
    for one in (*by_keys, *check(own)):
        if (one.host is None and one.path not in files) or one.host not in (None, host):
            continue
        if not (one.path in told and one.id in _TOLD_BY_KEYS):
            yield one


def shortfalls(findings: Sequence[SecretFinding]) -> Iterator[Shortfall]:
    """Put findings into preflight's words; the same of several files is said once."""
    alike: dict[tuple[str, str, str], list[SecretFinding]] = {}
    for one in findings:
        if one.severity is not Severity.INFO:
            alike.setdefault((one.id, one.fact, one.fix), []).append(one)
    for (name, fact, fix), same in alike.items():
        paths = listing([one.path for one in same if one.path])
        yield Shortfall(
            Check.SECRETS,
            f"{name}: {paths}{': ' if paths else ''}{fact}",
            f"{fix} (orchestrator secrets explain {name})",
            refuses=same[0].severity is Severity.ERROR,
        )
