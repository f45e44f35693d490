"""Where a repository and its flake are, found as Nix finds them."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.errors import StepError


def repository(folder: str) -> Path:
    """Find the work tree that a folder lies in: the nearest parent with ``.git``.

    Raises:
        StepError: It lies in none.
    """
    start = Path(folder).resolve()
    for place in (start, *start.parents):
        if (place / ".git").exists():
            return place
    raise StepError("the fleet is in no git repository")


def flake_folder(root: Path, folder: str) -> str:
    """Find ``flake.nix`` from a folder upwards.

    Returns:
        Its folder, relative to the repository's ``root``; empty for the root itself.

    Raises:
        StepError: There is none up to ``root``.
    """
    start = Path(folder).resolve()
    for place in (start, *start.parents):
        if (place / "flake.nix").exists():
            return "" if place == root else str(place.relative_to(root))
        if place == root:
            break
    raise StepError("there is no flake.nix")


def git_folder(root: Path) -> Path:
    """Find the folder that git keeps for a work tree: gitrepository-layout(5)."""
    folder = root / ".git"
    if folder.is_file():  # a linked work tree or a submodule
        return root / folder.read_text().removeprefix("gitdir:").strip()
    return folder


def common_folder(root: Path) -> Path:
    """Find the folder that git keeps for all work trees of a repository."""
    folder = git_folder(root)
    common = folder / "commondir"
    return folder / common.read_text().strip() if common.is_file() else folder


def place_in_copy(folder: Path, path: str) -> Path:
    """A tracked path's place in a copy of the tree.

    Raises:
        StepError: It leads out of the tree; git lets none such into its index, others may.
    """
    if any(name in ("", ".", "..", ".git") for name in path.split("/")):
        raise StepError(f"git tracks {path!r}, which is no path in a tree")
    return folder / path
