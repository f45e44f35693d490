"""Secrets that each member of a class has of its own, in files that bear its name."""

from __future__ import annotations

from orchestrator.changes.tree.place import repository
from orchestrator.core.errors import StepError
from orchestrator.core.values import replace
from orchestrator.secrets.model.repository import HostSecrets


def of_member(shared: HostSecrets, name: str, folder: str) -> HostSecrets:
    """What the configuration of equal hosts says of one of them; whether its own files are there.

    Args:
        shared: What the configuration says.
        name: The host's name.
        folder: Where the flake is.
    """
    secrets = shared.of_host(name)
    if not any(use.of_member for use in secrets.uses):
        return secrets
    try:
        root = repository(folder)
    except StepError:
        return secrets
    uses = (
        replace(use, exists=(root / use.file).is_file()) if use.in_repo and use.of_member else use
        for use in secrets.uses
    )
    return replace(secrets, uses=tuple(uses))
