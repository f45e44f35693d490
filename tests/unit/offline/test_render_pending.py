"""What waits for unreachable hosts, as a table and as JSON; the lines of the service."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from io import StringIO

from render_examples import OUT, stream

from orchestrator.core.event import Notice
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.core.store import DrvPath, Evaluated
from orchestrator.core.values import replace
from orchestrator.offline.draw import WatchLines, draw_pending
from orchestrator.render.output import Output
from orchestrator.runs.pending import Pending

NOW = datetime.now(UTC)
WAITS = Pending(
    host="razer",
    system=Evaluated(DrvPath(f"{OUT}.drv"), OUT),
    run=12,
    who="admin@desk",
    revision=None,
    reason="no route to host",
    since=NOW - timedelta(days=3, hours=1),
    expires=NOW + timedelta(days=7),
)

WATCHED = """\
fleet.json was refreshed
warning: p620: the clock is wrong
p620: unchanged — already runs nixos-system-p620-25.05 (1.2 s), run 12
razer: deployed — 3 packages changed (1.2 s), run 12
samsung: deferred — did not answer (1.2 s), run 12
p510: failed — activation failed (1.2 s), run 12
dex5550: rolled back — verification failed (1.2 s), run 12
spare: skipped — an earlier wave failed (1.2 s), run 12
other: completed — built (1.2 s), run 12
"""


def drawn(*entries: Pending, as_json: bool = False) -> tuple[str, str]:
    """What is written to standard output, and to standard error."""
    results, words = StringIO(), StringIO()
    draw_pending(entries, Output(results), Output(words), as_json=as_json)
    return results.getvalue(), words.getvalue()


def test_each_host_has_a_line() -> None:
    """Since when, until when, and what came of the last try."""
    last = datetime.now(UTC) - timedelta(days=2, hours=1)
    tried = replace(WAITS, host="dex", tries=4, last_try=last)
    failed = replace(tried, host="p510", problem="2 checks\x1b[2J failed")
    out, err = drawn(WAITS, tried, failed)
    heading, *lines = out.splitlines()
    assert heading.split() == ["host", "system", "run", "since", "expires", "last", "try"]
    assert all(
        "3 d ago" in line and f"{WAITS.expires.astimezone():%Y-%m-%d}" in line for line in lines
    )
    assert [line.split("  ")[-1].strip() for line in lines] == [
        "none yet",
        "2 d ago, 4 in all",
        "failed: 2 checks failed",
    ]
    assert err == ""


def test_nothing_waits() -> None:
    """A sentence for a person, and nothing for a program to stumble over."""
    out, err = drawn()
    assert out == ""
    assert "nothing is pending" in err
    assert drawn(as_json=True) == ("{}\n", "")


def test_a_program_gets_every_fact() -> None:
    """`pending --json` has every fact by host, and null for what is not known."""
    found = json.loads(drawn(WAITS, as_json=True)[0])["razer"]
    assert found["out_path"] == OUT.path
    assert found["specialisation"] is None
    chosen = replace(WAITS, specialisation=SpecialisePolicy.parse("gaming"))
    assert json.loads(drawn(chosen, as_json=True)[0])["razer"]["specialisation"] == "gaming"
    assert found["expires"] == WAITS.expires.isoformat()
    assert (found["run"], found["tries"], found["last_try"], found["problem"]) == (
        12,
        0,
        None,
        None,
    )


def test_the_service_says_what_happened_and_nothing_else() -> None:
    """Ends and notices, each with its run; no phases, no progress."""
    output = StringIO()
    lines = WatchLines(Output(output))
    for event in stream():
        lines.handle(event)
    assert output.getvalue() == WATCHED


def test_what_a_host_says_cannot_draw() -> None:
    """Control characters do not reach the journal."""
    output = StringIO()
    WatchLines(Output(output)).handle(Notice("\x1b]0;x\x07gone", "razer"))
    assert output.getvalue() == "razer: gone\n"
