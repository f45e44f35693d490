"""Bring an interrupted change of secrets to its end."""

from __future__ import annotations

from pathlib import Path

from orchestrator.adapters.secrets.transaction import writing
from orchestrator.model.secrets.journal import Journal


def recover(root: Path) -> Journal | None:
    """End an interrupted change: forward where it was committed, else back.

    Args:
        root: The repository.

    Returns:
        What it was; ``None`` where nothing was interrupted.

    Raises:
        RefusedError: A file is neither what it was nor what it should become.
        StepError: A file could not be written.
    """
    with writing(root, recovering=True) as writer:
        return writer.recover()
