"""The systems that a host knows, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from orchestrator.core.generation import Generation, HostSystems
from orchestrator.core.state import Attempt
from orchestrator.core.store import OutPath
from orchestrator.core.units import ago
from orchestrator.render.output import Colour, Output, clean
from orchestrator.render.tables import Cell, Column, print_json, print_table

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
        ("boot default", state.boot_default),
        ("booted", state.booted),
    ):
        if path == system:
            yield word
    if known.last is not None and known.last.before.running == system:
        yield f"before run {known.last.run}"


def _others(known: HostSystems) -> list[OutPath]:
    """Systems that are no generation, and that the host runs, boots or remembers."""
    state = known.state
    named = [state.running, state.profile, state.boot_default, state.booted]
    for attempt in (known.last, known.committed):
        if attempt is not None:
            named += [attempt.target, attempt.before.running]
    found = dict.fromkeys(path for path in named if path is not None)
    return [path for path in found if known.number_of(path) is None]


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
            }
            for generation in known.generations
        ],
        "last": _attempt(known.last, known),
        "committed": _attempt(known.committed, known),
    }


def _attempt(attempt: Attempt | None, known: HostSystems) -> dict[str, object] | None:
    if attempt is None:
        return None
    return {
        "run": attempt.run,
        "who": attempt.who,
        "began": attempt.began.isoformat(),
        "state": attempt.state.value,
        "target": attempt.target.path,
        "before": _text(attempt.before.running),
        "before_gone": attempt.before.running in known.gone,
    }


def _text(path: OutPath | None) -> str | None:
    return None if path is None else path.path


def draw_histories(histories: Mapping[str, str], results: Output) -> None:
    """Write which hosts were deployed from commits that are not checked out here."""
    for host, text in histories.items():
        results.line(f"{host}: {results.paint(clean(text), Colour.WARN)}")
