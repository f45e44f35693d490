"""Make findings, with the words that belong to their check; how bad they are together."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import replace

from orchestrator.secrets.model.finding import SecretFinding, Severity
from orchestrator.secrets.plan.explain import EXPLANATIONS

_ORDER = {severity: place for place, severity in enumerate(Severity)}
_PLACE = {name: place for place, name in enumerate(EXPLANATIONS)}


def finding(
    name: str,
    path: str,
    fact: str,
    *,
    host: str | None = None,
    severity: Severity | None = None,
    effect: str | None = None,
    fix: str | None = None,
) -> SecretFinding:
    """Make a finding; what is not given is what :data:`EXPLANATIONS` says of its check.

    Args:
        name: The check's id.
        path: The file, relative to the repository; empty where it concerns none.
        fact: What is so, without a full stop.
        host: The host that is concerned.
        severity: Where it is not the check's own.
        effect: Likewise.
        fix: Likewise; ``PATH`` stands for the file.
    """
    said = EXPLANATIONS[name]
    return SecretFinding(
        id=name,
        severity=severity or said.severity,
        path=path,
        host=host,
        fact=fact,
        effect=effect or said.effect,
        fix=(fix or said.cure).replace("PATH", quoted(path)),
    )


def quoted(path: str) -> str:
    """A path as a shell and an option parser take it for a file's name."""
    return shlex.quote(f"./{path}" if path.startswith("-") else path)


def in_order(findings: Iterable[SecretFinding], *, strict: bool) -> tuple[SecretFinding, ...]:
    """The worst first, then by check and by file.

    Args:
        findings: What was found.
        strict: Whether a warning is taken for an error.
    """
    taken = (_strictly(one) if strict else one for one in findings)
    return tuple(sorted(taken, key=_place))


def _place(one: SecretFinding) -> tuple[int, int, str, str]:
    return _ORDER[one.severity], _PLACE[one.id], one.path, one.host or ""


def _strictly(one: SecretFinding) -> SecretFinding:
    if one.severity is Severity.WARNING:
        return replace(one, severity=Severity.ERROR)
    return one
