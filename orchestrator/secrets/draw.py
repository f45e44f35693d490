"""Secrets, drawn: findings, readers, what became of a change."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Protocol

from orchestrator.core import stored
from orchestrator.core.units import listing
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.report import Cell, Column, ago, print_json, print_table
from orchestrator.secrets.model.ciphertext import (
    Explanation,
    RecipientStatus,
    SecretFinding,
    SecretStatus,
    Severity,
)
from orchestrator.secrets.model.repository import Journal, Lack, Need, Needs

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


class Rekeyed(Protocol):
    """What became of secrets that were looked at, by their paths."""

    @property
    def done(self) -> Sequence[str]:
        """Re-encrypted."""

    @property
    def right(self) -> Sequence[str]:
        """Left alone."""

    @property
    def absent(self) -> Sequence[str]:
        """Not there."""

    @property
    def damaged(self) -> Sequence[str]:
        """Not readable."""


def draw_rekeyed(found: Rekeyed, results: Output, words: Output, *, as_json: bool) -> None:
    """Name each secret that was re-encrypted, and say what became of the others."""
    if as_json:
        lists = ("done", "right", "absent", "damaged")
        print_json(results, {name: list(getattr(found, name)) for name in lists})
        return
    for path in found.done:
        results.line(clean(path))
    counts = f"{len(found.done)} re-encrypted, {len(found.right)} already up to date"
    words.line(counts)
    for path in found.absent:
        words.line(clean(f"{path} has a rule and is not there"))
    for path in found.damaged:
        bad = words.paint("damaged:", Colour.BAD)
        words.line(f"{bad} {clean(path)}; what is wrong: orchestrator secrets check")


def draw_recovered(
    journal: Journal | None, left: Sequence[str], results: Output, words: Output, *, as_json: bool
) -> None:
    """Say how an interrupted change ended, and what else was left of one and is removed."""
    for path in left:
        words.line(f"removed what a killed create had left: {clean(path)}")
    if as_json:
        print_json(results, _to_json(journal))
    elif journal is None and not left:
        words.line("nothing was interrupted")
    elif journal is not None:
        end = "was carried out" if journal.committed else "was rolled back"
        words.line(f"the interrupted {clean(journal.what)} {end}:")
        for one in journal.replacements:
            results.line(clean(one.path))


def _to_json(journal: Journal | None) -> object:
    if journal is None:
        return None
    paths = [one.path for one in journal.replacements]
    return {"what": journal.what, "carried_out": journal.committed, "paths": paths}


_ORDER = tuple(Lack)


def draw_needs(needs: Needs, rules: str, output: Output) -> None:
    """Draw each secret that a host cannot open, and the steps after which it can.

    Args:
        needs: What it needs.
        rules: The ``secrets.nix``, as a person would name it.
        output: Standard error.
    """
    count = len(needs.secrets)
    said = f"{count} secret{'s are' if count != 1 else ' is'} meant for it"
    if count:
        said += f"; its key opens {needs.opened}"
    output.line(f"{needs.host}: {said}")
    if needs.elsewhere:
        output.line(f"it opens {len(needs.elsewhere)} with other keys (age.identityPaths)")
    for one in needs.secrets:
        if one.lacks:
            output.line(f"  {output.paint(clean(one.path), Colour.STRONG)} {_facts(one)}")
    for line in _steps(needs, rules):
        output.line(clean(line))


def draw_unevaluated(host: str, why: str, output: Output) -> None:
    """Say that it is not known what a host's configuration uses, and why."""
    note, hint = (output.paint(word, Colour.WARN) for word in ("note:", "hint:"))
    output.line(f"{note} which secrets {host}'s configuration uses is not known: {clean(why)}")
    output.line(f"{hint} in full, and once it evaluates: orchestrator secrets check {host}")


def _facts(one: Need) -> str:
    # That it is not encrypted to a key that its rule does not name needs no saying.
    told = one.lacks - {Lack.REKEY} if Lack.KEY in one.lacks else one.lacks
    return "; ".join(lack.value for lack in _ORDER if lack in told)


def _steps(needs: Needs, rules: str) -> Iterator[str]:
    if needs.key is None:
        if len(needs.secrets) > needs.opened:
            yield "no key of its is known that age could encrypt to: it needs one of Ed25519 or RSA"
        return
    key = f"{needs.key} root@{needs.host}"
    if unnamed := needs.lacking(Lack.KEY):
        yield f"to publicKeys in {rules} add its key, for {_names(unnamed)}:"
        yield f'  "{key}"'
        for old in needs.old:
            yield f'  in place of this one, if it was its key before: "{old}"'
    if bare := sorted({*needs.lacking(Lack.RULE)} - {*needs.lacking(Lack.FILE)}):
        yield f"to {rules} add a rule with its key and yours, for {_names(bare)}:"
        yield f'  publicKeys = [ "{key}" … ];'
    if wrong := sorted({*needs.lacking(Lack.REKEY), *bare}):
        yield f"then: orchestrator secrets rekey {_words(wrong)}"
    yield from _creations(needs, key)


def _creations(needs: Needs, key: str) -> Iterator[str]:
    ruled = {*needs.lacking(Lack.FILE)} - {*needs.lacking(Lack.RULE)}
    for path in needs.lacking(Lack.FILE):
        who = "" if path in ruled else f" --recipient {shlex.quote(key)} --recipient YOURS"
        yield f"make it: orchestrator secrets create {_words([path])}{who}"


def _names(paths: Sequence[str]) -> str:
    return ", ".join(paths)


def _words(paths: Sequence[str]) -> str:
    return shlex.join(f"./{path}" if path.startswith("-") else path for path in paths)


_COLOURS = {
    Severity.ERROR: Colour.BAD,
    Severity.WARNING: Colour.WARN,
    Severity.INFO: Colour.FAINT,
}


def draw_findings(
    findings: Sequence[SecretFinding],
    count: int | None,
    results: Output,
    *,
    sops: int = 0,
    as_json: bool,
) -> None:
    """Draw findings, one line each, and a line of summary.

    What cannot be proved is counted and not listed: ``--json`` has it.

    Args:
        findings: The worst first.
        count: How many secrets were checked; ``None`` where their rules do not tell.
        results: Standard output.
        sops: How many files of sops were checked.
        as_json: Whether to write a list for a script.
    """
    if as_json:
        print_json(results, [one.to_json() for one in findings])
        return
    for one in findings:
        if one.severity is not Severity.INFO:
            results.line(_line(one, results))
    checked = [] if count is None else [f"{count} checked"]
    if sops:
        checked.append(f"{sops} file{'s' if sops > 1 else ''} of sops checked")
    results.line(f"secrets: {', '.join((*checked, _summary(findings)))}")
    if sops:
        results.line(_OF_SOPS)


def _line(one: SecretFinding, output: Output) -> str:
    severity = output.paint(f"{one.severity.value}:", _COLOURS[one.severity])
    return f"{severity} {output.paint(one.id, Colour.STRONG)} {clean(one.message)}"


_OF_SOPS = (
    "of files of sops, who can read them and the names in them are checked; values, MACs, and keys "
    "of PGP and clouds are not"
)


def _summary(findings: Sequence[SecretFinding]) -> str:
    found = Counter(one.severity for one in findings)
    parts = [
        f"{found[severity]} {severity.value}{'s' if found[severity] > 1 else ''}"
        for severity in (Severity.ERROR, Severity.WARNING)
        if found[severity]
    ] or ["nothing is wrong"]
    if unproved := found[Severity.INFO]:
        parts.append(f"{unproved} not fully proved without an identity (--json lists them)")
    return ", ".join(parts)


def draw_explanations(found: Sequence[Explanation], results: Output, *, as_json: bool) -> None:
    """Draw what checks verify, what comes of a finding, and how to cure it."""
    if as_json:
        print_json(results, {one.id: stored.plain(one) for one in found})
        return
    for one in found:
        results.line(f"{results.paint(one.id, Colour.STRONG)} ({one.severity.value})")
        texts = (("verifies", one.verifies), ("otherwise", one.effect), ("cure", one.cure))
        for title, text in texts:
            results.line(f"  {title:<10}{text}")
