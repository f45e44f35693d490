"""What git has to be told after a secret was written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.core.errors import StepError
from orchestrator.secrets.files import files, repository
from orchestrator.secrets.files.places import digest_of
from orchestrator.secrets.files.transaction import writing
from orchestrator.secrets.place import Place

ATTRIBUTES = ".gitattributes"
LINE = "*.age binary"
_MOST = 2**20


@dataclass(frozen=True, slots=True)
class Untold:
    """What git does not know.

    Attributes:
        untracked: Files that a flake does not see until they are added.
        as_text: Files that git may take for text: a hook or a merge may damage them.
    """

    untracked: tuple[str, ...] = ()
    as_text: tuple[str, ...] = ()


async def untold(place: Place, paths: Sequence[str]) -> Untold:
    """Ask what git does not know of files that were written.

    Raises:
        StepError: git refused.
    """
    if not place.in_git or not paths:
        return Untold()
    known = await repository.look(place.root, place.folder, paths)
    return Untold(
        tuple(path for path in paths if path not in known.tracked),
        tuple(path for path in paths if path.endswith(".age") and path in known.not_binary),
    )


def mark_binary(place: Place) -> None:
    """Add the line to ``.gitattributes`` that keeps git from changing encrypted files.

    Raises:
        RefusedError: Somebody else changed it meanwhile.
        StepError: It cannot be read or written.
    """
    try:
        content = files.read(str(place.root), ATTRIBUTES, _MOST)
    except files.FileReadError as error:
        raise StepError(f"{ATTRIBUTES} {error}") from None
    old = content.data if content else b""
    if content is not None and not content.whole:
        raise StepError(f"{ATTRIBUTES} has more than {_MOST >> 20} MiB")
    gap = b"\n" if old and not old.endswith(b"\n") else b""
    new = old + gap + f"{LINE}\n".encode()
    with writing(place.root) as writer:
        was = digest_of(old) if content else None
        writer.commit("edit", {ATTRIBUTES: new}, {ATTRIBUTES: was})
