"""The configurations' names of files beside the rules': the two may speak of different folders.

A configuration's are relative to the flake's repository. The rules' are relative to their own,
which may be a submodule of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from orchestrator.changes.tree.place import repository
from orchestrator.core.errors import StepError
from orchestrator.secrets.model.use import SecretUse


def seen_from(root: Path, flake: str, uses: Iterable[SecretUse]) -> tuple[SecretUse, ...]:
    """Name files as the rules do; one outside their repository is in none that they speak of.

    Args:
        root: The repository of the rules; its real path.
        flake: The folder of the flake.
        uses: As the configurations have them.
    """
    try:
        ours = repository(flake)
    except StepError:
        return tuple(uses)
    return tuple(_seen(root, ours, use) for use in uses)


def _seen(root: Path, ours: Path, use: SecretUse) -> SecretUse:
    if not use.in_repo or root == ours:
        return use
    file = ours / use.file
    if file.is_relative_to(root):
        return replace(use, file=str(file.relative_to(root)))
    return replace(use, file=str(file), in_repo=False)
