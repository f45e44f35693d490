"""What stands behind an option of a host: its value, its definitions, where it is declared."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from orchestrator.changes.source import Source
from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.host import Host
from orchestrator.core.units import parse_json
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.inventory.tree import nearest
from orchestrator.nix import verbs as nix
from orchestrator.nix.asker import Quiet
from orchestrator.nix.configuration import Configuration, nix_list, nix_string
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.flake import Flake
from orchestrator.secrets.uses import Origin

_FOLDER = Path(__file__).parent
_LONGEST_PATH = 1000
_PART = re.compile(r'(?:"((?:[^"\\]|\\.)+)"|([^\s".]+))(?:\.|\Z)')
_MOST_NAMES = 20

_DEFAULT = 1500
PRIORITIES: Mapping[int | None, str] = {
    10: "mkVMOverride",
    50: "mkForce",
    60: "mkImageMediaOverride",
    100: "",
    1000: "mkDefault",
    _DEFAULT: "the option's default",
}
"""What gives a definition its priority, in nixpkgs' ``lib/modules.nix``; the lowest one counts."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where something stands.

    Attributes:
        file: Relative to the fleet where it is the fleet's; of another source in the store, its
            path there behind ``…/``.
        line: ``None`` where the module computes the name, or stands in no file.
    """

    file: str
    line: int | None = None

    def __str__(self) -> str:
        return self.file if self.line is None else f"{self.file}:{self.line}"


Value = Mapping[str, Any]
"""As ``option.nix`` writes it: ``kind``, ``value``, and of what is shortened its ``size``."""


@dataclass(frozen=True, slots=True)
class Definition:
    """One definition of an option.

    Attributes:
        priority: The lowest number counts; of what is of equal priority, all. ``None`` of what is
            not taken, where that does not say.
        counts: Whether it does.
        value: ``None`` where the definitions' values do not evaluate, and of what is not taken.
        taken: Whether its condition holds.
    """

    at: Position
    priority: int | None
    counts: bool
    value: Value | None
    taken: bool = True


@dataclass(frozen=True, slots=True)
class Option:
    """An option, or what is below one where no option is.

    Attributes:
        path: As it is written in Nix.
        value: ``None`` where it does not evaluate.
        error: Why it does not.
        definitions: The ones that count first, then by their priorities, then what is not taken.
        doubt: Why the definitions may not be all; empty where they are what the module system has.
    """

    path: str
    type: str
    value: Value | None
    error: str = ""
    definitions: tuple[Definition, ...] = ()
    declared: tuple[Position, ...] = ()
    default: Value | None = None
    description: str = ""
    read_only: bool = False
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """A set of options.

    Attributes:
        path: As it is written in Nix.
        names: What is in it.
    """

    path: str
    names: tuple[str, ...]


def parse_path(text: str) -> tuple[str, ...]:
    """Read an attribute path of Nix's: names with dots between, in double quotes where need be.

    Raises:
        UsageError: It is none.
    """
    parts, at = [], 0
    while at < len(text) <= _LONGEST_PATH and (found := _PART.match(text, at)):
        parts.append(re.sub(r"\\(.)", r"\1", found[1]) if found[1] else found[2])
        at = found.end()
    if at < len(text) or not parts or text.endswith(".") or not text.isprintable():
        raise UsageError(
            f"{text[:60]!r} is no path of an option",
            hint="such as services.openssh.enable; a name with dots in double quotes: "
            """'services.nginx.virtualHosts."example.org".root'""",
        )
    return tuple(parts)


def show_path(parts: Sequence[str]) -> str:
    """Write a path as Nix does."""
    plain = re.compile(r"[A-Za-z_][A-Za-z0-9_'-]*")
    quoted = (re.sub(r'(["\\]|\$(?={))', r"\\\1", part) for part in parts)
    return ".".join(
        p if plain.fullmatch(p) else f'"{q}"' for p, q in zip(parts, quoted, strict=True)
    )


async def ask_option(setup: Setup, host: Host, path: str) -> Option | Options:
    """Evaluate what stands behind an option of a host.

    Raises:
        UsageError: It is no path, or there is no such option; names that resemble it are told.
        StepError: The configuration does not evaluate.
    """
    parts = parse_path(path)
    await nix.version()
    async with Source(setup.flake) as source:
        evaluations = Evaluations(source, setup.fleet.limits, setup.state, 1)

        async def ask(asked: Scope) -> Option | Options:
            return await evaluations.ask(Quiet(host), partial(_ask, parts, asked))

        try:
            return await ask(Scope(untaken=True))
        except nix.OutOfMemoryError:
            raise
        except StepError as error:
            return await _without_value(ask, error)


async def _without_value(
    ask: Callable[[Scope], Awaitable[Option | Options]], error: StepError
) -> Option | Options:
    """Tell what is known of an option of which not all evaluates: its value, a definition's."""
    for values, defined in ((True, True), (False, True), (True, False), (False, False)):
        try:
            found = await ask(Scope(values, defined))
        except StepError:
            continue
        if isinstance(found, Option) and not values:
            return replace(found, error=error.message)
        return found
    raise error


@dataclass(frozen=True, slots=True)
class Scope:
    """What is asked of an option, or of all below a folder: the arguments of ``option.nix``.

    Attributes:
        values: Whether its value is wanted, which may not evaluate.
        defined: Likewise the definitions'.
        untaken: Likewise definitions whose condition is false.
        root: The folder.
    """

    values: bool = True
    defined: bool = True
    untaken: bool = False
    root: str = ""

    def nix(self, parts: Sequence[str]) -> str:
        """Write them in Nix's language."""
        flags = {"values": self.values, "defined": self.defined, "untaken": self.untaken}
        words = [f"{name} = {str(flag).lower()};" for name, flag in flags.items()]
        words += [f"root = {nix_string(self.root)};"] if self.root else []
        return f"{{ path = {nix_list(parts)}; {' '.join(words)} }}"


def question(flake: Flake, attr: str, parts: Sequence[str], asked: Scope) -> tuple[str, ...]:
    """The command that asks Nix ``option.nix``'s question of a host."""
    values_, definitions_, option_ = (
        f"({(_FOLDER / name).read_text()})"
        for name in ("option_values.nix", "option_definitions.nix", "option.nix")
    )
    apply = f"let v = {values_}; in {option_} v ({definitions_} v) {asked.nix(parts)}"
    return (
        *nix.nix_argv("eval", "--json", "--apply", apply),
        *flake.evaluating,
        flake.configuration(attr).removesuffix(".config"),
    )


async def _ask(
    parts: tuple[str, ...], asked: Scope, configuration: Configuration
) -> Option | Options:
    flake, attr, host = configuration.flake, configuration.attr, configuration.host
    argv = question(flake, attr, parts, asked)
    done = await configuration.run(argv)
    if done.rc != 0:
        shown = ("nix", "eval", f"{flake.configuration(attr)}.{show_path(parts)}")
        raise configuration.failed(done, shown, "it does not evaluate")
    # Outside of git, the folder itself is compared.
    folder = Path(flake.copied.root if flake.copied else flake.folder)
    return answered(parts, parse_json(done.stdout), host, Origin.of(flake) or Origin(folder, ""))


def answered(
    parts: tuple[str, ...], said: Mapping[str, Any], host: str, origin: Origin | None
) -> Option | Options:
    """Read what ``option.nix`` gives.

    Args:
        parts: The path that was asked for.
        said: The answer.
        host: Whose option it is.
        origin: Tells the fleet's own files.

    Raises:
        UsageError: There is no such option.
    """
    if said["kind"] == "missing":
        raise _missing(said, host)
    if said["kind"] == "group":
        return Options(show_path(parts), tuple(said["names"]))

    def at(one: Mapping[str, Any]) -> Position:
        return Position(_shown(one["file"], origin), one["line"])

    declared = tuple(map(at, said.get("declared", ())))

    def definition(one: Mapping[str, Any]) -> Definition:
        is_default = one["priority"] == _DEFAULT and one["line"] is None and declared
        where = declared[0] if is_default else at(one)
        return Definition(where, one["priority"], one["counts"], one["value"])

    definitions = map(definition, said["definitions"])
    untaken = (replace(definition(one), taken=False) for one in said.get("untaken", ()))
    return Option(
        path=show_path(parts),
        type=said["type"],
        value=said["value"],
        definitions=(
            *sorted(definitions, key=lambda one: (not one.counts, one.priority)),
            *untaken,
        ),
        declared=declared,
        default=said.get("default"),
        description=said.get("description", ""),
        read_only=said.get("readOnly", False),
        doubt=_doubt(said),
    )


def _doubt(said: Mapping[str, Any]) -> str:
    """Hold what the modules say against what the module system has."""
    if not said["whole"]:
        return "this nixpkgs does not say which modules there are: definitions are not known"
    counting = said.get("counting")
    if said["kind"] == "inside" or counting is None:
        return ""
    ours = [one["priority"] for one in said["definitions"] if one["counts"]]
    if len(ours) == len(counting) and (not ours or ours[0] == said["priority"]):
        return ""
    return (
        f"the module system counts {len(counting)} definitions of priority {said['priority']}, "
        f"and {len(ours)} were found in the modules"
    )


def _shown(file: str, origin: Origin | None) -> str:
    """A file as a person knows it."""
    if origin is not None and (ours := origin.path(file)) is not None:
        return ours
    inside = re.sub(r"\A/nix/store/[^/]+/", "…/", file)
    return inside or "(not in a file)"


def _missing(said: Mapping[str, Any], host: str) -> UsageError:
    above, name, names = show_path(said["at"]), said["name"], [str(one) for one in said["names"]]
    near = nearest(name, names)
    where = f"{above} of {host}" if above else host
    if near:
        full = show_path([*said["at"], near])
        return UsageError(
            f"there is no {show_path([name])} in {where}", hint=f"did you mean {full}?"
        )
    few = ", ".join(names[:_MOST_NAMES]) + (
        f", and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    )
    return UsageError(
        f"there is no {show_path([name])} in {where}", hint=f"there are: {few}" if names else None
    )
