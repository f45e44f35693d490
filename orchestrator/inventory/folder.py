"""What lies in a fleet's folders and counts by its name alone: inventory files and suites."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

FOLDER = "inventory"
SUFFIXES = (".yaml", ".yml")
SUITES = "tests/verify"
_KINDS = ("", "/templates", "/profiles", "/features")


def has_files(root: Path) -> bool:
    """Whether there is an inventory below ``root`` that can be listed."""
    try:
        return bool(inventory_names(root))
    except OSError:
        return False


def inventory_names(root: Path) -> list[str]:
    """The inventory's file names, sorted; hidden ones are an editor's and are left out.

    Raises:
        OSError: The folder cannot be listed.
    """
    found = os.listdir(root / FOLDER)  # noqa: PTH208 - names are all that is wanted
    return sorted(n for n in found if n.endswith(SUFFIXES) and not n.startswith("."))


def shared_suites(root: Path) -> tuple[str, ...]:
    """The suites below ``tests/verify``, relative to the fleet's root."""
    return tuple(path for kind in _KINDS for path in _tests(root, SUITES + kind))


def own_suites(root: Path) -> dict[str, tuple[str, ...]]:
    """By host, the suites in ``hosts/NAME/``."""
    return {host: tuple(_tests(root, f"hosts/{host}")) for host in _names(root / "hosts")}


def _tests(root: Path, folder: str) -> Iterator[str]:
    for name in _names(root / folder):
        path = f"{folder}/{name}"
        if name.startswith("test_") and name.endswith(".py") and (root / path).is_file():
            yield path


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return []
