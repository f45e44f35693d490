"""Bring an interrupted change of secrets to its end."""

from __future__ import annotations

from pathlib import Path

from orchestrator.adapters.secrets.candidate import sweep
from orchestrator.adapters.secrets.transaction import writing
from orchestrator.engine.secrets.place import Place
from orchestrator.errors import StepError
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


def remove_leftovers(place: Place) -> tuple[str, ...]:
    """Remove what a killed ``create`` left beside ``secrets.nix``; one at work keeps its own.

    Returns:
        The paths of what was removed, relative to the root.

    Raises:
        StepError: A file could not be removed.
    """
    try:
        return tuple(str(path.relative_to(place.root)) for path in sweep(place.file.parent))
    except OSError as error:
        raise StepError(
            f"what a killed `create` left cannot be removed: {error.strerror} ({error.filename})"
        ) from error
