"""Which ``secrets.nix`` is managed: nothing of the fleet but its folder is read."""

from __future__ import annotations

from pathlib import Path


def rules_file(rules: Path | None, fleet: Path | None) -> Path:
    """Find the ``secrets.nix``.

    Args:
        rules: The file of ``--rules``.
        fleet: The folder of ``--fleet``.

    Raises:
        UsageError: There is neither a fleet nor a file.
    """
    from orchestrator.engine.secrets.place import USUAL, find
    from orchestrator.inventory.root import find_root

    if rules is not None:
        return rules
    root = find_root(Path.cwd(), fleet)
    return find(root) or root / USUAL[0]
