"""Which folder is the fleet."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from orchestrator.core.errors import UsageError
from orchestrator.core.foreign import split_lines
from orchestrator.inventory.folder import FOLDER, has_files

VARIABLE = "ORCHESTRATOR_FLEET"


def find_root(
    start: Path, explicit: Path | None = None, environ: Mapping[str, str] = os.environ
) -> Path:
    """The fleet's root: ``--fleet``, else ``$ORCHESTRATOR_FLEET``, else the nearest one above.

    A folder is a fleet where it has YAML files in ``inventory/``.

    Raises:
        UsageError: There is none.
    """
    if explicit is not None:
        return _checked(explicit, "--fleet")
    if said := environ.get(VARIABLE):
        return _checked(Path(said), f"${VARIABLE}")
    start = start.absolute()
    for folder in (start, *start.parents):
        if has_files(folder):
            return folder
    raise UsageError(
        f"no fleet here: no YAML file in {FOLDER}/ in {start} or any folder above it",
        hint=f"name the fleet with --fleet DIR or ${VARIABLE}, or begin one:\n{_beginning()}",
    )


def _checked(root: Path, said_by: str) -> Path:
    if not has_files(root):
        raise UsageError(
            f"{said_by}: no YAML file in {root / FOLDER}",
            hint=f"name a folder that has an inventory, or begin one there:\n{_beginning()}",
        )
    return root.absolute()


def _beginning() -> str:
    from orchestrator.inventory.sections import EXAMPLE

    lines = [f"{FOLDER}/hosts.yaml:", *(f"  {line}" for line in split_lines(EXAMPLE))]
    return "\n".join(f"  {line}" for line in lines)
