"""The live display, the choice of renderers, and streams that fail."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import time
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest
from render_examples import FakeClock, run, stream

from orchestrator.core.event import (
    Event,
    HostFinished,
    Notice,
    Phase,
    PhaseStarted,
    Progress,
    RunStarted,
)
from orchestrator.core.outcome import Skipped
from orchestrator.core.plan import Goal
from orchestrator.render.output import Colour, Output, clean, cut, width
from orchestrator.render.plain import Fanout, Renderer
from orchestrator.render.report import choose
from orchestrator.render.terminal import Board, Terminal, lines

BOARD = """\
run 12: switch, 7 hosts, logs in /runs/12
= p620     unchanged              1.2 s  already runs nixos-system-p620-25.05
✓ razer    deployed               1.2 s  3 packages changed
- samsung  deferred               1.2 s  did not answer
✗ p510     failed                 1.2 s  activation failed
✗ dex5550  rolled back            1.2 s  verification failed
- spare    skipped                1.2 s  an earlier wave failed
✓ other    completed              1.2 s  built
"""


@pytest.fixture(autouse=True)
def capable_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal is one that can move its cursor, wherever the tests run."""
    monkeypatch.setenv("TERM", "xterm-256color")


def board(events: list[tuple[float, Event]]) -> Board:
    """Make a board of events and their times."""
    result = Board()
    for now, event in events:
        result = result.after(event, now)
    return result


def started(*hosts: str) -> RunStarted:
    """Begin a run of these hosts."""
    return RunStarted(run(), Goal.SWITCH, hosts)


def test_board_has_every_outcome() -> None:
    """A finished host's line says its outcome, its time and why."""
    shown = board([(0.0, event) for event in stream()])
    assert "\n".join(lines(shown, 1.0, 80, 24, Output(StringIO()))) + "\n" == BOARD


def test_board_counts_phase_and_total() -> None:
    """A busy host's line has its phase, the time in it, the time in all and what it is at."""
    shown = board(
        [
            (0.0, started("p620", "razer")),
            (1.0, PhaseStarted("p620", Phase.EVALUATE)),
            (61.0, PhaseStarted("p620", Phase.BUILD)),
            (62.0, Progress("p620", "hello-2.12")),
        ]
    )
    _, first, second = lines(shown, 66.0, 80, 24, Output(StringIO()))
    assert first[1:] == " p620   building        0:05    1:05  hello-2.12"
    assert second.rstrip() == "· razer  waiting"


def test_board_fits_any_terminal() -> None:
    """Twenty-eight hosts fit into 80 by 24: the busy ones stay, the rest is counted."""
    names = [f"host-{number}" for number in range(28)]
    events: list[tuple[float, Event]] = [(0.0, started(*names))]
    events += [(0.0, HostFinished(name, Skipped("x"), 1)) for name in names[:20]]
    events += [(0.0, PhaseStarted(names[27], Phase.COPY)), (0, Progress(names[27], "漢字" * 80))]
    drawn = lines(board(events), 1.0, 80, 23, Output(StringIO()))
    assert len(drawn) == 23
    assert all(width(line) <= 80 for line in drawn)
    assert any("host-27" in line for line in drawn)
    assert drawn[-1] == "  … 7 more: 7 skipped"


def test_terminal_leaves_nothing_behind() -> None:
    """The display is taken away at the end, notices stay, and the cursor is shown again."""
    text, clock = StringIO(), FakeClock()
    terminal = Terminal(Output(text, columns=80), clock, delay=None, height=24)
    terminal.handle(started("p620"))
    terminal.show()
    terminal.handle(PhaseStarted("p620", Phase.BUILD))
    terminal.handle(Notice("the \x1b[2Jclock is wrong", "p620", warning=True))
    terminal.close()
    terminal.close()
    drawn = text.getvalue()
    assert "warning: p620: the clock is wrong" in drawn
    assert "building" in drawn
    assert drawn.rindex("\x1b[?25h") > drawn.rindex("\x1b[?25l")
    # ESC [ 2 K erases a line: each drawn one, at the end.
    assert drawn[drawn.rindex("building") :].count("\x1b[2K") >= 2


def test_a_second_run_is_drawn_too() -> None:
    """One after the other, each with a board of its own."""
    text = StringIO()
    terminal = Terminal(Output(text, columns=80), FakeClock(), delay=None, height=24)
    for event in stream():
        terminal.handle(event)
    before = text.getvalue()
    assert "\x1b" not in before
    terminal.handle(started("p620"))
    terminal.show()
    terminal.handle(PhaseStarted("p620", Phase.BUILD))
    terminal.close()
    assert "building" in text.getvalue()


def test_quick_run_draws_no_display() -> None:
    """A run that ends at once draws no board, and does not even load rich."""
    text = StringIO()
    terminal = Terminal(Output(text), FakeClock(), delay=5)
    for event in stream():
        if not isinstance(event, Notice):
            terminal.handle(event)
    terminal.show()
    assert text.getvalue() == "run 12: switch, 7 hosts, logs in /runs/12\n"


def test_display_restores_the_cursor_on_interrupt(tmp_path: Path) -> None:
    """On a real terminal an interrupt leaves the cursor shown."""
    script = tmp_path / "script.py"
    script.write_text(
        "import os, sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from render_examples import stream\n"
        "from orchestrator.render.report import choose\n"
        "with choose(False, sys.stdout, sys.stderr, {'TERM': 'xterm'}) as all:\n"
        "    for event in stream()[:3]:\n"
        "        all.handle(event)\n"
        "    time.sleep(0.8)\n"
        "    raise KeyboardInterrupt\n"
    )
    ours, theirs = pty.openpty()
    with subprocess.Popen([sys.executable, script], stdin=theirs, stdout=theirs, stderr=theirs):
        os.close(theirs)
        drawn = _all(ours)
    assert b"\x1b[?25l" in drawn
    assert drawn.rindex(b"\x1b[?25h") > drawn.rindex(b"\x1b[?25l")
    assert re.search(rb"evaluating +\x1b\[0m +0:00", drawn)


def test_piped_run_has_no_control_characters() -> None:
    """Without a terminal there are plain lines on standard error and a table on the other."""
    stdout, stderr = StringIO(), StringIO()
    with choose(False, stdout, stderr, {"TERM": "xterm"}) as renderer:
        for event in stream():
            renderer.handle(event)
    assert stdout.getvalue().startswith("host ")
    assert "p620: evaluating\n" in stderr.getvalue()
    assert "\x1b" not in stdout.getvalue() + stderr.getvalue()


def test_json_alone_is_on_standard_output() -> None:
    """With JSON, every line of standard output is a JSON object."""
    stdout, stderr = StringIO(), StringIO()
    with choose(True, stdout, stderr, {}) as renderer:
        for event in stream():
            renderer.handle(event)
    assert all(line.startswith("{") for line in stdout.getvalue().splitlines())
    assert "p620: evaluating\n" in stderr.getvalue()


class Tty(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


@pytest.mark.parametrize(
    ("env", "coloured"), [({"TERM": "xterm"}, True), ({"NO_COLOR": "1"}, False), ({}, True)]
)
def test_no_color_is_honoured(env: dict[str, str], coloured: bool) -> None:
    """NO_COLOR takes colours from a terminal, too."""
    assert Output.of(Tty(), env).colour is coloured


def test_dumb_terminal_gets_plain_lines() -> None:
    """A terminal that cannot move its cursor gets plain lines without colours."""
    stderr = Tty()
    with choose(False, StringIO(), stderr, {"TERM": "dumb"}) as renderer:
        for event in stream():
            renderer.handle(event)
    assert "p620: evaluating\n" in stderr.getvalue()
    assert "\x1b" not in stderr.getvalue()


class Broken(Renderer):
    """Raises at each event."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.closed = 0

    def handle(self, event: Event) -> None:  # noqa: ARG002
        """Raise."""
        raise self.error

    def close(self) -> None:
        """Count."""
        self.closed += 1


def test_failing_renderer_is_dropped() -> None:
    """A full disk takes one renderer away, once and with a warning, and nothing else."""
    warnings, text = StringIO(), StringIO()
    broken = Broken(OSError(28, "No space left on device"))
    good = choose(True, text, StringIO(), {})
    with Fanout([broken, good], Output(warnings)) as fanout:
        for event in stream():
            fanout.handle(event)
    assert '"type": "report"' in text.getvalue()
    assert broken.closed == 1
    assert warnings.getvalue() == (
        "warning: Broken stopped: No space left on device; the deployment goes on without it\n"
    )


def test_everything_may_be_closed() -> None:
    """With both streams closed a run still comes to its end."""
    stdout, stderr = StringIO(), StringIO()
    stdout.close()
    stderr.close()
    with choose(False, stdout, stderr, {}) as renderer:
        for event in stream():
            renderer.handle(event)


def test_closed_pipe_does_not_change_the_exit_code() -> None:
    """Python's own flush at exit finds no broken pipe after we met one."""
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parents[1])!r})\n"
        "from render_examples import stream\n"
        "from orchestrator.render.report import choose\n"
        "sys.stdin.read()\n"
        "with choose(True, sys.stdout, sys.stderr, {}) as all:\n"
        "    for event in stream():\n"
        "        all.handle(event)\n"
        "sys.exit(3)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stderr
        child.stdout.close()
        child.stdin.close()
        said = child.stderr.read().decode()
        assert child.wait() == 3
    assert "JsonLines stopped: Broken pipe" in said
    assert "Exception ignored" not in said


def test_ascii_stream_gets_question_marks() -> None:
    """A stream that knows no Unicode gets the line all the same."""
    raw = BytesIO()
    stream = TextIOWrapper(raw, encoding="ascii")
    Output(stream).line("p620: unchanged — ok")
    assert raw.getvalue() == b"p620: unchanged ? ok\n"


def test_text_is_cut_by_cells() -> None:
    """Text is cut by terminal cells, of which a wide character takes two."""
    assert cut("abcdef", 4) == "abc…"
    assert cut("漢字漢字", 4) == "漢…"
    assert cut("abc", 0) == ""
    assert width("é漢e\u0301") == 4
    assert len(cut("a" + 9999 * "\u0301", 4)) == 16


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[m", "red"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\after", "after"),
        ("\x1b(Bset\x1b=", "set"),
        ("never ended \x1b]0;title", "never ended "),
        ("a\tb\x00\x07\x7f", "a    b"),
        ("\u202eevil\u2066", "evil"),
        ("50%\r100%", "50% 100%"),
        ("naïve — ok", "naïve — ok"),
    ],
)
def test_clean_leaves_text_alone(text: str, cleaned: str) -> None:
    """Nothing that a terminal obeys is left, and nothing else is taken."""
    assert clean(text) == cleaned


def test_a_line_of_controls_is_cleaned_in_one_pass() -> None:
    """Strings that never end, one in the other: each character is looked at once."""
    assert clean("a" + "\x9d" * 500_000 + "\x1bZ" + "b") == "ab"


def test_nothing_that_controls_a_terminal_is_ever_written() -> None:
    """No control character is written to a terminal but our own, even from unclean text."""
    written = StringIO()
    output = Output(written, colour=True)
    evil = "\x1b[2J\x1b]0;t\x07\x9b1A\u202eabc\u2066\r\x08\u2028x\x1b[31;7m"
    output.line(output.paint("name", Colour.BAD) + f" {evil}")
    text = written.getvalue()
    assert text.endswith("[2J]0;t1Aabcx\x1b[31;7m\n")
    assert text.startswith(output.paint("name", Colour.BAD))


def _all(descriptor: int) -> bytes:
    parts, end = [], time.monotonic() + 60
    while time.monotonic() < end:
        try:
            part = os.read(descriptor, 65536)
        except OSError:  # The other end is closed.
            break
        if not part:
            break
        parts.append(part)
    os.close(descriptor)
    return b"".join(parts)
