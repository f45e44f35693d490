"""What differs between two systems: the packages in their closures."""

from __future__ import annotations

import re
from collections.abc import Iterable

from orchestrator.core.diff import Change
from orchestrator.core.store import OutPath

# A version begins at the first dash that a digit follows: Nix's own rule for derivation names.
# https://nix.dev/manual/nix/latest/language/builtins#builtins-parseDrvName
_NAME = re.compile(r"(.*?)-(\d.*)")


def diff(before: Iterable[OutPath], after: Iterable[OutPath]) -> tuple[Change, ...]:
    """Compare two closures by package; a package with the same paths in both is left out."""
    there, wanted = set(before), set(after)
    old, new = _versions(there - wanted), _versions(wanted - there)
    return tuple(
        Change(name, tuple(sorted(old.get(name, ()))), tuple(sorted(new.get(name, ()))))
        for name in sorted(old.keys() | new.keys())
    )


def _versions(paths: Iterable[OutPath]) -> dict[str, list[str]]:
    versions: dict[str, list[str]] = {}
    for path in paths:
        found = _NAME.fullmatch(path.name)
        name, version = (found[1], found[2]) if found else (path.name, "")
        versions.setdefault(name, []).append(version)
    return versions
