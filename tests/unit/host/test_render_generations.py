"""The table of a host's systems."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO

from orchestrator.core.generation import Generation, HostSystems
from orchestrator.core.plan import Goal
from orchestrator.core.state import Attempt, AttemptState, BootSource, HostState
from orchestrator.core.store import OutPath
from orchestrator.host.generations import draw_systems
from orchestrator.render.output import Output

MADE = datetime(2024, 5, 6, tzinfo=UTC)


def _path(letter: str) -> OutPath:
    return OutPath(f"/nix/store/{letter * 32}-nixos-system-{letter}")


NEW, OLD, GONE, STRAY = _path("n"), _path("d"), _path("x"), _path("s")
ATTEMPT = Attempt(
    token="12-abc",
    goal=Goal.SWITCH,
    target=NEW,
    before=HostState("m", STRAY, OLD, OLD, OLD),
    run=12,
    who="me@here",
    revision=None,
    began=MADE,
    state=AttemptState.DONE,
)
KNOWN = HostSystems(
    state=HostState(
        "m",
        running=NEW,
        booted=OLD,
        profile=NEW,
        boot_default=NEW,
        boot_source=BootSource.GRUB,
        attempt=ATTEMPT,
    ),
    generations=(
        Generation(9, MADE, NEW, "25.05"),
        Generation(8, None, NEW),
        Generation(7, MADE, OLD, "24.11"),
        Generation(6, MADE, GONE),
        Generation(5, MADE, None),
    ),
    committed=ATTEMPT,
    gone=frozenset({GONE}),
)


def drawn(*, as_json: bool = False) -> str:
    """What is on standard output."""
    text = StringIO()
    draw_systems(KNOWN, Output(text), as_json=as_json)
    return text.getvalue()


def test_each_generation_says_what_it_is() -> None:
    """Of one system's generations the newest; what only a record names comes last."""
    heading, *rows = drawn().splitlines()
    assert heading.split() == ["generation", "made", "version", "system", "is"]
    assert [row.split("  ")[-1].strip() for row in rows] == [
        "running, profile, boot default",
        "nnnnn…-nixos-system-n",
        "booted",
        "gone",
        "no path of the store",
        "before run 12",
    ]
    assert rows[-1].split()[0] == STRAY.short


def test_json_has_the_whole_paths() -> None:
    """A script's JSON has each generation's whole path, and whether its files are there."""
    known = json.loads(drawn(as_json=True))
    assert (known["running"], known["booted"]) == (NEW.path, OLD.path)
    assert known["generations"][3] == {
        "generation": 6,
        "made": "2024-05-06T00:00:00+00:00",
        "system": GONE.path,
        "version": None,
        "gone": True,
        "specialisations": [],
    }
    assert (known["last"]["before"], known["last"]["before_gone"]) == (STRAY.path, False)


def test_a_host_that_was_never_deployed() -> None:
    """A host that was never deployed has a heading and no rows, and empty JSON."""
    text = StringIO()
    draw_systems(HostSystems(HostState("m", *[None] * 4)), Output(text), as_json=True)
    known = json.loads(text.getvalue())
    assert (known["generations"], known["last"], known["committed"]) == ([], None, None)
