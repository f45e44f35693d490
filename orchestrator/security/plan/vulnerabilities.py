"""Known vulnerabilities as a difference: what a new system fixes, brings and leaves."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from fnmatch import fnmatchcase

from orchestrator.core.risk import AcceptedFinding
from orchestrator.core.store import OutPath, without_output
from orchestrator.security.plan.advisories import Advisory, may_be_of, newest, normal


class Fate(Enum):
    """What becomes of a vulnerability."""

    BRINGS = "brings"
    LEAVES = "leaves"
    FIXES = "fixes"
    PATCHED = "patched"
    """The version is affected, and a patch of its derivation is named after it."""


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """One advisory of one package.

    Attributes:
        before: Versions that run and are affected.
        after: Versions of the new system that are.
        evidence: Patches by which it is taken for corrected.
        accepted: The reason for which it is accepted; empty where it is not.
    """

    id: str
    package: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    fate: Fate
    severity: str = ""
    summary: str = ""
    evidence: tuple[str, ...] = ()
    accepted: str = ""

    @property
    def finding(self) -> str:
        """Names it in the inventory: ``cve:CVE-2024-1234 curl``."""
        return f"cve:{self.id} {self.package}"


Versions = Mapping[str, frozenset[str]]


def versions_of(paths: Iterable[OutPath]) -> dict[str, frozenset[str]]:
    """The versions of each package of a closure."""
    found: dict[str, set[str]] = {}
    for path in paths:
        name, version = path.package
        if version:
            found.setdefault(name, set()).add(without_output(version))
    return {name: frozenset(versions) for name, versions in found.items()}


def difference(
    before: Versions,
    after: Versions,
    advisories: Iterable[Advisory],
    patches: Mapping[str, Collection[str]],
) -> tuple[Vulnerability, ...]:
    """Say what becomes of each advisory that is of a package of either system.

    Args:
        before: What runs.
        after: What would run.
        advisories: From feeds.
        patches: By package, names of patches of the new system's derivations.
    """
    by_name: dict[str, list[str]] = {}
    for package in sorted(before.keys() | after.keys()):
        for key in {normal(package), normal(package.partition("-")[2])}:
            by_name.setdefault(key, []).append(package)
    found: dict[tuple[str, str], Vulnerability] = {}
    for advisory in advisories:
        for package in by_name.get(advisory.package, ()):
            if may_be_of(advisory, package):
                one = _judge(advisory, package, before, after, patches.get(package, ()))
                if one is not None:
                    found[one.id, package] = _worse(found.get((one.id, package)), one)
    order = list(Fate)
    return tuple(
        sorted(found.values(), key=lambda one: (order.index(one.fate), one.id, one.package))
    )


def _judge(
    advisory: Advisory,
    package: str,
    before: Versions,
    after: Versions,
    patches: Collection[str],
) -> Vulnerability | None:
    old, new = (
        tuple(sorted(filter(advisory.is_of, versions.get(package, ())), key=newest))
        for versions in (before, after)
    )
    if not old and not new:
        return None
    evidence = tuple(sorted(one for one in patches if new and _names(one, advisory.id)))
    if evidence:
        fate = Fate.PATCHED
    elif old and new:
        fate = Fate.LEAVES
    else:
        fate = Fate.FIXES if old else Fate.BRINGS
    said = (advisory.severity, advisory.summary, evidence)
    return Vulnerability(advisory.id, package, old, new, fate, *said)


def _names(patch: str, advisory: str) -> bool:
    """Whether a patch is named after an advisory: nixpkgs' ``CVE-2024-1234.patch``."""
    plain, wanted = patch.lower(), advisory.lower()
    at = plain.find(wanted)
    end = at + len(wanted)
    return wanted.startswith("cve-") and at >= 0 and not plain[end : end + 1].isdigit()


def _worse(one: Vulnerability | None, other: Vulnerability) -> Vulnerability:
    """Of two feeds' words of one advisory, the one that more is left by."""
    if one is None:
        return other
    order = (Fate.FIXES, Fate.PATCHED, Fate.BRINGS, Fate.LEAVES)
    return max(one, other, key=lambda each: (order.index(each.fate), bool(each.severity)))


def accepted(one: Vulnerability, words: Sequence[AcceptedFinding], today: date) -> str:
    """The reason for which a vulnerability is accepted today; empty where it is not."""
    for word in words:
        if today <= word.until and fnmatchcase(one.finding, word.finding):
            return f"{word.reason} (until {word.until})"
    return ""


def sentence(found: Sequence[Vulnerability]) -> str:
    """Say it in short: ``fixes 3, brings 1, leaves 12; 2 patched, 1 accepted``."""
    counts = {fate: sum(one.fate is fate and not one.accepted for one in found) for fate in Fate}
    said = f"fixes {counts[Fate.FIXES]}, brings {counts[Fate.BRINGS]}, leaves {counts[Fate.LEAVES]}"
    taken = sum(bool(one.accepted) for one in found)
    passed = [f"{counts[Fate.PATCHED]} patched"] * bool(counts[Fate.PATCHED])
    passed += [f"{taken} accepted"] * bool(taken)
    return f"{said}; {', '.join(passed)}" if passed else said
