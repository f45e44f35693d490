"""What Nix and editors get of an inventory."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import msgspec

from orchestrator.core import beneath
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Host, User
from orchestrator.core.members import entries_of
from orchestrator.inventory.declaration import DOCUMENT
from orchestrator.inventory.kinds import JsonSchema
from orchestrator.inventory.load import Inventory


def json_schema() -> JsonSchema:
    """The declaration as JSON Schema, draft 2020-12 (https://json-schema.org/draft/2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "An inventory file of orchestrator",
    } | DOCUMENT.schema()


PATH = "inventory/fleet.json"
FORMAT = 1


def fleet_json(inventory: Inventory) -> str:
    """The fleet as ``flake.nix`` reads it, in one canonical form.

    A class of equal hosts is there once, without its members: one more of them changes nothing.
    How a host is reached and verified stays out, so that a changed port rebuilds nothing; and so
    does the folder's name, so that every clone gives the same.
    """
    fleet = inventory.fleet
    entries = entries_of(fleet.hosts)
    classes = [entry.host for entry in entries if entry.members is not None]
    document = {
        "format": FORMAT,
        "name": inventory.declared_name or "fleet",
        "users": {name: _user(user) for name, user in fleet.users.items()},
        "hosts": {e.host.name: _host(e.host) for e in entries if e.members is None},
    }
    if classes:
        document["classes"] = {host.name: _host(host) for host in classes}
    # As json.dumps would indent it, which it does in Python: many times as slowly.
    text = json.dumps(document, sort_keys=True, ensure_ascii=False)
    return msgspec.json.format(text, indent=2) + "\n"


def _user(user: User) -> dict[str, object]:
    return {
        "groups": user.groups,
        "shell": user.shell,
        "ssh_keys": user.ssh_keys,
        "profiles": user.profiles,
    }


def _host(host: Host) -> dict[str, object]:
    return {
        "system": host.system,
        "template": host.template,
        "profiles": host.profiles,
        "features": host.features,
        "settings": host.settings,
        "roles": host.roles,
        "tags": host.tags,
        "users": host.users,
        "hardware": host.hardware,
        "state_version": host.state_version,
    }


def refresh(root: Path, inventory: Inventory, *, frozen: bool, create: bool = False) -> bool:
    """Write ``inventory/fleet.json`` where it is stale.

    It is kept where it exists, or where a host has a template or features and there is a folder
    ``templates`` for their modules; an existing flake needs none.

    Args:
        root: The fleet's root.
        inventory: What the file should say.
        frozen: Write nothing; a stale file is an error.
        create: Write it even where it is not needed.

    Returns:
        Whether it was written, for a notice.

    Raises:
        UsageError: It is stale and ``frozen``, or it cannot be read or written.
    """
    try:
        if not (create or _is_kept(root, inventory)):
            return False
        wanted = fleet_json(inventory)
        if _holds(root, wanted.encode()):
            return False
        if not frozen:
            beneath.replace(root, PATH, wanted.encode())
            return True
    except OSError as error:
        raise UsageError(
            f"{PATH}: {error.strerror}", hint=f"make {PATH} a regular file that you can write"
        ) from error
    raise UsageError(
        f"{PATH} is stale: it differs from what the YAML files say",
        hint=f"run: orchestrator inventory generate, and commit {PATH}",
    )


def is_stale(root: Path, inventory: Inventory) -> bool:
    """Whether ``inventory/fleet.json`` would be written, as far as it can be told."""
    try:
        return _is_kept(root, inventory) and not _holds(root, fleet_json(inventory).encode())
    except OSError:
        return True


def _is_kept(root: Path, inventory: Inventory) -> bool:
    if (root / PATH).exists():
        return True
    hosts = [one.host for one in entries_of(inventory.fleet.hosts)]
    named = any(host.template is not None or host.features for host in hosts)
    return named and (root / "templates").is_dir()


def _holds(root: Path, wanted: bytes) -> bool:
    try:
        return beneath.read(root, PATH, len(wanted)) == wanted
    except FileNotFoundError:
        return False
    except OSError as error:
        if error.errno == errno.EFBIG:
            return False
        raise
