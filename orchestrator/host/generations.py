"""A host's generations: asked, read, drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.generation import Generation, HostSystems
from orchestrator.core.state import Attempt, HostState
from orchestrator.core.store import OutPath, Specialised, is_specialisation
from orchestrator.core.units import ago, split_lines, whole_number
from orchestrator.host.guard.lines import parse_attempt
from orchestrator.host.scripts import script
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.report import Cell, Column, print_json, print_table

_COLUMNS = (
    Column("generation", right=True),
    Column("made"),
    Column("version"),
    Column("system", flexible=True),
    Column("is"),
)


def draw_systems(known: HostSystems, results: Output, *, as_json: bool) -> None:
    """Draw a host's generations, newest first, then systems that only its records name."""
    if as_json:
        print_json(results, _to_json(known))
        return
    now = datetime.now(UTC)
    rows = [_row(known, generation, now) for generation in known.generations]
    rows += [("", "", "", system.short, _uses(known, system)) for system in _others(known)]
    print_table(results, _COLUMNS, rows)


def _row(known: HostSystems, generation: Generation, now: datetime) -> tuple[str | Cell, ...]:
    system = generation.system
    return (
        str(generation.number),
        ago(generation.made, now) if generation.made else "",
        generation.version or "",
        system.short if system else "no path of the store",
        _uses(known, system, generation.number) if system else "",
    )


def _uses(known: HostSystems, system: OutPath, number: int | None = None) -> str | Cell:
    words = ", ".join(_words(known, system, number))
    return Cell(words or "gone", Colour.BAD) if system in known.gone else words


def _words(known: HostSystems, system: OutPath, number: int | None = None) -> Iterator[str]:
    """Say what a system is to the host; of a system's generations only the newest is said so."""
    if system in known.gone:
        yield "gone"
    if number is not None and number != known.number_of(system):
        return
    state = known.state
    for word, path in (
        ("running", state.running),
        ("profile", state.profile),
        ("boot default", state.boot_default if state.boot_source.is_boot_loader else None),
        ("booted", state.booted),
    ):
        if path == system:
            yield word
        elif path is not None and (named := known.named(path, state.profile))[1]:
            yield from (f"{word} as specialisation {named[1]}",) if named[0] == system else ()
    if known.last is not None and known.came_from(known.last) == system:
        yield f"before run {known.last.run}"


def _others(known: HostSystems) -> list[OutPath]:
    """Systems that are no generation, and that the host runs, boots or remembers."""
    state = known.state
    named = [state.running, state.profile, state.boot_default, state.booted]
    for attempt in (known.last, known.committed):
        if attempt is not None:
            named += [attempt.target, known.came_from(attempt)]
    found = dict.fromkeys(path for path in named if path is not None)
    unnamed = [path for path in found if path not in known.specialisations]
    return [path for path in unnamed if known.number_of(path) is None]


def _to_json(known: HostSystems) -> dict[str, object]:
    state = known.state
    return {
        "running": _text(state.running),
        "profile": _text(state.profile),
        "boot_default": _text(state.boot_default),
        "booted": _text(state.booted),
        "generations": [
            {
                "generation": generation.number,
                "made": generation.made.isoformat() if generation.made else None,
                "system": _text(generation.system),
                "version": generation.version,
                "gone": generation.system in known.gone,
                "specialisations": _names(known, generation.system),
            }
            for generation in known.generations
        ],
        "last": _attempt(known.last, known),
        "committed": _attempt(known.committed, known),
    }


def _names(known: HostSystems, system: OutPath | None) -> list[str]:
    variants = (one for each in known.specialisations.values() for one in each)
    return sorted(one.name for one in variants if one.system == system)


def _attempt(attempt: Attempt | None, known: HostSystems) -> dict[str, object] | None:
    if attempt is None:
        return None
    return {
        "run": attempt.run,
        "who": attempt.who,
        "began": attempt.began.isoformat(),
        "state": attempt.state.value,
        "target": attempt.target.path,
        "before": _text(known.came_from(attempt)),
        "before_gone": known.came_from(attempt) in known.gone,
    }


def _text(path: OutPath | None) -> str | None:
    return None if path is None else path.path


def draw_histories(histories: Mapping[str, str], results: Output) -> None:
    """Write which hosts were deployed from commits that are not checked out here."""
    for host, text in histories.items():
        results.line(f"{host}: {results.paint(clean(text), Colour.WARN)}")


# Print `generation=NUMBER SECONDS SYSTEM VERSION` of each, `variant=NUMBER PATH NAME` of each
# specialisation of one, the lines of the last attempt that was committed as `attempt.KEY=…`, and
# `gone=SYSTEM` of each system whose files are there no more.
GENERATIONS = r"""
systems=
for link in /nix/var/nix/profiles/system-*-link; do
  [ -L "$link" ] || continue
  number=${link##*/system-} number=${number%-link}
  system=$(readlink "$link")
  version=
  { read -r version < "$link/nixos-version"; } 2>/dev/null
  printf 'generation=%s %s %s %s\n' "$number" "$(stat -c %Y "$link")" "$system" "$version"
  systems="$systems $system"
  for variant in "$link"/specialisation/*; do
    [ -L "$variant" ] || continue
    printf 'variant=%s %s %s\n' "$number" "$(readlink "$variant")" "${variant##*/}"
  done
done
record=/var/lib/orchestrator/record
sed 's/^/attempt./' "$record" 2>/dev/null
for file in /run/orchestrator/attempt /var/lib/orchestrator/attempt "$record"; do
  systems="$systems $(sed -n 's/^target=//p; s/^running=//p' "$file" 2>/dev/null)"
done
# A name of the store may have a question mark in it.
set -f
set -- $systems
# What runs may have no Nix of its own.
for system; do PATH=$PATH:$system/sw/bin; done
[ $# = 0 ] || nix-store --check-validity --print-invalid "$@" 2>/dev/null |
  while read -r system; do printf 'gone=%s\n' "$system"; done
echo end=
"""

# Whether a system can be gone back to: 3 where its files are not there, 4 where it is no system.
# $1 the system
IS_THERE = r"""
# What runs may have no Nix of its own.
PATH=$PATH:$1/sw/bin
nix-store --check-validity "$1" 2>/dev/null || exit 3
[ -x "$1/bin/switch-to-configuration" ] || exit 4
"""

NOT_THERE, NO_SYSTEM = 3, 4

_MOST = 10_000
"""Generations: NixOS itself keeps fewer, as its boot loader lists each."""


async def ask_systems(executor: Executor, state: HostState, deadline: float) -> HostSystems:
    """Ask which systems a host knows; ``state`` is its answer of the same moment.

    Raises:
        StepError: It did not answer, or not in this form.
    """
    done = await executor.run(script(GENERATIONS), deadline=deadline)
    if done.rc != 0 or "end=" not in split_lines(done.out):
        raise StepError(
            f"the host did not say which generations it has (exit {done.rc})",
            command=executor.repeat(("ls", "-l", "/nix/var/nix/profiles")),
            stderr=done.err,
        )
    found = parse_systems(done.out, state)
    if len(found.generations) > _MOST:
        raise StepError(
            f"the host has {len(found.generations)} generations; more than {_MOST} are not read",
            hint="remove old ones: nix-collect-garbage --delete-older-than 30d",
            command=executor.repeat(("ls", "/nix/var/nix/profiles")),
        )
    return found


async def is_there(executor: Executor, system: OutPath, deadline: float) -> bool:
    """Whether a system's files are all on the host.

    Raises:
        StepError: They are, and it is no NixOS system; or the host did not say.
    """
    done = await executor.run(script(IS_THERE, system.path), deadline=deadline)
    if done.rc == NOT_THERE:
        return False
    if done.rc == NO_SYSTEM:
        raise StepError(f"{system} is no NixOS system: it has no bin/switch-to-configuration")
    if done.rc != 0:
        raise StepError(f"the host did not say whether it has {system}", stderr=done.err)
    return True


def parse_systems(text: str, state: HostState) -> HostSystems:
    """Read what ``GENERATIONS`` prints; what is not understood of it is left out."""
    generations: list[Generation] = []
    gone: set[OutPath] = set()
    recorded: dict[str, str] = {}
    variants: list[tuple[int, OutPath, str]] = []
    for line in split_lines(text):
        key, _, value = line.partition("=")
        if key == "generation":
            generations += _generation(value)
        elif key == "variant":
            variants += _variant(value)
        elif key == "gone":
            gone |= {path} if (path := _path(value)) else set()
        else:
            recorded.setdefault(key, value)
    generations.sort(key=lambda generation: generation.number, reverse=True)
    return HostSystems(
        state=state,
        generations=tuple(generations),
        committed=parse_attempt(recorded),
        gone=frozenset(gone),
        specialisations=_specialisations(generations, variants),
    )


def _generation(value: str) -> list[Generation]:
    number, made, system, version = [*value.split(" ", 3), "", "", ""][:4]
    if (count := whole_number(number)) is None:
        return []
    return [Generation(count, _time(made), _path(system), version or None)]


def _variant(value: str) -> list[tuple[int, OutPath, str]]:
    number, _, rest = value.partition(" ")
    path, _, name = rest.partition(" ")
    count, found = whole_number(number), _path(path)
    if count is None or found is None or not is_specialisation(name):
        return []
    return [(count, found, name)]


def _specialisations(
    generations: list[Generation], variants: list[tuple[int, OutPath, str]]
) -> dict[OutPath, tuple[Specialised, ...]]:
    systems = {each.number: each.system for each in generations}
    found: dict[OutPath, tuple[Specialised, ...]] = {}
    for number, path, name in sorted(variants, reverse=True):
        if (system := systems.get(number)) is not None:
            found[path] = (*found.get(path, ()), Specialised(system, name))
    return found


def _path(text: str) -> OutPath | None:
    with contextlib.suppress(ValueError):
        return OutPath.parse(text)
    return None


def _time(seconds: str) -> datetime | None:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(int(seconds), UTC)
    return None
