"""Have commands list the members of classes, and write down what they said."""

from __future__ import annotations

import contextlib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec import structs

from orchestrator.core import beneath, process
from orchestrator.core.bounds import Bound
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.members import Member
from orchestrator.core.process import how_it_ended
from orchestrator.inventory.classes import generated_file
from orchestrator.inventory.kinds import Reading
from orchestrator.inventory.root import FOLDER, GENERATED, MAX_BYTES
from orchestrator.inventory.rows import Rows
from orchestrator.inventory.sections import decoded, read_sections, texts
from orchestrator.inventory.tree import Fields, Mistakes, Position, quoted

_SECONDS = 60.0
_LINES = Bound(MAX_BYTES, 2_000_000)


@dataclass(frozen=True, slots=True)
class Listing:
    """A class whose members a command lists.

    Attributes:
        name: The class's.
        command: An argv; it is run in the fleet's root.
        deadline: Seconds that it may take.
    """

    name: str
    command: tuple[str, ...]
    deadline: float = _SECONDS


def listings(root: Path) -> tuple[Listing, ...]:
    """The classes of a fleet whose members commands list.

    The rest of the inventory may have mistakes still: what is listed may be what it lacks.
    """
    read = [text for _, text in texts(root, Mistakes()) if text is not None]
    # Only with a backslash can YAML say `command` in other letters.
    if not any("command" in text or "\\" in text for text in read):
        return ()
    sections, _ = read_sections(root, Reading(Mistakes()), {})
    hosts = sections.get("hosts")
    return tuple(_listings(hosts))


def _listings(hosts: Fields) -> Iterator[Listing]:
    for name in hosts.keys:
        said = hosts.get(name).get("from")
        if command := said.texts("command"):
            deadline = said.leaf("deadline")
            seconds = deadline.value if deadline else _SECONDS
            assert isinstance(seconds, float)
            yield Listing(name, command, seconds)


async def generate(root: Path, listing: Listing) -> bool:
    """Run a command, and write the members that it lists to ``inventory/generated/NAME.json``.

    They are sorted, one on a line, so that git shows which came and which went.

    Returns:
        Whether the file was written; it is not where it says the same.

    Raises:
        StepError: The command did not end well, or not in time, or what it said is no list of
            members.
        UsageError: The file cannot be written.
    """
    text = await _said(root, listing)
    file, mistakes = generated_file(listing.name), Mistakes()
    output = f"the output of {listing.command[0]}"
    members = Rows(output, mistakes).read(text)
    _check_once(members, output, mistakes)
    if mistakes.kept or not members:
        wrong = [str(one) for one in mistakes.kept] or ["no member"]
        raise StepError(
            f"{listing.name}: what its command says is no list of members",
            stderr="\n".join(wrong[:20]),
            command=shlex.join(listing.command),
        )
    content = text_of(members).encode()
    try:
        with contextlib.suppress(FileNotFoundError):
            if beneath.read(root, file, MAX_BYTES) == content:
                return False
        beneath.make_folder(root, f"{FOLDER}/{GENERATED}")
        beneath.replace(root, file, content)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    return True


def _check_once(members: tuple[Member, ...], output: str, mistakes: Mistakes) -> None:
    """Note what would make a list that no command could read any more."""
    seen: dict[str, Member] = {}
    for one in members:
        if (first := seen.setdefault(one.name, one)) is not one:
            place, before = (Position(output, at.line) for at in (one, first))
            found = f"the host {quoted(one.name)} a second time"
            mistakes.add(place, found, "each name once", also=before)


async def _said(root: Path, listing: Listing) -> str:
    done = await process.run(
        listing.command, deadline=listing.deadline, cwd=str(root), bound=_LINES
    )
    by_hand = shlex.join(listing.command)
    if done.rc != 0:
        why = f"its command failed: {how_it_ended(done.rc)}"
        raise StepError(f"{listing.name}: {why}", command=by_hand, stderr=done.err)
    mistakes = Mistakes()
    text = decoded(done.stdout, "the output", mistakes)
    if text is None:
        raise StepError(f"{listing.name}: {mistakes.kept[0]}", command=by_hand)
    return text


def text_of(members: tuple[Member, ...]) -> str:
    """Members as JSON, one on a line, ``till-2`` before ``till-10``."""
    lines = [json.dumps(_said_of(one)) for one in sorted(members, key=_natural)]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def _said_of(member: Member) -> dict[str, object]:
    return {key: value for key, value in structs.asdict(member).items() if value and key != "line"}


def _natural(member: Member) -> list[tuple[int, str]]:
    parts = re.split(r"([0-9]+)", member.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]
