"""Whether a flake's inputs stay what they are for as long as its files do."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from orchestrator.core.json_text import parse_json

# Types whose `rev` names a content for ever: nix3-flake(1) "Types".
_REVISIONED = ("github", "gitlab", "sourcehut", "git", "hg")
_HASHED = ("tarball", "file", *_REVISIONED)


def floating(metadata: str, lock: str, overrides: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """Name the inputs whose content may change although no file of the flake does.

    Args:
        metadata: What ``nix flake metadata --json`` says with the overrides in place.
        lock: The text of ``flake.lock``; empty where there is none.
        overrides: Pairs of an input's name and the URL that is used in its place. What is behind
            those is somebody else's to watch.

    Raises:
        ValueError: The texts are not of that form.
    """
    pinned = [node.get("locked") for _, node in _nodes(parse_json(lock))] if lock else []
    watched = {url.removeprefix("path:") for _, url in overrides}
    return tuple(
        name
        for name, node in _nodes(parse_json(metadata)["locks"])
        if not _stays(node.get("locked", {}), pinned, watched)
    )


def _nodes(locks: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The inputs, without the flake itself."""
    root = locks.get("root", "root")
    return ((name, node) for name, node in locks["nodes"].items() if name != root)


def _stays(locked: Mapping[str, Any], pinned: Collection[object], watched: Collection[str]) -> bool:
    kind, path = locked.get("type"), str(locked.get("path", ""))
    if kind == "path":
        inside = bool(path) and not path.startswith("/")
        return inside or path.startswith("/nix/store/") or path in watched
    if locked not in pinned:
        return False  # resolved anew each time
    return (kind in _REVISIONED and "rev" in locked) or (kind in _HASHED and "narHash" in locked)
