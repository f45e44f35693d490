"""What Nix has written down of paths in the store here: how large they are, who built them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from orchestrator.core import process
from orchestrator.core.json_text import parse_json
from orchestrator.nix.verbs import failed, nix_argv

_SECONDS = 300


@dataclass(frozen=True, slots=True)
class PathInfo:
    """A valid path.

    Attributes:
        size: Of all that is in it, in bytes, as an archive.
        built_here: Whether this machine built it: it came from no cache and no other builder.
    """

    size: int
    built_here: bool


async def path_infos(paths: Collection[str]) -> dict[str, PathInfo]:
    """Ask Nix for some paths; one that is not valid is left out.

    Raises:
        StepError: Nix does not tell.
    """
    if not paths:
        return {}
    argv = (*nix_argv("path-info", "--offline", "--json"), "--stdin")
    given = "".join(f"{path}\n" for path in sorted(paths)).encode()
    done = await process.run(argv, deadline=_SECONDS, stdin=given)
    if done.rc != 0:
        raise failed(done, argv, "the store does not say what it has")
    return parse(parse_json(done.stdout))


def parse(said: Any) -> dict[str, PathInfo]:
    """Read what ``nix path-info --json`` says: a list, and since Nix 2.19 a set by path."""
    entries: Iterable[tuple[str, Mapping[str, Any] | None]]
    entries = said.items() if isinstance(said, dict) else ((one["path"], one) for one in said)
    return {
        path: PathInfo(one["narSize"], one.get("ultimate", False))
        for path, one in entries
        if one is not None and "narSize" in one
    }
