"""Known vulnerabilities of what a host runs, against those of what it should run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.core.host import Host
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.diff import ask_running_closure, build_wanted
from orchestrator.host.setup import Setup
from orchestrator.host.specialisations import specialisation_here
from orchestrator.nix import verbs as nix
from orchestrator.render.output import Output, clean
from orchestrator.render.report import Column, print_json, print_table
from orchestrator.security.feeds import advisories, patches_of
from orchestrator.security.plan.vulnerabilities import (
    Fate,
    Vulnerability,
    accepted,
    difference,
    sentence,
    versions_of,
)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a host's two systems."""

    host: Host
    running: OutPath | None
    wanted: OutPath
    found: tuple[Vulnerability, ...]

    @property
    def brings(self) -> bool:
        """Whether the new system has one that the old one had not, and nobody accepted it."""
        return any(one.fate is Fate.BRINGS and not one.accepted for one in self.found)


async def known_of(setup: Setup, host: Host, feeds: Sequence[Path]) -> Known:
    """Build what a host should run, and compare both systems with feeds.

    Raises:
        StepError: The host does not answer, or its configuration does not evaluate or build.
        UsageError: A feed cannot be read.
    """
    read = tuple(advisories(feeds))
    wanted, _ = await build_wanted(setup, host)
    state, running = await ask_running_closure(setup, host)
    name = host.specialisation.of(state.specialisation)
    live = specialisation_here(wanted.out, name) or wanted.out
    closure = await nix.requisites(live)
    before, after = versions_of(running), versions_of(closure)
    found = difference(before, after, read, {})
    affected = {one.package for one in found if one.after}
    paths = [path for path in closure if path.package[0] in affected]
    patches = await patches_of(paths)
    by_package = {name: _in_all(name, paths, patches) for name in affected}
    today = datetime.now(UTC).date()
    judged = tuple(
        replace(one, accepted=accepted(one, host.accept_findings, today))
        for one in difference(before, after, read, by_package)
    )
    return Known(host, state.running, live, judged)


def _in_all(
    name: str, paths: Sequence[OutPath], patches: dict[str, frozenset[str]]
) -> frozenset[str]:
    """The patches that all of a package's paths have: one without it is not corrected."""
    each = [patches.get(path.path, frozenset()) for path in paths if path.package[0] == name]
    return frozenset.intersection(*each) if each else frozenset()


_COLUMNS = (
    Column("fate"),
    Column("vulnerability"),
    Column("package"),
    Column("runs now"),
    Column("would run"),
    Column("what", flexible=True),
)


def draw_known(known: Known, results: Output) -> None:
    """Draw what a deployment fixes, brings and leaves."""
    results.line(f"{known.host.name}: {sentence(known.found)}")
    if known.found:
        print_table(results, _COLUMNS, [_row(one) for one in known.found])


def _row(one: Vulnerability) -> tuple[str, ...]:
    why = f"accepted: {one.accepted}" if one.accepted else ", ".join(one.evidence)
    what = "; ".join(filter(None, (why, one.severity, one.summary)))
    before, after = (", ".join(versions) or "-" for versions in (one.before, one.after))
    return one.fate.value, one.id, one.package, before, after, clean(what)


def draw_known_json(known: Known, results: Output) -> None:
    """Print the same as JSON."""
    print_json(
        results,
        {
            "host": known.host.name,
            "running": known.running and known.running.path,
            "wanted": known.wanted.path,
            "sentence": sentence(known.found),
            "vulnerabilities": [
                {
                    "id": one.id,
                    "package": one.package,
                    "fate": one.fate.value,
                    "before": one.before,
                    "after": one.after,
                    "severity": one.severity,
                    "summary": one.summary,
                    "evidence": one.evidence,
                    "accepted": one.accepted or None,
                }
                for one in known.found
            ],
        },
    )
