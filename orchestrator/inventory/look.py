"""Look at the fleet: as it was read last, where nothing changed since."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.host import Fleet
from orchestrator.inventory.root import known


def fleet(root: Path) -> Fleet:
    """The fleet at ``root``; ``fleet.json`` may be stale, and stays so.

    Raises:
        UsageError: The inventory has mistakes.
    """
    if (found := known(root)) is not None:
        return found.fleet
    # What reads YAML takes longer to import than ten thousand hosts that are known to be decoded.
    from orchestrator.inventory.again import read

    return read(root).fleet
