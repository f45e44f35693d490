"""GIT-*: whether a flake sees the files, and git leaves them as they are."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.core.words import listing
from orchestrator.secrets.model.finding import SecretFinding
from orchestrator.secrets.model.repository import Repository
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.severity import finding


def check(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find declared files that git does not track, and those that it may take for text."""
    if evidence.repository is None:
        return
    for path in evidence.files:
        yield from _tracked(evidence.repository, path)
    # Armored files are text: a hook does them no harm.
    text = [
        path
        for path in evidence.files
        if path in evidence.repository.not_binary
        and (file := evidence.ciphertext(path)) is not None
        and not file.armored
    ]
    if len(text) == 1:
        yield finding("GIT-ATTR", text[0], "git may take it for text")
    elif text:
        fact = f"git may take {len(text)} encrypted files for text: {listing(text)}"
        yield finding("GIT-ATTR", ".gitattributes", fact)


def _tracked(repository: Repository, path: str) -> Iterator[SecretFinding]:
    if path in repository.tracked:
        return
    if path in repository.ignored:
        yield finding("GIT-IGNORED", path, f"git ignores it ({repository.ignored[path]})")
    else:
        yield finding("GIT-UNTRACKED", path, "git does not track it")
