"""Ask Nix which hosts a fleet has and what is said of them, without evaluating any."""

from __future__ import annotations

import functools
import shlex
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from orchestrator.changes.tracing.tracer import workplace
from orchestrator.changes.tree.private_copy import copy_repository
from orchestrator.core import process
from orchestrator.core.errors import StepError, UsageError, cause_of
from orchestrator.core.together import together
from orchestrator.core.units import listing, parse_json
from orchestrator.core.values import replace
from orchestrator.init import sources, wrapper
from orchestrator.init.model import Source, Way
from orchestrator.init.places import Place, flake_folders, flakes_below, not_alone, shape_of
from orchestrator.init.wrapper import OfFlake, Shape
from orchestrator.inventory.root import FOLDER
from orchestrator.nix import verbs as nix
from orchestrator.nix.configuration import nix_list
from orchestrator.nix.flake import Flake

_DEADLINE = 600.0
"""Seconds; inputs may have to be fetched."""

_WHOLE = (2, 19)
"""The Nix that knows ``FLAKE#.``, all outputs: https://github.com/NixOS/nix/pull/8852."""

_MOST_EVALUATED, _AT_ONCE = 64, 4
"""Hosts that are evaluated for what nothing else says; so many by one process, for its memory."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is.

    Attributes:
        flake: The flake, as the inventory is to name it; ``None``: the fleet's root.
        attrs: The names below ``nixosConfigurations``.
        sources: What says more of them, the weightiest first.
        notices: What is worth knowing.
        wrapper: The text of the flake that has to be written for that; ``None``: of none.
    """

    flake: str | None
    attrs: tuple[str, ...]
    sources: tuple[Source, ...]
    notices: tuple[str, ...]
    wrapper: str | None = None


async def survey(place: Place, way: Way) -> tuple[Survey, ...]:
    """Look at a fleet that has no inventory yet: at each of its flakes, the fleet's own first.

    Raises:
        UsageError: It has no hosts, or none that Nix could name; the hint is what to do.
        StepError: Nix cannot evaluate what it says.
    """
    folders = () if way is Way.NIXOS_HOSTS else flake_folders(place.own)
    looked = await _looked(place, folders)
    if looked.broken and not looked.found:
        raise looked.broken[0][1]
    if folders == (place.own,) and not looked.found:
        # A flake at the top that has tools only may have one of hosts below it.
        below = await _looked(place, flakes_below(place.own))
        looked = replace(below, empty=(*looked.empty, *below.empty))
    if not looked.found:
        return (await _without_flake(place, way, looked.empty),)
    for folder, _, said in looked.found:
        if not said["hosts"] and len(looked.found) > 1:
            raise not_alone(place, folder)
    first, *others = [await _of_flake(place, way, *one) for one in looked.found]
    broken = [f"{place.relative(one)}/flake.nix: {why.message}" for one, why in looked.broken]
    return (replace(first, notices=(*broken, *first.notices)), *others)


@dataclass(frozen=True, slots=True)
class _Looked:
    """Flakes that have hosts, with their outputs; what others have; and why some cannot be read."""

    found: tuple[tuple[Path, Flake, Mapping[str, Any]], ...]
    empty: tuple[str, ...]
    broken: tuple[tuple[Path, StepError], ...]


async def _looked(place: Place, folders: Sequence[Path]) -> _Looked:
    found, empty, broken = [], [], []
    for folder in folders:
        flake = Flake.at(str(folder), str(place.root))
        try:
            said = await _hosts(flake)
        except StepError as error:
            broken.append((folder, error))
            continue
        if said["hosts"] or {"colmena", "colmenaHive"} & {*said["outputs"]}:
            found.append((folder, flake, said))
        else:
            empty.append(f"{folder}: {listing(said['outputs'], 8) or 'nothing'}")
    return _Looked(tuple(found), tuple(empty), tuple(broken))


async def _of_flake(
    place: Place, way: Way, folder: Path, flake: Flake, said: Mapping[str, Any]
) -> Survey:
    if said["hosts"]:
        relative = place.relative(folder)
        return await _of(None if relative == "." else relative, flake, said, way)
    output = "colmenaHive" if "colmenaHive" in said["outputs"] else "colmena"
    return await _wrapped(place, OfFlake(place.in_repository(folder), output), way)


async def _without_flake(place: Place, way: Way, empty: Sequence[str]) -> Survey:
    try:
        shape = shape_of(place.own, folders=way is Way.NIXOS_HOSTS)
    except UsageError:
        if not empty:
            raise
        outputs = "\n".join(f"  {one}" for one in empty)
        raise UsageError(
            f"no flake here has nixosConfigurations, colmenaHive or colmena; they have\n{outputs}",
            hint="is it another branch, or another flake? orchestrator init --fleet DIR",
        ) from None
    return await _wrapped(place, shape, way)


async def _wrapped(place: Place, shape: Shape, way: Way) -> Survey:
    """Look at the fleet through the flake that is to be written, in a copy that has it."""
    if place.repository is None:
        raise UsageError(
            f"{place.own} is in no git repository: a flake of its files is only found in one",
            hint=f"cd {shlex.quote(str(place.own))} && git init && git add . && orchestrator init",
        )
    folder = (place.root / FOLDER).resolve()
    own = place.own.resolve()
    if not folder.is_relative_to(own):
        raise UsageError(f"{place.root / FOLDER} leads out of {own} by a link: no flake fits there")
    text = wrapper.text(shape, str(folder.relative_to(own)))
    async with _with_draft(place.repository, folder / wrapper.FILE, text) as flake:
        said = await _hosts(flake)
        if not said["hosts"]:
            raise UsageError(f"{place.own} has no hosts")
        found = await _of(FOLDER, flake, said, way)
    notices = (*found.notices, *wrapper.about(shape, own))
    return Survey(found.flake, found.attrs, found.sources, notices, text)


@asynccontextmanager
async def _with_draft(repository: Path, file: Path, text: str) -> AsyncIterator[Flake]:
    """A copy of a repository's tracked files in which there is one file more."""
    async with workplace() as folder:
        copy = folder / "fleet"
        await copy_repository(repository, copy)
        draft = copy / file.relative_to(repository)
        try:
            draft.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(text)
        except OSError as error:
            why = cause_of(error, named=True)
            raise StepError(f"a copy of {repository} cannot be written: {why}") from None
        name = str(draft.relative_to(copy))
        # Only its name goes into the index: nothing is written beside the person's objects.
        words = ("git", "-C", str(copy), "add", "--force", "--intent-to-add", "--", name)
        done = await process.run(words, deadline=60)
        if done.rc != 0:
            raise StepError(f"git does not take {name}", stderr=done.err)
        below = quote(str(draft.parent.relative_to(copy)))
        yield Flake(f"git+file://{quote(str(copy))}?dir={below}", str(copy))


async def _of(flake: str | None, there: Flake, said: Mapping[str, Any], way: Way) -> Survey:
    """What else the flake says, and what SSH's files do."""
    attrs = tuple(said["hosts"])
    wanted = sources.OF_WAY[way]
    notices: list[str] = []
    asked = (
        _deploy(there, said, notices),
        _colmena(there, said, notices),
        _clan(there, said, attrs, notices),
    )
    async with together() as group:
        tasks = [group.create_task(one) for one in asked]
    found = {one.name: one for task in tasks if (one := task.result()) is not None}
    for read in (sources.ssh_config, sources.known_hosts):
        one = read(attrs)
        found[one.name] = one
    if not said["outputs"]:
        notices.append("hosts' names are all that is read of a flake by a Nix older than 2.19")
    if way in (Way.COLMENA, Way.DEPLOY_RS) and wanted[0] not in found:
        why = f": {notices[0]}" if notices else ""
        raise UsageError(f"--from {way.value}: {wanted[0]} is none of the flake's outputs{why}")
    if "agenix-rekey" in said["outputs"]:
        notices.append(
            "agenix-rekey: hosts get their secrets with their systems, as ever; "
            "`orchestrator secrets` is for agenix's own secrets.nix, and not for these"
        )
    chosen = tuple(found[name] for name in wanted if name in found)
    return Survey(flake, attrs, chosen, tuple(notices))


async def more_of(flakes: Mapping[str | None, Flake], way: Way) -> tuple[Survey, ...]:
    """Look at a fleet that has an inventory.

    Args:
        flakes: By the name that hosts of the inventory have for it; ``None`` is the fleet's own.
        way: Where hosts are looked for.

    Raises:
        StepError: Nix cannot evaluate what one of them says.
    """
    asked = [(name, flake, await _hosts(flake)) for name, flake in flakes.items()]
    return tuple([await _of(name, flake, said, way) for name, flake, said in asked])


async def _hosts(flake: Flake) -> Mapping[str, Any]:
    """The names of hosts, and of outputs as far as this Nix lets one ask for them all."""
    if await nix.version() >= _WHOLE:
        found: Mapping[str, Any] = await _ask(flake, "hosts")
        return found
    apply = "all: { outputs = [ ]; hosts = builtins.attrNames all; }"
    old: Mapping[str, Any] = await _eval(flake, "nixosConfigurations", apply)
    return old


async def _deploy(flake: Flake, said: Mapping[str, Any], notices: list[str]) -> Source | None:
    if "deploy" not in said["outputs"]:
        return None
    found = await _each(flake, "deploy", notices, "deploy.nodes")
    if found is None:
        return None
    for name in [name for name, node in found.items() if not node["system"]]:
        del found[name]
        notices.append(f"{name}: its node in deploy.nodes has no profile `system`")
    return sources.deploy_nodes(found)


async def _colmena(flake: Flake, said: Mapping[str, Any], notices: list[str]) -> Source | None:
    has_hive = "colmenaHive" in said["outputs"]
    found: dict[str, Any] | None = None
    if "colmena" in said["outputs"]:
        # What is written there may be more than can be read without the module system.
        failures: list[str] = []
        found = await _each(flake, "colmena", failures, "colmena")
        notices += failures if not has_hive else []
    if not has_hive:
        return None if found is None else sources.colmena_nodes(found)
    if found is None:
        unknown = list(await _try(flake, "hive", notices, "colmenaHive") or ())
    else:
        unknown = [name for name, one in found.items() if one["unknown"]]
    if unknown:
        more = await _evaluated(flake, "evaluated", notices, "deployment", unknown)
        found = {**(found or {}), **more}
    return None if found is None else sources.colmena_nodes(found)


async def _clan(
    flake: Flake, said: Mapping[str, Any], attrs: Sequence[str], notices: list[str]
) -> Source | None:
    if not {"clan", "clanInternals"} & {*said["outputs"]}:
        return None
    found = await _try(flake, "clan", notices, "clan")
    if found is None:
        return None
    silent = [name for name in found if name in attrs and found[name]["host"] is None]
    option = "clan.core.networking.targetHost"
    more = await _evaluated(flake, "clanHosts", notices, option, silent)
    for name, host in more.items():
        found[name] = {**found[name], "host": host, "of": option}
    return sources.clan_machines(found)


async def _evaluated(
    flake: Flake, question: str, notices: list[str], what: str, names: Sequence[str]
) -> Mapping[str, Any]:
    """Ask what only an evaluation of hosts tells, of a few hosts at a time."""
    found: dict[str, Any] = {}
    for first in range(0, min(len(names), _MOST_EVALUATED), _AT_ONCE):
        part = names[first : first + _AT_ONCE]
        found |= await _try(flake, question, notices, f"{what} of {', '.join(part)}", part) or {}
    if len(names) > _MOST_EVALUATED:
        rest = len(names) - _MOST_EVALUATED
        notices.append(f"{what} of {rest} hosts is not known without an evaluation: add it by hand")
    return found


async def _each(
    flake: Flake, question: str, notices: list[str], what: str
) -> dict[str, Any] | None:
    """Ask of all nodes at once; where that fails of each alone, so that one hides no other."""
    names = await _try(flake, f"{question}Nodes", notices, what)
    if names is None:
        return None
    failures: list[str] = []
    whole: dict[str, Any] | None = await _try(flake, question, failures, what, names)
    if whole is not None or len(names) == 1:
        notices += failures
        return whole
    found: dict[str, Any] = {}
    for name in names[:_MOST_EVALUATED]:
        found |= await _try(flake, question, notices, f"{what}.{name}", [name]) or {}
    if len(names) > _MOST_EVALUATED:
        notices += failures
    return found


async def _try(
    flake: Flake, question: str, notices: list[str], what: str, names: Iterable[str] | None = None
) -> Any:
    """Ask; where it cannot be told, that is a notice and no error: hosts are known without it."""
    try:
        return await _ask(flake, question, names)
    except StepError as error:
        notices.append(f"{what} cannot be read: {error.message}")
        return None


async def _ask(flake: Flake, question: str, names: Iterable[str] | None = None) -> Any:
    """Put one of the questions of ``read.nix`` to a flake's outputs.

    Raises:
        StepError: Nix cannot evaluate the answer.
    """
    given = "" if names is None else f" ({nix_list(names)})"
    apply = f"outputs: ({_questions()}).{question}{given} outputs"
    return await _eval(flake, ".", apply)


async def _eval(flake: Flake, attr: str, apply: str) -> Any:
    options = (*flake.evaluating, "--apply", apply)
    argv = (*nix.nix_argv("eval", "--json"), *options, f"{flake.reference}#{attr}")
    done = await nix.run_on(flake, argv, deadline=_DEADLINE)
    if done.rc != 0:
        shown = (*nix.nix_argv("flake", "show"), flake.reference)
        raise nix.failed(done, shown, "the flake does not say its hosts", flake.folder)
    return parse_json(done.out)


@functools.cache
def _questions() -> str:
    return Path(__file__).with_name("read.nix").read_text()
