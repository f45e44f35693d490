"""Which ``secrets.nix`` is managed: nothing of the fleet but its folder is read."""

from __future__ import annotations

import os
from pathlib import Path


def lone_rules(fleet: Path | None) -> Path | None:
    """Find the nearest ``secrets.nix`` where no fleet is named, and none is above this folder.

    Args:
        fleet: The folder of ``--fleet``.
    """
    from orchestrator.core.errors import UsageError
    from orchestrator.inventory.root import VARIABLE, find_root
    from orchestrator.secrets.place import find

    here = Path.cwd()
    try:
        find_root(here, fleet)
    except UsageError:
        if fleet is not None or os.environ.get(VARIABLE):
            return None
        return next(filter(None, map(find, (here, *here.parents))), None)
    return None


def rules_file(rules: Path | None, fleet: Path | None) -> Path:
    """Find the ``secrets.nix``.

    Args:
        rules: The file of ``--rules``.
        fleet: The folder of ``--fleet``.

    Raises:
        UsageError: There is neither a fleet nor a file.
    """
    from orchestrator.inventory.root import find_root
    from orchestrator.secrets.place import USUAL, find

    if found := rules or lone_rules(fleet):
        return found
    root = find_root(Path.cwd(), fleet)
    return find(root) or root / USUAL[0]
