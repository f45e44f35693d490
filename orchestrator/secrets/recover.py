"""Bring an interrupted change of secrets to its end."""

from __future__ import annotations

import os

from orchestrator.core import git
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.secrets.files.candidate import sweep
from orchestrator.secrets.files.journal import FOLDER
from orchestrator.secrets.files.transaction import writing
from orchestrator.secrets.model.journal import Journal
from orchestrator.secrets.place import Place


async def recover(place: Place) -> Journal | None:
    """End an interrupted change: forward where it was committed, else back.

    Args:
        place: The repository.

    Returns:
        What it was; ``None`` where nothing was interrupted.

    Raises:
        RefusedError: A file is neither what it was nor what it should become, or git tracks the
            journal.
        StepError: A file could not be written.
    """
    await require_own_journal(place)
    with writing(place.root, recovering=True) as writer:
        return writer.recover()


async def require_own_journal(place: Place) -> None:
    """Refuse a journal that came with the repository: somebody else wrote down what it says.

    Raises:
        RefusedError: git tracks it, or a file beside it.
        StepError: git refused.
    """
    if place.in_git and os.path.lexists(place.root / FOLDER):
        found = await git.tracked(str(place.root), f":(icase){FOLDER}")
        if found:
            raise RefusedError(
                f"git tracks {found[0]}: the journal of an interrupted change is never committed, "
                "and this one is not believed. Nothing was touched",
                hint=f"if nobody here meant it, look who committed it: git log -- {FOLDER}\n"
                f"then take it out: git rm -r --cached {FOLDER} && rm -r {FOLDER}",
            )


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
