"""Tables of secrets with their readers, and of recipients with their secrets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from orchestrator.core.words import listing
from orchestrator.render.output import Colour, Output
from orchestrator.render.tables import Cell, Column, ago, print_json, print_table
from orchestrator.secrets.model.finding import Severity
from orchestrator.secrets.model.status import RecipientStatus, SecretStatus

_SECRETS = (
    Column("secret"),
    Column("hosts"),
    Column("others", flexible=True),
    Column("size", right=True),
    Column("changed"),
    Column("wrong"),
)
_RECIPIENTS = (
    Column("recipient", flexible=True),
    Column("kind"),
    Column("secrets", right=True),
    Column("wrong"),
)


def draw_status(secrets: Sequence[SecretStatus], results: Output, *, as_json: bool) -> None:
    """Draw each secret with its readers."""
    if as_json:
        print_json(results, [_secret_json(one) for one in secrets])
        return
    now = datetime.now(UTC)
    print_table(results, _SECRETS, [_secret_row(one, now) for one in secrets])


def draw_recipients(
    recipients: Sequence[RecipientStatus], results: Output, *, as_json: bool
) -> None:
    """Draw each recipient with the number of its secrets."""
    if as_json:
        rows = [{**asdict(one), "kind": one.kind.value} for one in recipients]
        print_json(results, rows)
        return
    print_table(results, _RECIPIENTS, [_recipient_row(one) for one in recipients])


def _secret_row(one: SecretStatus, now: datetime) -> tuple[str | Cell, ...]:
    others = [f"{name}?" if name in one.unproved else name for name in one.others]
    if one.unknown:
        others.append(f"{one.unknown} unknown")
    return (
        one.path,
        listing(one.hosts),
        listing(others),
        "" if one.size is None else str(one.size),
        ago(one.changed, now) if one.changed else "",
        _wrong(one),
    )


def _wrong(one: SecretStatus) -> str | Cell:
    told = [found for found in one.findings if found.severity is not Severity.INFO]
    if not told:
        return ""
    colour = Colour.BAD if told[0].severity is Severity.ERROR else Colour.WARN
    return Cell(listing(list(dict.fromkeys(found.id for found in told))), colour)


def _secret_json(one: SecretStatus) -> dict[str, object]:
    return {
        "path": one.path,
        "hosts": one.hosts,
        "others": one.others,
        "unproved": one.unproved,
        "unknown": one.unknown,
        "size": one.size,
        "changed": one.changed.isoformat() if one.changed else None,
        "findings": [found.to_json() for found in one.findings],
    }


def _recipient_row(one: RecipientStatus) -> tuple[str | Cell, ...]:
    parts = [
        f"{what} {listing(paths)}"
        for what, paths in (("cannot read", one.lacking), ("is not declared for", one.extra))
        if paths
    ]
    name = f"{one.name} (host)" if one.is_host else one.name
    wrong = Cell("; ".join(parts), Colour.WARN) if parts else ""
    return name, one.kind.value, str(one.declared), wrong
