"""Ask a host, in one command, for all that preflight and the copy need to know."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.json_text import parse_json
from orchestrator.core.lines import split_lines, whole_number
from orchestrator.core.preflight import BootFiles, BootRoom, Facts, Inhibitor, Room, boot_name
from orchestrator.core.store import OutPath
from orchestrator.host.preflight_script import PREFLIGHT
from orchestrator.host.scripts import script

_SECONDS = 300.0
"""A host with a slow disk looks thousands of paths up."""

_MANY = 20
"""Of one kind so many are told of by name."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a host said.

    Attributes:
        facts: What preflight is about.
        has_target: Whether the target is there whole.
        complete: Whether it said to the end what it lacks of the closure that was sent.
        lines: All lines; the paths that it lacks are among them.
    """

    facts: Facts
    has_target: bool
    complete: bool
    lines: frozenset[str]


async def ask_facts(
    executor: Executor, target: OutPath, closure: Iterable[str], *, boots: bool
) -> Answer:
    """Ask.

    Args:
        executor: The way to the host.
        target: The system that it is to have.
        closure: Paths to say of which are lacking; none where they are not known here.
        boots: Whether it will be booted anew.

    Raises:
        UnreachableError: The connection was lost.
        StepError: The host did not answer to the end.
    """
    argv = script(PREFLIGHT, target.path, "boots" if boots else "")
    stdin = "".join(f"{path}\n" for path in closure).encode()
    done = await executor.run(argv, deadline=_SECONDS, stdin=stdin)
    lines = split_lines(done.out)
    if "end=" not in lines:
        raise StepError(
            f"the host did not say whether it has what a deployment takes (exit {done.rc})",
            command=executor.repeat(("df", "-h", "/nix/store")),
            stderr=done.err,
        )
    facts, has_target = parse_facts(lines)
    return Answer(facts, has_target, done.rc == 0, frozenset(lines))


def parse_facts(lines: Iterable[str]) -> tuple[Facts, bool]:
    """Read what ``PREFLIGHT`` prints; what is not understood of it was not said.

    Returns:
        The facts, and whether the target is there.
    """
    said: dict[str, list[str]] = {}
    for line in lines:
        key, _, value = line.partition("=")
        said.setdefault(key, []).append(value)
    first = {key: values[0] for key, values in said.items()}
    facts = Facts(
        volatile_id=first.get("volatile_id") == "yes",
        user=whole_number(first.get("user", "")),
        nix_error=_nix_error(first.get("nix")),
        read_only=_list(said.get("read_only")),
        store=_room(first.get("store")),
        boot=_boot(first, said),
        running=_files(said.get("running.file")),
        target=_files(said.get("target.file")),
        clock=whole_number(first.get("clock", "")),
        activations=_list(said.get("activation")),
        inhibitors=_inhibitors(first.get("inhibitors")),
    )
    return facts, first.get("has_target") == "yes"


def _nix_error(text: str | None) -> str | None:
    return "" if text == "works" else text


def _list(values: list[str] | None) -> tuple[str, ...] | None:
    """Values in their order, without repeats; that there are none is said by an empty one."""
    if values is None:
        return None
    found = tuple(dict.fromkeys(value for value in values if value))
    more = (f"and {len(found) - _MANY} more",) if len(found) > _MANY else ()
    return (*found[:_MANY], *more)


def _room(text: str | None) -> Room | None:
    """Read blocks, a block's size, inodes and free inodes; a file system may have no inodes."""
    match [whole_number(word) for word in (text or "").split(" ")]:
        case [int(blocks), int(size), int(inodes), int(free)]:
            return Room(blocks * size, free if inodes else None)
    return None


def _boot(first: Mapping[str, str], said: Mapping[str, list[str]]) -> BootRoom | None:
    folder, room = first.get("boot"), _room(first.get("boot.room"))
    if not folder or room is None:
        return None
    names = (name.removesuffix(".efi") for name in said.get("boot.file", ()))
    generations = whole_number(first.get("boot.generations", "")) or 0
    read_only = first.get("boot.read_only", "")
    return BootRoom(folder, room, frozenset(names), generations, read_only)


def _files(values: list[str] | None) -> BootFiles | None:
    sizes: dict[str, int] = {}
    for value in values or ():
        size, _, path = value.partition(" ")
        if (bytes_ := whole_number(size)) is not None:
            sizes[boot_name(path)] = bytes_
    return BootFiles(sizes) if sizes else None


def _inhibitors(text: str | None) -> tuple[Inhibitor, ...] | None:
    """Read busctl's JSON of ``ListInhibitors``: what, who, why, mode, user, process of each."""
    with contextlib.suppress(ValueError, TypeError, KeyError, IndexError):
        return tuple(
            Inhibitor(str(what), str(who), str(why))
            for what, who, why, mode, *_ in parse_json(text or "")["data"][0]
            if mode == "block" and "shutdown" in str(what).split(":")
        )
    return None
