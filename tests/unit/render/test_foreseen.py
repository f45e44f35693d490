"""What a plan knows of a change: drawn, as JSON, and as Markdown that nobody writes into."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.changed import (
    ClosureChange,
    Foreseen,
    ForeseenUnits,
    NamesChange,
    Note,
    PackageChange,
    SystemChange,
    UnitChanges,
    UnitSource,
)
from orchestrator.core.event import HostFinished, RunFinished
from orchestrator.core.outcome import Deployed, Failed, Outcome, Problem, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.run import HostResult, Report, Run
from orchestrator.core.store import OutPath
from orchestrator.core.stored import decode, encode
from orchestrator.core.values import replace
from orchestrator.render.event_json import to_json
from orchestrator.render.foreseen import LISTED, SHOWN
from orchestrator.render.markdown import MARK, SIZE, code
from orchestrator.render.report import choose

OUT = OutPath(f"/nix/store/{'a' * 32}-nixos-system-p620-25.05")
MANY = tuple(f"u{number}.service" for number in range(SHOWN + 12))
TOLD = Foreseen(
    size=3_300_000_000,
    budget=8 << 30,
    copy_size=12_400_000,
    copy_paths=31,
    units=ForeseenUnits(
        UnitChanges(("nginx.service",), ("dbus.service",), MANY, ("old.service",)),
        kept=("display-manager.service",),
        systemd=True,
    ),
    users=NamesChange(("jellyfin",), (), ("olaf (shell)",)),
    groups=NamesChange(removed=("media",)),
    etc=NamesChange(("jellyfin/a.xml",), ("gone",), ("ssh/sshd_config",)),
    secrets=NamesChange(changed=("wifi.age",)),
    reboot=("kernel", "initrd"),
    notes=(Note("risk", "moderate → high"),),
    unknown=("units of users",),
)
PACKAGES = ClosureChange(
    (
        PackageChange("nginx", ("1.26",), ("1.28",)),
        PackageChange("jellyfin", (), ("10.9",)),
        PackageChange("vim", ("9.1",), ()),
    ),
    7,
    12_000_000,
)


def would(told: Foreseen | None = TOLD, closure: ClosureChange | None = PACKAGES) -> Deployed:
    """A host that would change."""
    changed = SystemChange(closure) if closure else None
    return Deployed("why", OUT, Goal.SWITCH, changed=changed, foreseen=told)


def report(**hosts: Outcome) -> Report:
    """The report of a plan."""
    run = Run(7, "/runs/7", "alice@desk", None, datetime(2026, 1, 2, tzinfo=UTC))
    return Report(run, Goal.SWITCH, True, {n: HostResult(o, 1.0) for n, o in hosts.items()}, 2.0)


def drawn(made: Report, **options: Any) -> str:
    """What standard output has."""
    out = io.StringIO()
    with choose(options.pop("json", False), out, io.StringIO(), {}, **options) as renderer:
        renderer.handle(RunFinished(made))
    return out.getvalue()


def test_a_block_says_line_by_line_what_a_host_s_change_is() -> None:
    """A topic is named once; long lists end with how many more there are; ``-v`` has them all."""
    shown = ", ".join(MANY[:SHOWN])
    block = f"""\
p620: would switch
  size      12 MiB to copy (31 paths), closure 3.1 GiB, +11 MiB, budget 8.0 GiB
  packages  ~ nginx 1.26 → 1.28
            + jellyfin 10.9
            - vim 9.1
            7 rebuilt
  units     stop old.service
            restart nginx.service
            reload dbus.service
            start {shown}, … and 12 more
            changed, not restarted: display-manager.service
            systemd itself is executed again
            computed from the unit files
  users     + jellyfin
            ~ olaf (shell)
  groups    - media
  /etc      + jellyfin/a.xml
            - gone
            ~ ssh/sshd_config
  secrets   ~ wifi.age
  reboot    needed: kernel, initrd
  risk      moderate → high
  unknown   units of users

"""
    plan = report(p620=would(), razer=Unchanged("same", OUT))
    assert drawn(plan).startswith(block)
    assert MANY[-1] in drawn(plan, verbose=True)


def test_many_equal_hosts_are_one_block() -> None:
    """What a plan says of a hundred hosts alike is said once, with their names before it."""
    out = drawn(report(**{f"kiosk-{number}": would() for number in range(100)}))
    names = ", ".join(f"kiosk-{number}" for number in range(SHOWN))
    assert out.startswith(f"{names}, … and {100 - SHOWN} more: would switch\n")
    assert out.count(": would switch") == 1


def test_an_unchanged_host_and_a_deployment_have_no_block() -> None:
    """Only a plan of a change tells of one; the table is as it was."""
    plan = drawn(report(razer=Unchanged("same", OUT)))
    assert plan.startswith("host ")
    done = replace(report(p620=would()), plan_only=False)
    assert drawn(done).startswith("host ")


def test_what_is_not_known_is_said_and_what_does_not_change_is_too() -> None:
    """Nothing is made up: no line for what is not known, and a line for what is found the same."""
    out = drawn(report(p620=would(Foreseen(unknown=("not built yet",)), None)))
    assert out.startswith("p620: would switch\n  unknown   not built yet\n\n")
    same = Foreseen(
        units=ForeseenUnits(UnitChanges(), source=UnitSource.DRY_ACTIVATE),
        copy_size=0,
        copy_paths=0,
        reboot=(),
        users=NamesChange(),
    )
    assert drawn(report(p620=would(same, ClosureChange(size=0)))).startswith(
        "p620: would switch\n  size      nothing to copy\n  packages  the same\n"
        "  units     none; by dry-activate\n  reboot    not needed\n\n"
    )


def test_a_system_over_its_budget_and_one_that_waits_for_a_boot_stand_out() -> None:
    """An exceeded budget is in capitals; what keeps NixOS from going live is a need of a boot."""
    held = replace(TOLD, budget=1 << 30, live=False, reboot=("dbus: a -> b",), units=None)
    out = drawn(report(p620=would(held)))
    assert "OVER budget 1.0 GiB" in out
    assert "needed, as NixOS does not switch to it live: dbus: a -> b" in out


def test_a_script_reads_all_of_it_in_a_shape_that_stays() -> None:
    """Every key is there, what is not known is null, and lists have an end."""
    lots = replace(TOLD, etc=NamesChange(tuple(map(str, range(LISTED + 5)))))
    (event,) = drawn(report(p620=would(lots)), json=True).splitlines()
    told = json.loads(event)["hosts"]["p620"]["foreseen"]
    assert told["copy"] == {"size": 12_400_000, "paths": 31}
    assert told["units"]["source"] == "unit-files"
    assert told["units"]["started"] == list(MANY)
    assert told["notes"] == [{"topic": "risk", "text": "moderate → high"}]
    assert len(told["etc"]["added"]) == LISTED
    nothing: Any = to_json(RunFinished(report(p620=would(Foreseen()))))["hosts"]
    assert nothing["p620"]["foreseen"].keys() == told.keys()
    absent: Any = to_json(RunFinished(report(p620=would(None))))["hosts"]
    assert absent["p620"]["foreseen"] is None


def test_a_plan_is_kept_in_its_run_and_read_again() -> None:
    """A run's folder has the plan with all that it said."""
    event = HostFinished("p620", would(), 1.0)
    assert decode(HostFinished, encode(event)) == event


def test_markdown_has_a_table_and_a_block_for_each_change() -> None:
    """A comment begins with a mark by which it is found again, and says what a person reads."""
    problem = Problem("evaluate", "attribute 'x' missing")
    plan = report(p620=would(), razer=Unchanged("same", OUT), p510=Failed("f", problem))
    lines = drawn(plan, markdown=True).splitlines()
    assert lines[0] == MARK
    assert "| `p620` | would switch | `why` |" in lines
    assert "| `razer` | unchanged | `same` |" in lines
    assert "- **failed** `p510`: `attribute 'x' missing`" in lines
    assert "#### `p620`: would switch" in lines
    assert "- **packages** changed `nginx 1.26 → 1.28`" in lines
    assert "- **reboot** needed: `kernel`, `initrd`" in lines


def test_a_markdown_report_ends_before_a_comment_is_too_long() -> None:
    """A fleet that changes in a thousand ways is cut at whole blocks, and the rest is counted."""
    etc = (replace(TOLD, etc=NamesChange((f"file-{number}" * 30,))) for number in range(1000))
    plan = report(**{f"h{number}": would(told) for number, told in enumerate(etc)})
    out = drawn(plan, markdown=True)
    assert len(out.encode()) < SIZE + 200
    assert re.search(r"… and \d+ more blocks", out.splitlines()[-1])
    assert "900 more" in out


@pytest.mark.parametrize("said", ["`" * 999, "漢" * 999, "a" + "\u0301" * 9999, "a`" * 999])
def test_no_words_of_a_host_make_a_comment_too_long(said: str) -> None:
    """A table of a hundred rows, and what failed, are no longer than GitHub takes."""
    plan = report(**{f"h{at}": Failed(said, Problem("copy", f"{at}{said}")) for at in range(200)})
    out = drawn(plan, markdown=True)
    assert len(out) < 65_536
    assert "| … | | 100 more |" in out


def test_what_a_comment_leaves_out_is_counted() -> None:
    """Nobody takes the first twenty problems for all."""
    plan = report(**{f"h{at}": Failed("no", Problem("copy", f"{at}")) for at in range(30)})
    assert "- … and 10 more problems" in drawn(plan, markdown=True).splitlines()


HOSTILE = st.text(alphabet="ab`|<>&@#*_[](){}!\\\n\r\t\x1b ‮-:/.", max_size=40)


@given(HOSTILE)
def test_a_name_in_markdown_stays_within_its_code_span(text: str) -> None:
    """No backtick ends it, no bar ends a cell, and no line of it begins another."""
    span = code(text)
    fence = re.match("`+", span)
    assert fence is not None
    inner = span[len(fence[0]) : -len(fence[0])]
    assert span.endswith(fence[0])
    assert fence[0] not in re.findall("`+", inner)
    assert not set(inner) & set("\n\r|\x1b")


@pytest.mark.parametrize("markdown", [False, True])
@given(HOSTILE)
def test_a_hostile_name_makes_no_line_of_its_own(markdown: bool, text: str) -> None:
    """However a file of a host is called, the report has as many lines as with another name."""
    plain, hostile = (
        drawn(report(p620=would(replace(TOLD, etc=NamesChange((name,))))), markdown=markdown)
        for name in ("plain", text)
    )
    assert hostile.count("\n") == plain.count("\n")
