"""What hosts' configurations say of secrets, kept by the system that they make.

Losing it costs an evaluation. No secret is in it: paths, owners and modes.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

from orchestrator.core.json_text import parse_json
from orchestrator.core.store import OutPath
from orchestrator.secrets.model.host import HostSecrets
from orchestrator.secrets.model.use import SecretUse

_VERSION = 2


def recall(folder: Path, host: str, out: OutPath) -> HostSecrets | None:
    """Give what was kept of a system; ``None`` where nothing was, or what was is damaged.

    Args:
        folder: Where it is kept.
        host: The host's name.
        out: The system that its configuration makes.
    """
    try:
        kept = parse_json((folder / f"{host}.json").read_bytes())
        if (kept["version"], kept["system"]) != (_VERSION, out.path):
            return None
        said = kept["secrets"]
        return HostSecrets(
            host=said["host"],
            uses=tuple(
                SecretUse(**{**use, "identity_paths": tuple(use["identity_paths"])})
                for use in said["uses"]
            ),
            sources=tuple(said["sources"]),
            identity_paths=tuple(said["identity_paths"]),
            program=said["program"],
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(folder: Path, out: OutPath, secrets: HostSecrets) -> None:
    """Keep it, as a whole or not at all; a full disk must not fail a deployment."""
    text = json.dumps({"version": _VERSION, "system": out.path, "secrets": asdict(secrets)})
    new = folder / f"{secrets.host}.json.new"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        new.write_text(text)
        new.replace(folder / f"{secrets.host}.json")
