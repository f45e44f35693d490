"""What ``init`` found and wrote, for people and for scripts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from orchestrator.core.units import split_lines
from orchestrator.init.model import LeftOut, NewHost, Said
from orchestrator.init.places import Place
from orchestrator.init.plan import Proposal
from orchestrator.init.write import Files
from orchestrator.render.output import Output, clean
from orchestrator.render.report import Column, table

_MOST = 30


def draw_proposal(proposal: Proposal, words: Output, results: Output) -> None:
    """Print the hosts, what is left out, and why."""
    if proposal.hosts:
        columns = [Column(name) for name in ("HOST", "ADDRESS", "TEMPLATE", "TAGS")]
        rows = [_row(host) for host in proposal.hosts[:_MOST]]
        for line in table(results, columns, rows):
            results.line(line)
        if len(proposal.hosts) > _MOST:
            results.line(f"… and {len(proposal.hosts) - _MOST} more")
        if any(host.guessed for host in proposal.hosts):
            words.line("(?): guessed; nobody said it")
    _draw_lines([f"left out: {one.attr}: {one.why}" for one in proposal.left_out], words)
    _draw_lines(proposal.notices, words)


def _draw_lines(lines: Sequence[str], words: Output) -> None:
    for line in lines[:_MOST]:
        words.line(clean(line))
    if len(lines) > _MOST:
        words.line(f"… and {len(lines) - _MOST} more like these")


def _row(host: NewHost) -> tuple[str, ...]:
    tags = host.values.get("tags")
    listed = ",".join(tags.value) if tags and isinstance(tags.value, tuple) else ""
    address = _marked(host.values["address"])
    return (host.name, address, _marked(host.values.get("template")), listed or "-")


def _marked(said: Said | None) -> str:
    if said is None:
        return "-"
    return f"{said.value} (?)" if said.guessed else str(said.value)


def draw_texts(files: Files, output: Output, most: int | None = None) -> None:
    """Print the files as they are to be; of each no more than ``most`` lines."""
    for file, text in files.texts.items():
        output.line(f"--- {file}")
        lines = split_lines(text)
        for line in lines[:most]:
            output.line(clean(line))
        if most is not None and len(lines) > most:
            output.line(f"… and {len(lines) - most} more lines: orchestrator init --dry-run")


def draw_next(place: Place, files: Files, *, wrapped: bool, words: Output) -> None:
    """Say what was written, and what to type next."""
    for file in files.texts:
        words.line(f"written: {clean(str(place.own / file))}")
    for file in files.kept:
        words.line(f"{file} is there already, and stays as it is")
    if place.others:
        words.line(f"{place.others}: ours is in {place.root.name}/")
    words.line("next:")
    for command in next_commands(place, files, wrapped=wrapped):
        words.line(f"  {clean(command)}")


def next_commands(place: Place, files: Files, *, wrapped: bool) -> tuple[str, ...]:
    """The command lines to type after it, in their order."""
    named = "" if place.root == place.own else f" --fleet {shlex.quote(place.root.name)}"
    add: tuple[str, ...] = ()
    if place.repository is not None:
        tops = dict.fromkeys(PurePosixPath(file).parts[0] for file in files.texts)
        why = "  # Nix reads what git tracks" if wrapped else ""
        add = (f"git add {shlex.join(tops)}{why}",)
    return (*add, f"orchestrator plan{named}", f"orchestrator host ping{named}")


def as_json(
    proposal: Proposal, files: Files | None, place: Place, *, wrapped: bool, written: bool
) -> dict[str, Any]:
    """What a script reads of it."""
    return {
        "fleet": str(place.root),
        "hosts": [_host_json(host) for host in proposal.hosts],
        "left_out": [_left_out_json(one) for one in proposal.left_out],
        "notices": list(proposal.notices),
        "files": dict(files.texts) if files else {},
        "kept": list(files.kept) if files else [],
        "written": written,
        "next": list(next_commands(place, files, wrapped=wrapped)) if files else [],
    }


def _left_out_json(one: LeftOut) -> dict[str, str]:
    return {"attr": one.attr, "why": one.why}


def _host_json(host: NewHost) -> dict[str, Any]:
    return {
        "name": host.name,
        "attr": host.attr,
        "flake": host.flake,
        "values": {key: said.value for key, said in host.values.items()},
        "from": {key: said.origin for key, said in host.values.items()},
        "guessed": list(host.guessed),
    }
