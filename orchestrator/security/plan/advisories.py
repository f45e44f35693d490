"""Advisories as OSV and NVD publish them, and which packages they are of.

https://ossf.github.io/osv-schema/ and https://nvd.nist.gov/developers/vulnerabilities (2.0).
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any

_LONGEST = 300
MOST = 5000
"""Ranges, or versions, of one advisory that are read."""

_PYTHON = re.compile(r"python3(?:\.\d+)?-(.+)")
_RUBY = re.compile(r"ruby3?(?:\.\d+)*-(.+)")
_PREFIXED = {"PyPI": _PYTHON, "RubyGems": _RUBY}
# Names of theirs are not those of programs: crates.io's `openssl` is another thing.
_LANGUAGES = frozenset(
    {"npm", "Go", "Maven", "NuGet", "crates.io", "Packagist", "Hex", "Pub", "Hackage", "CRAN"}
    | {"SwiftURL", "ConanCenter", "Bioconductor", "GHC", "GitHub Actions", "VSCode"}
)
# Versions of theirs are not upstream's: what is corrected keeps its number.
_DISTRIBUTIONS = re.compile(
    "Debian|Ubuntu|Alpine|Alpaquita|Red Hat|Rocky|AlmaLinux|SUSE|openSUSE|Photon|Mageia|Wolfi"
    "|Chainguard|MinimOS|openEuler|Android|Echo|BellSoft"
)
_NAMES = {"kernel": "linux", "linux_kernel": "linux"}


@dataclass(frozen=True, slots=True)
class Range:
    """Versions from one on, up to another; empty is without an end."""

    since: str = ""
    before: str = ""
    last: str = ""
    after: str = ""

    def has(self, version: str) -> bool:
        """Whether a version is in it, by Nix's order."""
        return not (
            (self.since not in ("", "0") and compare(version, self.since) < 0)
            or (self.after and compare(version, self.after) <= 0)
            or (self.before and compare(version, self.before) >= 0)
            or (self.last and compare(version, self.last) > 0)
        )


@dataclass(frozen=True, slots=True)
class Advisory:
    """What is known of one package.

    Attributes:
        id: The CVE's, where it has one.
        package: By nixpkgs' name.
        ecosystem: As OSV has it; empty for a program's own name.
        severity: As it is published: a CVSS vector, or a word.
    """

    id: str
    package: str
    ecosystem: str
    ranges: tuple[Range, ...]
    versions: frozenset[str]
    severity: str
    summary: str

    def is_of(self, version: str) -> bool:
        """Whether a version is affected."""
        return version in self.versions or any(each.has(version) for each in self.ranges)


def read(said: Any) -> Iterator[Advisory]:
    """Read what a file of a feed has: one advisory of OSV's, a list of them, or a page of NVD's.

    What is not understood, or was withdrawn, is left out.
    """
    if isinstance(said, list):
        for one in said:
            yield from read(one)
    elif isinstance(said, dict) and isinstance(said.get("vulnerabilities"), list):
        for one in said["vulnerabilities"]:
            if isinstance(one, dict) and isinstance(one.get("cve"), dict):
                yield from _nvd(one["cve"])
    elif isinstance(said, dict) and not said.get("withdrawn"):
        yield from _osv(said)


def _osv(said: dict[str, Any]) -> Iterator[Advisory]:
    names = [name for name in (said.get("id"), *_list(said.get("aliases"))) if _is_text(name)]
    if not names:
        return
    name = next((one for one in names if one.startswith("CVE-")), names[0])
    for one in _list(said.get("affected")):
        package = one.get("package") if isinstance(one, dict) else None
        if not isinstance(package, dict) or not _is_text(package.get("name")):
            continue
        ecosystem = _text(package.get("ecosystem"))
        yield Advisory(
            name[:_LONGEST],
            normal(package["name"]),
            ecosystem,
            tuple(itertools.islice(_ranges(one), MOST)),
            frozenset(filter(_is_text, _list(one.get("versions"))[:MOST])),
            _severity(said),
            str(said.get("summary") or "")[:_LONGEST],
        )


def _ranges(said: dict[str, Any]) -> Iterator[Range]:
    for one in _list(said.get("ranges")):
        if isinstance(one, dict) and one.get("type") != "GIT":
            yield from _between(_list(one.get("events")))


def _between(events: list[Any]) -> Iterator[Range]:
    since = ""
    for event in events:
        said = [*event.items()][:1] if isinstance(event, dict) else []
        for kind, version in said:
            if kind == "introduced" and _is_text(version):
                since = version
            elif kind == "fixed" and since and _is_text(version):
                yield Range(since, before=version)
                since = ""
            elif kind == "last_affected" and since and _is_text(version):
                yield Range(since, last=version)
                since = ""
    if since:
        yield Range(since)


def _severity(said: dict[str, Any]) -> str:
    scores = [one.get("score") for one in _list(said.get("severity")) if isinstance(one, dict)]
    specific = said.get("database_specific")
    word = specific.get("severity") if isinstance(specific, dict) else None
    found = next(filter(_is_text, (word, *scores)), "")
    return str(found)[:_LONGEST]


def _nvd(said: dict[str, Any]) -> Iterator[Advisory]:
    name = said.get("id")
    if not _is_text(name) or said.get("vulnStatus") == "Rejected":
        return
    told = [one.get("value") for one in _list(said.get("descriptions")) if isinstance(one, dict)]
    summary = str(next(filter(_is_text, told), ""))[:_LONGEST]
    for configuration in _list(said.get("configurations")):
        nodes = _list(configuration.get("nodes")) if isinstance(configuration, dict) else []
        matches = [m for n in nodes if isinstance(n, dict) for m in _list(n.get("cpeMatch"))]
        for one in matches[:MOST]:
            if isinstance(one, dict) and one.get("vulnerable") and _is_text(one.get("criteria")):
                yield from _cpe(str(name), one, summary)


def _cpe(name: str, one: dict[str, Any], summary: str) -> Iterator[Advisory]:
    words = re.split(r"(?<!\\):", one["criteria"])
    if len(words) < 6 or words[2] == "h":
        return
    ends = ("versionStartIncluding", "versionEndExcluding", "versionEndIncluding")
    given = [one.get(end) for end in (*ends, "versionStartExcluding")]
    since, before, last, after = map(_text, given)
    exact = words[5].replace("\\", "") if words[5] not in ("*", "-") else ""
    ranges = () if exact else (Range(since, before, last, after),)
    versions = frozenset({exact} if exact else ())
    package = normal(words[4].replace("\\", ""))
    yield Advisory(name[:_LONGEST], package, "", ranges, versions, "", summary)


def normal(name: str) -> str:
    """Name a package as nixpkgs does, as far as that follows a rule."""
    plain = name.lower()[:_LONGEST]
    return _NAMES.get(plain, plain.replace("_", "-"))


def may_be_of(advisory: Advisory, package: str) -> bool:
    """Whether an advisory is of a package of nixpkgs by that name."""
    if (prefixed := _PREFIXED.get(advisory.ecosystem)) is not None:
        found = prefixed.fullmatch(package)
        return found is not None and normal(found[1]) == advisory.package
    foreign = advisory.ecosystem in _LANGUAGES or _DISTRIBUTIONS.match(advisory.ecosystem)
    return not foreign and normal(package) == advisory.package


_PART = re.compile(r"\d+|[^\d.\-]+")


def compare(one: str, other: str) -> int:
    """Compare versions as Nix does: negative where the first is older.

    https://nix.dev/manual/nix/latest/command-ref/nix-env/upgrade#versions
    """
    parts = itertools.zip_longest(_PART.findall(one), _PART.findall(other), fillvalue="")
    for left, right in parts:
        if _is_less(left, right):
            return -1
        if _is_less(right, left):
            return 1
    return 0


def _is_less(left: str, right: str) -> bool:
    if left.isdecimal() and right.isdecimal():
        one, other = left.lstrip("0"), right.lstrip("0")
        return (len(one), one) < (len(other), other)
    if not left and right.isdecimal():
        return True
    if "pre" in (left, right):
        return left == "pre" != right
    if right.isdecimal():
        return True
    return not left.isdecimal() and left < right


newest = cmp_to_key(compare)
"""Sorts versions by Nix's order."""


def _list(said: Any) -> list[Any]:
    return said if isinstance(said, list) else []


def _is_text(said: Any) -> bool:
    return isinstance(said, str) and bool(said)


def _text(said: Any) -> str:
    return said if isinstance(said, str) else ""
