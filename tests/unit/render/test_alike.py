"""Members of a class in a report: one row where they ended equally."""

from __future__ import annotations

import io

from render_examples import OUT, report

from orchestrator.core.outcome import Deployed, Failed, Outcome, Problem, Skipped, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.run import Report
from orchestrator.core.values import replace
from orchestrator.render.event_json import report_json
from orchestrator.render.markdown import document
from orchestrator.render.output import Output
from orchestrator.render.report import draw_report

TIMES = "\N{MULTIPLICATION SIGN}"


def of_kiosks(outcomes: dict[str, Outcome], *, plan: bool = False) -> Report:
    """A report whose kiosks are one class, each a little slower than the one before."""
    made = report(outcomes)
    hosts = {
        name: replace(result, of="kiosk" if "kiosk" in name else None, seconds=float(number))
        for number, (name, result) in enumerate(made.hosts.items(), 1)
    }
    return replace(made, hosts=hosts, plan_only=plan)


def drawn(it: Report) -> tuple[list[str], str]:
    """The lines of standard output, and standard error."""
    results, words = io.StringIO(), io.StringIO()
    draw_report(it, Output.of(results, {}), Output.of(words, {}))
    return [" ".join(line.split()) for line in results.getvalue().split("\n")], words.getvalue()


def kiosks(count: int, outcome: Outcome) -> dict[str, Outcome]:
    """So many kiosks that ended equally."""
    return {f"kiosk-{n}": outcome for n in range(1, count + 1)}


def test_a_plan_says_how_many_get_the_same_system() -> None:
    """A thousand equal machines are one row, with the time of the slowest."""
    would = Deployed("it runs the old one", OUT, Goal.SWITCH)
    lines, _ = drawn(of_kiosks({"web1": would, **kiosks(1000, would)}, plan=True))
    assert len(lines) == 5
    assert lines[1].startswith("web1 would switch it runs the old one")
    assert lines[2].startswith(
        f"kiosk would switch 1,000 {TIMES} the same system: it runs the old one"
    )
    assert lines[2].endswith("16:41")


def test_markdown_has_one_row_for_them_too() -> None:
    """A comment on a change says what is meant for a thousand machines once, and how many it is."""
    would = Deployed("why", OUT, Goal.SWITCH, warnings=("swap is short",))
    outcomes: dict[str, Outcome] = {**kiosks(999, would), "web1": would}
    lines = list(document(of_kiosks(outcomes, plan=True)))
    assert f"| `kiosk` | would switch | `999 {TIMES} the same system: why` |" in lines
    assert "| `web1` | would switch | `why` |" in lines
    assert "- **warning** `999 of kiosk, web1`: `swap is short`" in lines


def test_who_differs_has_a_row_of_its_own() -> None:
    """Another outcome, another reason, and each one that failed are told by host."""
    same, failed = Unchanged("same", OUT), Failed("broken", Problem("build", "broken"))
    outcomes: dict[str, Outcome] = {
        **kiosks(9, same),
        "kiosk-3": Unchanged("another", OUT),
        "kiosk-5": failed,
        "kiosk-6": failed,
        "kiosk-7": failed,
    }
    lines, words = drawn(of_kiosks(outcomes))
    assert [line.split()[0] for line in lines[1:6]] == [
        "kiosk", "kiosk-3", "kiosk-5", "kiosk-6", "kiosk-7"
    ]  # fmt: skip
    assert f"5 {TIMES} the same system: same" in lines[1]
    assert words.count("error: host 'kiosk-") == 3


def test_what_was_not_begun_has_no_system() -> None:
    """Skipped members are counted, and no system is said of them."""
    lines, _ = drawn(of_kiosks(kiosks(3, Skipped("an earlier wave failed"))))
    assert f"3 {TIMES} an earlier wave failed" in lines[1]


def test_few_members_are_told_one_by_one() -> None:
    """Two names say more than a count."""
    lines, _ = drawn(of_kiosks(kiosks(2, Unchanged("same", OUT))))
    assert [line.split()[0] for line in lines[1:3]] == ["kiosk-1", "kiosk-2"]


def test_hosts_of_no_class_are_never_put_together() -> None:
    """Equal ends of hosts that are no members are rows of their own."""
    lines, _ = drawn(of_kiosks({f"web{n}": Unchanged("same", OUT) for n in range(5)}))
    assert len(lines) == 5 + 3


def test_a_warning_of_many_members_names_their_class() -> None:
    """A thousand names are no warning that anybody reads."""
    warned = Deployed("new", OUT, Goal.SWITCH, ("hot",))
    _, words = drawn(of_kiosks({"web1": warned, **kiosks(1000, warned)}))
    assert words == "warning: web1, 1,000 of kiosk: hot\n"


def test_programs_get_every_member_with_its_class() -> None:
    """JSON has each host, and says of which class it is."""
    hosts = report_json(of_kiosks({"web1": Unchanged("same", OUT), **kiosks(3, Skipped("x"))}))[
        "hosts"
    ]
    assert {name: one.get("class") for name, one in hosts.items()} == {
        "web1": None,
        **dict.fromkeys(("kiosk-1", "kiosk-2", "kiosk-3"), "kiosk"),
    }
