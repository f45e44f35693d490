"""What checks find of a fleet and of this machine, drawn."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.plan import Knowledge, Known
from orchestrator.changes.source import floating_inputs, snapshot_of
from orchestrator.changes.tracing.evaluation import choose
from orchestrator.core import process
from orchestrator.core.checks import Finding, Grade
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.units import split_lines
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.report import Cell, Column, error_json, print_json, print_table
from orchestrator.secrets.check import SecretCheck
from orchestrator.secrets.draw import draw_findings as draw_secrets


@dataclass(frozen=True, slots=True)
class Checked:
    """What one check found.

    Attributes:
        what: What was checked, such as ``syntax``.
        found: Thing → its error, or ``None`` where it is right.
        secrets: What was found of secrets, for that check.
    """

    what: str
    found: Mapping[str, str | None]
    secrets: SecretCheck | None = None

    @property
    def wrong(self) -> Mapping[str, str]:
        """Thing → its error."""
        return {name: error for name, error in self.found.items() if error is not None}

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong and not (self.secrets and self.secrets.failed)


def draw_checks(
    checked: Sequence[Checked],
    output: Output,
    error: OrchestratorError | None = None,
    *,
    as_json: bool,
) -> None:
    """Draw what failed, and a line of summary for each check.

    Args:
        checked: What was checked.
        output: Where to.
        error: Why no more could be checked; in JSON, as it is drawn by whoever catches it.
        as_json: As one JSON object.
    """
    if as_json:
        right = error is None and all(one.is_right for one in checked)
        found: dict[str, object] = {"ok": right}
        if error is not None:
            found["error"] = error_json(error)
        print_json(output, {**found, "checks": {one.what: _check_json(one) for one in checked}})
        return
    for one in checked:
        if one.what == "secrets" and one.secrets is None:
            continue
        if one.secrets is not None:
            draw_secrets(
                one.secrets.findings,
                one.secrets.count,
                output,
                sops=one.secrets.sops,
                as_json=False,
            )
        else:
            _draw_mistakes(one, output)


def _check_json(one: Checked) -> Mapping[str, object]:
    if one.what == "secrets" and one.secrets is None:
        return {"ok": True, "skipped": "the fleet has neither secrets.nix nor .sops.yaml"}
    if one.secrets is not None:
        findings = [finding.to_json() for finding in one.secrets.findings]
        return {"ok": one.is_right, "findings": findings}
    return {"ok": one.is_right, "checked": len(one.found), "errors": one.wrong}


def _draw_mistakes(one: Checked, output: Output) -> None:
    for name, error in one.wrong.items():
        first, *rest = split_lines(error) or [""]
        output.line(f"{output.paint('error:', Colour.BAD)} {clean(name)}: {clean(first)}")
        for line in rest[-20:]:
            output.line(output.paint("  | ", Colour.FAINT) + clean(line))
    verdict = f"{len(one.wrong)} of {len(one.found)} wrong" if one.wrong else "no mistakes"
    output.line(f"{one.what}: {len(one.found)} checked, {verdict}")


_COLUMNS = (Column("what"), Column(""), Column("found", flexible=True))
_GRADES = {
    Grade.GOOD: Cell("good", Colour.GOOD),
    Grade.LESS: Cell("could be better", Colour.WARN),
    Grade.BAD: Cell("missing", Colour.BAD),
}


def draw_findings(findings: Sequence[Finding], results: Output, *, as_json: bool) -> None:
    """Draw each finding, and what to do about it."""
    if as_json:
        print_json(results, [_to_json(finding) for finding in findings])
        return
    rows: list[tuple[str | Cell, ...]] = [
        (finding.what, _GRADES[finding.grade], _text(finding)) for finding in findings
    ]
    print_table(results, _COLUMNS, rows)


def _text(finding: Finding) -> str:
    return f"{finding.text} → {finding.hint}" if finding.hint else finding.text


def _to_json(finding: Finding) -> dict[str, str]:
    return {
        "what": finding.what,
        "grade": finding.grade.value,
        "found": finding.text,
        "hint": finding.hint,
    }


async def examine(setup: Setup) -> tuple[Finding, ...]:
    """Look at all that counts. Nothing is changed, no host is contacted."""
    return tuple(
        await asyncio.gather(
            _found("Nix", _nix()),
            _found("git", _git()),
            _found("ssh", _ssh()),
            _found("sources", _sources(setup)),
            _found("tracer", _tracer()),
            _found("fingerprints", _fingerprints(setup)),
            _found("state", _state(setup)),
        )
    )


async def _found(what: str, examined: Awaitable[tuple[Grade, str, str]]) -> Finding:
    try:
        return Finding(what, *(await examined))
    except OrchestratorError as error:
        return Finding(what, Grade.BAD, error.message, error.hint or "")


async def _nix() -> tuple[Grade, str, str]:
    numbers = await nix.version()
    return Grade.GOOD, ".".join(map(str, numbers)), ""


async def _git() -> tuple[Grade, str, str]:
    done = await process.run(("git", "--version"), deadline=60)
    return Grade.GOOD, done.out.removeprefix("git version "), ""


async def _ssh() -> tuple[Grade, str, str]:
    if shutil.which("ssh") is None:
        hint = "install OpenSSH's client"
        return Grade.LESS, "there is no `ssh`, which reads ~/.ssh/config for us", hint
    return Grade.GOOD, "deployments bring their own; `ssh` reads ~/.ssh/config for them", ""


async def _sources(setup: Setup) -> tuple[Grade, str, str]:
    """Whether it can be told what changed."""
    try:
        tree = await snapshot_of(setup.flake)
    except OrchestratorError as error:
        return Grade.LESS, f"every run evaluates: {error.message}", "keep the fleet in git"
    if loose := await floating_inputs(setup.flake, tree):
        text = f"every run evaluates: flake.lock does not pin {', '.join(loose)}"
        return Grade.LESS, text, "nix flake lock, and commit flake.lock"
    if tree.indivisible:
        return Grade.LESS, f"any change counts for every host: {tree.indivisible}", ""
    return Grade.GOOD, f"{len(tree.entries)} files in git, every input is pinned", ""


async def _tracer() -> tuple[Grade, str, str]:
    choice = await choose()
    if choice.tracer is None:
        return Grade.LESS, choice.sentence, "install a C compiler or strace"
    return Grade.GOOD, choice.sentence, ""


async def _fingerprints(setup: Setup) -> tuple[Grade, str, str]:
    hosts = tuple(setup.fleet.hosts.values())
    known = KnownSystems(setup, hosts)
    found = [await known.of(host) for host in hosts]
    learned = sum(1 for one in found if _is_learned(one))
    holds = sum(1 for one in found if isinstance(one, Known))
    text = f"{learned} of {len(hosts)} hosts learned, {holds} known as the fleet is now"
    good = learned == len(hosts)
    return (Grade.GOOD, text, "") if good else (Grade.LESS, text, "orchestrator changes learn")


def _is_learned(known: Knowledge) -> bool:
    return known.fingerprint is not None and known.fingerprint.reads is not None


async def _state(setup: Setup) -> tuple[Grade, str, str]:
    folder = setup.state
    while not folder.exists():
        folder = folder.parent
    if os.access(folder, os.W_OK):
        return Grade.GOOD, str(setup.state), ""
    return Grade.BAD, f"{setup.state} cannot be written", "whose is it? see XDG_STATE_HOME"
