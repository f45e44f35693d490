"""Plain lines, the report and errors, to the letter."""

from __future__ import annotations

from io import StringIO

from render_examples import NOON, OUT, OUTCOMES, PROBLEM, FakeClock, report, stream

from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.event import Notice, Progress, RunFinished
from orchestrator.core.outcome import Deployed
from orchestrator.core.plan import Goal
from orchestrator.core.run import Report
from orchestrator.render.output import Output
from orchestrator.render.plain import PlainLines
from orchestrator.render.report import ReportTable, draw_error, draw_problem, summary

PLAIN = """\
run 12: switch, 7 hosts, logs in /runs/12
fleet.json was refreshed
p620: evaluating
warning: p620: the clock is wrong
p620: unchanged — already runs nixos-system-p620-25.05 (1.2 s)
razer: deployed — 3 packages changed (1.2 s)
samsung: deferred — did not answer (1.2 s)
p510: failed — activation failed (1.2 s)
dex5550: rolled back — verification failed (1.2 s)
spare: skipped — an earlier wave failed (1.2 s)
other: completed — built (1.2 s)
"""

TABLE = """\
host     outcome      what changed                           time
p620     unchanged    already runs nixos-system-p620-25.05  1.2 s
razer    deployed     3 packages changed                    1.2 s
samsung  deferred     did not answer                        1.2 s
p510     failed       activation failed                     1.2 s
dex5550  rolled back  verification failed                   1.2 s
spare    skipped      an earlier wave failed                1.2 s
other    completed    built                                 1.2 s
run 12: 1 unchanged, 1 deployed, 1 deferred, 1 failed, 1 rolled back, 1 skipped, 1 completed in 12 s (exit 1)
"""  # noqa: E501

PROBLEM_TEXT = """\
error: host 'p510': activate failed: switch-to-configuration failed (exit 4)
now: p510 runs nixos-system-p510-25.05, as before
hint: look at the unit's journal
repeat by hand: ssh p510 systemctl status broken
""" + "".join(f"  | line {number}\n" for number in range(5, 25))


def test_plain_lines_tell_every_outcome() -> None:
    """A piped run has one line for each thing that matters, and no control character."""
    text = StringIO()
    renderer = PlainLines(Output(text), FakeClock())
    with renderer:
        for event in stream():
            renderer.handle(event)
    assert text.getvalue() == PLAIN


def test_plain_progress_is_a_sign_of_life() -> None:
    """Progress is worth a line only when a host was silent for ten seconds."""
    text, clock = StringIO(), FakeClock(100)
    renderer = PlainLines(Output(text), clock)
    for clock.now in (100, 105, 109.9, 110, 111, 121):
        renderer.handle(Progress("p620", f"at {clock.now:g}"))
    assert text.getvalue() == "p620: at 100\np620: at 110\np620: at 121\n"


def test_verbose_plain_lines_have_the_log() -> None:
    """With verbose, what commands say is shown too, one line at a time."""
    text = StringIO()
    renderer = PlainLines(Output(text), FakeClock(), verbose=True)
    for event in stream():
        renderer.handle(event)
    assert "p620: | $ nix eval second\n" in text.getvalue()


def test_report_has_table_and_problems() -> None:
    """The table goes to standard output; warnings and failures go to standard error."""
    results, words = StringIO(), StringIO()
    ReportTable(Output(results), Output(words)).handle(RunFinished(report()))
    assert results.getvalue() == TABLE
    assert words.getvalue() == (
        "warning: razer: degraded before and after\n"
        f"\n{PROBLEM_TEXT}log: orchestrator run logs 12 p510\n"
        f"\n{PROBLEM_TEXT.replace('p510', 'dex5550', 1)}log: orchestrator run logs 12 dex5550\n"
    )


def test_what_many_hosts_are_warned_of_is_said_once() -> None:
    """With all their names, in the report's order."""
    words = StringIO()
    hosts = report({"p620": OUTCOMES["razer"], "razer": OUTCOMES["razer"]}).hosts
    run = Report(report().run, Goal.SWITCH, False, hosts, 0.5)
    ReportTable(Output(StringIO()), Output(words)).handle(RunFinished(run))
    assert words.getvalue() == "warning: p620, razer: degraded before and after\n"


def test_report_fits_a_terminal() -> None:
    """On a terminal no line of the table is longer than the terminal is wide."""
    results = StringIO()
    output = Output(results, columns=44)
    ReportTable(output, Output(StringIO())).handle(RunFinished(report()))
    rows = results.getvalue().splitlines()[:-1]
    assert rows[1] == "p620     unchanged    already runs n…  1.2 s"
    assert all(len(row) <= 44 for row in rows)


def test_plan_says_would() -> None:
    """A plan's words claim nothing that was not done."""
    hosts = report({"p620": OUTCOMES["p620"], "razer": OUTCOMES["razer"]}).hosts
    plan = Report(report().run, Goal.SWITCH, True, hosts, 0.5)
    assert summary(plan) == "plan: 1 unchanged, 1 would switch in 0.5 s"


def test_interrupted_run_says_so() -> None:
    """An interrupted run is told as such, with its exit code."""
    stopped = Report(report().run, Goal.SWITCH, False, {}, 65, interrupted=True)
    assert summary(stopped) == "run 12: interrupted; no hosts in 1:05 (exit 130)"


def test_refusal_is_no_failure() -> None:
    """A check that refused is said to have refused."""
    text = StringIO()
    refusal = type(PROBLEM)(step="preflight", message="no room", refused=True)
    draw_problem("p620", refusal, "/x.log", Output(text))
    assert text.getvalue() == "error: host 'p620': preflight refused: no room\nlog: /x.log\n"


def test_hosts_text_cannot_draw() -> None:
    """Escapes in a host's words reach neither lines nor report."""
    evil = "\x1b]0;title\x07\x1b[2Jgone\x1b[31m\r\nnext\x9b5m\u202eend"
    text = StringIO()
    renderer = PlainLines(Output(text), FakeClock(), verbose=True)
    renderer.handle(Notice(evil, "p620"))
    renderer.handle(Progress("p620", evil))
    outcome = Deployed(evil, OUT, Goal.SWITCH, (evil,))
    ReportTable(Output(text), Output(text)).handle(RunFinished(report({"p620": outcome})))
    assert all(
        character.isprintable() for line in text.getvalue().split("\n") for character in line
    )
    assert "p620: gone  nextend\n" in text.getvalue()


def test_error_has_hint_command_and_words() -> None:
    """An error that ends a command has all that a person needs to go on."""
    text = StringIO()
    error = StepError("it failed", hint="try this", command="nix eval", stderr="a\nb\x1b[1m\n")
    draw_error(error, Output(text, colour=False))
    assert text.getvalue() == (
        "error: it failed\nhint: try this\nrepeat by hand: nix eval\n  | a\n  | b\n"
    )


def test_error_of_many_lines_keeps_them() -> None:
    """All of an inventory's mistakes are shown, each on its line."""
    text = StringIO()
    draw_error(UsageError("2 mistakes\n  a.yaml:1: x\n  b.yaml:2: y"), Output(text))
    assert text.getvalue() == "error: 2 mistakes\n  a.yaml:1: x\n  b.yaml:2: y\n"


def test_colour_is_for_terminals() -> None:
    """Colours are written where they are asked for, and nowhere else."""
    text = StringIO()
    draw_error(UsageError("no"), Output(text, colour=True))
    assert text.getvalue() == "\x1b[31merror:\x1b[0m no\n"
    assert NOON.tzinfo is not None
