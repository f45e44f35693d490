"""Where a file's bytes in the work tree are not those of its commit, though git calls it clean."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from orchestrator.changes.tree.index import fields
from orchestrator.changes.tree.place import common_folder

# gitattributes(5).
_CONVERT = re.compile(rb"(?<![-!\w])(text|crlf|eol|ident|filter|working-tree-encoding)\b")
_EXPORT = re.compile(rb"(?<![-!\w])export-(subst|ignore)\b")

SETTINGS = (
    r"^core\.(autocrlf|eol|attributesfile|filemode|symlinks|trustctime|checkstat|ignorestat)$"
)
"""What ``git config --get-regexp`` is asked for: git-config(1)."""

_CONVERTING = ("core.autocrlf", "core.eol", "core.attributesfile")
_USUAL = {
    "core.autocrlf\nfalse",
    "core.filemode\ntrue",
    "core.symlinks\ntrue",
    "core.trustctime\ntrue",
    "core.checkstat\ndefault",
    "core.ignorestat\nfalse",
}


@dataclass(frozen=True, slots=True)
class Conversions:
    """What is unusual about a repository.

    Attributes:
        convert: Whether bytes may be converted on their way into the work tree.
        indivisible: Why single files cannot be relied on; empty where they can.
    """

    convert: bool = False
    indivisible: str = ""


def conversions(root: Path, paths: Iterable[str], settings: bytes) -> Conversions:
    """Look at a repository's attributes and settings.

    Args:
        root: The work tree.
        paths: What is tracked.
        settings: What ``git config -z --get-regexp`` gives for :data:`SETTINGS`.
    """
    attributes = _attributes(root, paths)
    unusual = [line.split("\n")[0] for line in fields(settings) if line not in _USUAL]
    reasons = [name for name in unusual if name not in _CONVERTING]
    if _EXPORT.search(attributes):
        reasons.append("export-ignore or export-subst")
    return Conversions(
        convert=bool(unusual) or _CONVERT.search(attributes) is not None,
        indivisible=", ".join(reasons),
    )


def _attributes(root: Path, paths: Iterable[str]) -> bytes:
    """All that ``.gitattributes`` and their like say."""
    own = [root / path for path in paths if path.endswith(".gitattributes")]
    config = os.environ.get("XDG_CONFIG_HOME") or Path("~/.config").expanduser()
    person, machine = Path(config, "git/attributes"), Path("/etc/gitattributes")
    others = (common_folder(root) / "info/attributes", person, machine)
    return b"\n".join(file.read_bytes() for file in (*own, *others) if file.is_file())
