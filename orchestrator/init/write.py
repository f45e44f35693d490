"""The files that a fleet begins with: made, read back, and written where nothing is yet."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core import beneath
from orchestrator.core.errors import RefusedError, StepError, cause_of
from orchestrator.init.model import TEMPLATES, NewHost, Said
from orchestrator.init.places import Place
from orchestrator.init.wrapper import FILE
from orchestrator.inventory.add_host import written
from orchestrator.inventory.containers import Record
from orchestrator.inventory.declaration import HOST, HOST_NAME, NAME
from orchestrator.inventory.kinds import Kind, Text
from orchestrator.inventory.load import load
from orchestrator.inventory.root import FOLDER
from orchestrator.inventory.sections import MAX_BYTES
from orchestrator.inventory.tree import printable

AGENTS = "AGENTS.md"
_ROOM = MAX_BYTES - (1 << 16)
"""Bytes of hosts in one file, so that it may be added to."""

_MOST_LISTED = 40

_HEAD = """\
# Made by `orchestrator init` of what this fleet's own files say, and yours from now on: it is never
# written again. Behind each value is where it is from; `guessed` where nobody said it.
# What else may be said: orchestrator inventory schema
"""


@dataclass(frozen=True, slots=True)
class Files:
    """What is to be written.

    Attributes:
        texts: By file, relative to the fleet's own folder, in the order of writing.
        kept: Files that are there already, and stay as they are.
    """

    texts: Mapping[str, str]
    kept: tuple[str, ...]


def problem(key: str, value: object) -> str | None:
    """What an inventory expects at a key of a host, where ``value`` is not that.

    Args:
        key: ``name``, or one of :class:`.model.NewHost`'s values.
        value: A text or a number.
    """
    if key == "port":
        whole = isinstance(value, int) and 0 < value < 1 << 16
        return None if whole else "a port from 1 to 65535"
    kind = _KINDS[key]
    assert isinstance(kind, Text), key
    return kind.problem(str(value))


def _kinds(record: Record) -> dict[str, Kind]:
    return {key.name: key.kind for key in record.keys}


_OF_HOST = _kinds(HOST)
_CONNECT = _OF_HOST["connect"]
assert isinstance(_CONNECT, Record)
_KINDS: Mapping[str, Kind] = {**_kinds(_CONNECT), **_OF_HOST, "name": HOST_NAME, "tags": NAME}


def files_of(
    place: Place,
    flake: str | None,
    hosts: Sequence[NewHost],
    wrapper: str | None,
    declared: Sequence[str] = (),
) -> Files:
    """Make the files, and read them back.

    Args:
        place: Where they go.
        flake: What ``fleet: {flake: …}`` is to say; ``None``: nothing.
        hosts: The new ones.
        wrapper: The text of the flake that makes ``nixosConfigurations``.
        declared: Templates that the inventory has already.

    Raises:
        InventoryError: The inventory would not be right with them.
        RefusedError: A file has to be written, and another is there.
    """
    ours = "" if place.root == place.own else f"{place.root.name}/"
    there = _there(place.root / FOLDER)
    drafts = dict(_named(_texts(flake, hosts, declared), there))
    # A flake that has yet to be written is none that could be looked at.
    known = flake if wrapper is None else None
    inventory = load(place.root, dict(_named(_texts(known, hosts, declared), there)))
    missing = {host.name for host in hosts} - inventory.fleet.hosts.keys()
    assert not missing, missing
    texts = {f"{ours}{file}": text for file, text in drafts.items()}
    kept = []
    if wrapper is not None and FILE in there:
        raise RefusedError(
            f"{FOLDER}/{FILE} is there already, and a flake has to be written there",
            hint=f"is it an earlier one of ours? Then move it away: mv {FOLDER}/{FILE} /tmp/",
        )
    if wrapper is not None:
        texts[f"{ours}{FOLDER}/{FILE}"] = wrapper
    if os.path.lexists(place.own / AGENTS):
        kept.append(AGENTS)
    else:
        every = [*inventory.fleet.hosts.values()]
        rows = [(one.name, one.connect.address, one.template or "", one.tags) for one in every]
        texts[AGENTS] = agents(rows, ours, is_wrapped=wrapper is not None)
    return Files(texts, tuple(kept))


def _there(folder: Path) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return frozenset()


def _named(texts: Sequence[str], there: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Give each text the name of a file that is not there."""
    number, rest = 1, [*texts]
    while rest:
        name = "hosts.yaml" if number == 1 else f"hosts-{number}.yaml"
        if name not in there:
            yield f"{FOLDER}/{name}", rest.pop(0)
        number += 1


def _texts(flake: str | None, hosts: Sequence[NewHost], declared: Sequence[str]) -> list[str]:
    """The inventory, in as many texts as one file's bound asks for."""
    head = [_HEAD]
    if flake is not None:
        head.append(f"fleet:\n  flake: {written(flake)}\n")
    kinds = [host.values["template"].value for host in hosts if "template" in host.values]
    templates = [name for name in TEMPLATES if name in kinds and name not in declared]
    if templates:
        head.append("templates:\n" + "".join(map(_template, templates)))
    texts, size = ["\n".join(head) + "\nhosts:\n"], 0
    for host in hosts:
        entry = entry_of(host)
        size += len(entry.encode())
        if size > _ROOM:
            texts.append(f"{_HEAD}\nhosts:\n")
            size = len(entry.encode())
        texts[-1] += entry
    return texts


def _template(name: str) -> str:
    lines = [f"  {name}:", f"    description: {written(TEMPLATES[name])}"]
    if name == "laptop":
        lines.append("    unreachable: defer # its system waits until it answers")
    return "".join(f"{line}\n" for line in lines)


def entry_of(host: NewHost) -> str:
    """A host as it stands below ``hosts:``; a comment says where each value is from."""
    lines = [f"  {host.name}:", _line(4, "address", host.values["address"])]
    if host.attr != host.name:
        lines.append(_line(4, "attr", Said(host.attr, "its name below nixosConfigurations")))
    if host.flake is not None:
        lines.append(_line(4, "flake", Said(host.flake, "the flake that has it")))
    if "template" in host.values:
        lines.append(_line(4, "template", host.values["template"]))
    else:
        lines.append(f"    # template: {', '.join(TEMPLATES)}, or one of your own")
    others = ("tags", "build", "hardware")
    lines += [_line(4, key, host.values[key]) for key in others if key in host.values]
    connect = [key for key in ("user", "port", "jump", "identity") if key in host.values]
    if connect:
        lines.append("    connect:")
        lines += [_line(6, key, host.values[key]) for key in connect]
    return "".join(f"{line}\n" for line in lines)


def _line(indent: int, key: str, said: Said) -> str:
    value = list(said.value) if isinstance(said.value, tuple) else said.value
    origin = printable(said.origin, limit=160)
    comment = f"guessed: {origin}" if said.guessed else origin
    return f"{' ' * indent}{key}: {written(value)} # {comment}"


def agents(
    rows: Sequence[tuple[str, str, str, tuple[str, ...]]], ours: str, *, is_wrapped: bool
) -> str:
    """The fleet in one page, for assistants and for who is new.

    Args:
        rows: Each host's name, address, template and tags.
        ours: The folder of the inventory, with a slash; empty for the fleet's own.
        is_wrapped: Whether the inventory's flake is one that was written for it.
    """
    named = f" --fleet {ours.rstrip('/')}" if ours else ""
    shown = [
        f"| {name} | {address} | {template} | {', '.join(tags)} |"
        for name, address, template, tags in rows[:_MOST_LISTED]
    ]
    more = len(rows) - _MOST_LISTED
    if more > 0:
        shown.append(f"| … and {more} more: `orchestrator inventory list{named}` | | | |")
    flake = (
        f"The fleet's Nix files are its own; `{ours}{FOLDER}/{FILE}` makes `nixosConfigurations` "
        "of them.\n"
        if is_wrapped
        else ""
    )
    return _AGENTS.format(
        hosts="\n".join(shown), inventory=f"{ours}{FOLDER}/", fleet=named, flake=flake
    )


_AGENTS = """\
# This fleet, for assistants

NixOS machines, deployed with `orchestrator` (`orchestrator --help`). What a machine runs is said
in Nix; how it is reached is said in `{inventory}*.yaml`.
{flake}
## Hosts

| host | address | template | tags |
|---|---|---|---|
{hosts}

## Commands

| to | type |
|---|---|
| see what would change, and why; nothing is touched | `orchestrator plan{fleet} [HOST]` |
| check inventory, syntax, secrets, evaluation; no host is contacted | `orchestrator check{fleet}` |
| build without deploying | `orchestrator build{fleet} HOST` |
| see what runs where | `orchestrator status{fleet}` |
| deploy; a person decides | `orchestrator deploy{fleet} HOST` |
| return to what ran before; a person decides | `orchestrator rollback{fleet} HOST` |
| see all values of a host, and where they are from | `orchestrator inventory show{fleet} HOST` |
| take up hosts that the flake has and the inventory has not | `orchestrator init{fleet}` |

`--json` gives any of them as JSON. Exit codes: 0 done, 1 a host failed, 2 usage or inventory, 3
pending, 4 a check refused.

## Rules

- Change a machine in its Nix files, then `plan`; never by hand on the machine.
- A new Nix file counts once it is added to git: `git add`.
- Never deploy without having read the plan, and never a host that nobody named.
- Never pass a check by (`--force`, `--emergency`, `--skip-preflight`, `--no-verify`) unless a
  person says so for this one time.
- Never write a secret into a Nix file, the inventory or a log; never print one.
- Never trust a host's key (`orchestrator host trust`) without its fingerprint from another way.
- Never break another deployment's lock, and never lift a hold of somebody else's.
"""


def write(place: Place, files: Files) -> None:
    """Write all files, or none.

    Raises:
        RefusedError: A file came there meanwhile.
        StepError: One cannot be written.
    """
    done: list[str] = []
    made: list[str] = []
    try:
        for file, text in files.texts.items():
            for folder in _folders(file):
                if not os.path.lexists(place.own / folder):
                    beneath.make_folder(place.own, folder)
                    made.append(folder)
            beneath.write_new(place.own, file, text.encode(), 0o666)
            done.append(file)
    except BaseException as error:
        if not isinstance(error, FileExistsError):
            done.append(file)  # half of it may be there
        _undo(place.own, done, made)
        if isinstance(error, FileExistsError):
            raise RefusedError(
                f"{file} came there meanwhile; nothing was written", hint="do it again"
            ) from None
        if isinstance(error, OSError):
            raise StepError(
                f"{file} cannot be written: {cause_of(error)}; nothing was written",
                hint=f"may you write there? ls -ld {shlex.quote(str(place.own))}",
            ) from error
        raise


def _folders(file: str) -> Iterator[str]:
    """The folders above a file, the outermost first."""
    parts = file.split("/")[:-1]
    yield from ("/".join(parts[: count + 1]) for count in range(len(parts)))


def _undo(own: Path, done: Sequence[str], made: Sequence[str]) -> None:
    with contextlib.suppress(OSError):
        for file in done:
            beneath.remove(own, file)
        for folder in reversed(made):
            beneath.remove_folder(own, folder)
