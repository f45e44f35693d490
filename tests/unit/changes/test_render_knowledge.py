"""What ``learn``, ``why`` and ``affected`` say, and to which stream."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

from orchestrator.changes.draw import draw_affected, draw_lesson, draw_why
from orchestrator.changes.plan import Asked, Fingerprint, Knowledge, Known, Read, Tree, Unknown
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.render.output import Output

OUT = OutPath(f"/nix/store/{'a' * 32}-nixos-system-p620")
TREE = Tree("/fleet", {"flake.nix": "100644 1", "d/a": "100644 2", "d/e/b": "100644 3"}, "c" * 40)
READS = frozenset(
    {
        Read(Asked.CONTENT, "flake.nix"),
        Read(Asked.TYPE, "flake.nix"),
        Read(Asked.LIST, ""),
        Read(Asked.TYPE, "d"),
        Read(Asked.TYPE, "d/e"),
        Read(Asked.TYPE, "d/e/b"),
        Read(Asked.CONTENT, "d/no"),
        Read(Asked.TYPE, "d/no"),
        Read(Asked.TYPE, "gone"),
    }
)


def fingerprint(reads: frozenset[Read] | None, run: int | None = 14, why: str = "") -> Fingerprint:
    """What an evaluation depended on."""
    evaluated = Evaluated(DrvPath(f"{OUT}.drv"), OUT)
    at = datetime(2020, 1, 1, tzinfo=UTC)
    return Fingerprint("p620", "here", TREE, reads, 1, evaluated, run, at, why)


READ = fingerprint(READS)
WHOLE = fingerprint(None, why="it reads \x1b[31mself.rev")


def why(known: Knowledge, *, as_json: bool = False) -> tuple[str, str]:
    """What is said: to standard output, and beside it."""
    results, words = StringIO(), StringIO()
    draw_why("p620", known, Output(results), Output(words), as_json=as_json)
    return results.getvalue(), words.getvalue()


def why_json(known: Knowledge) -> dict[str, Any]:
    """What is said as JSON; nothing is said beside it."""
    out, err = why(known, as_json=True)
    assert err == ""
    found = json.loads(out)
    assert isinstance(found, dict)
    return found


def rows(text: str) -> list[list[str]]:
    """A table's cells, without its head."""
    return [line.split() for line in text.splitlines()[1:]]


def test_why_lists_what_was_asked_once() -> None:
    """A type that follows from what is below is left out; what was not there is called absence."""
    out, err = why(Known(READ))
    assert rows(out) == [
        ["list", "."],
        ["presence", "d/e/b"],
        ["absence", "d/no"],
        ["content", "flake.nix"],
        ["absence", "gone"],
    ]
    assert "p620: known\n" in err
    assert "by run 14\n" in err


def test_why_marks_what_changed() -> None:
    """`why` marks what changed, and says that the host is to be evaluated, and why."""
    out, err = why(Unknown("flake.nix changed", ("flake.nix",), READ))
    assert ["content", "flake.nix", "changed"] in rows(out)
    assert [row for row in rows(out) if row[-1] == "changed"] == [
        ["content", "flake.nix", "changed"]
    ]
    assert "p620: to be evaluated: flake.nix changed\n" in err


def test_why_shows_what_came_to_a_folder_that_was_listed() -> None:
    """Nobody asked for it by its name."""
    out, _ = why(Unknown("d/new changed", ("d/new",), READ))
    assert rows(out)[-1] == ["d/new", "changed"]


def test_why_of_what_was_learned_by_hand_names_no_run() -> None:
    """`why` names no run for a fingerprint that was learned by hand."""
    _, err = why(Known(fingerprint(READS, run=None)))
    assert "run" not in err


def test_why_of_a_whole_tree_gives_the_reason_and_what_changed() -> None:
    """No file is listed that did not change; a file's text cannot draw."""
    out, err = why(Unknown("d/a changed", ("d/a",), WHOLE))
    assert out == "d/a\n"
    assert "all 1 files count: it reads" in err
    assert "\x1b" not in err
    assert why(Known(WHOLE))[0] == ""


def test_why_of_what_is_not_known_at_all() -> None:
    """`why` of a host of which nothing is known has one line and an empty result."""
    out, err = why(Unknown("it was not evaluated before"))
    assert out == ""
    assert err == "p620: to be evaluated: it was not evaluated before\n"


def test_a_name_of_a_file_cannot_draw() -> None:
    """A file's name is somebody else's text, and cannot draw on the terminal."""
    out, _ = why(Unknown("…", ("\x1b[31m\udcff",), WHOLE))
    assert "\x1b" not in out
    out.encode()


def test_why_as_json_of_what_is_known() -> None:
    """`why --json` gives a known host's reads, paths and run under keys for scripts."""
    found = why_json(Known(READ))
    assert found["host"] == "p620"
    assert found["known"] is True
    assert found["reason"] is None
    assert found["changed"] == []
    assert found["out_path"] == OUT.path
    assert found["drv_path"] == f"{OUT}.drv"
    assert (found["run"], found["whole_tree"], found["files"]) == (14, None, 1)
    assert {"asked": "list", "path": ""} in found["reads"]
    assert {"asked": "absence", "path": "gone"} in found["reads"]


def test_why_as_json_of_what_is_not() -> None:
    """The same keys where something was learned, and fewer where nothing was."""
    found = why_json(Unknown("d/a changed", ("d/a",), WHOLE))
    assert (found["known"], found["reason"], found["changed"]) == (False, "d/a changed", ["d/a"])
    assert found["whole_tree"].startswith("it reads")
    assert found["reads"] == []
    assert why_json(Unknown("no")).keys() == {"host", "known", "reason", "changed"}


@pytest.mark.parametrize(
    ("held", "problem", "said"),
    [
        (READ, "", "p620: 1 of 3 files count\n"),
        (WHOLE, "", "p620: any change counts: it reads "),
        (None, "it broke", "p620: not learned: it broke\n"),
    ],
)
def test_a_lesson_is_one_line(held: Fingerprint | None, problem: str, said: str) -> None:
    """How many files count, that all do, or what went wrong."""
    words = StringIO()
    draw_lesson("p620", held, problem, Output(words))
    assert words.getvalue().startswith(said)
    assert words.getvalue().count("\n") == 1


def test_affected_gives_names_to_a_shell_and_reasons_to_a_person() -> None:
    """`affected` prints nothing but names on stdout, for ``$(…)``, and reasons on stderr."""
    results, words = StringIO(), StringIO()
    found = {"p620": "a changed", "razer": "it was not evaluated before"}
    draw_affected(found, Output(results), Output(words), as_json=False)
    assert results.getvalue() == "p620\nrazer\n"
    assert words.getvalue() == "p620: a changed\nrazer: it was not evaluated before\n"


def test_affected_as_json() -> None:
    """Name to reason; an object also where nobody is."""
    for found in ({"p620": "a changed"}, {}):
        results, words = StringIO(), StringIO()
        draw_affected(found, Output(results), Output(words), as_json=True)
        assert json.loads(results.getvalue()) == found
        assert words.getvalue() == ""


def test_where_nobody_is_affected_nothing_is_said() -> None:
    """Where no host is affected, nothing is printed on stdout or stderr."""
    results, words = StringIO(), StringIO()
    draw_affected({}, Output(results), Output(words), as_json=False)
    assert results.getvalue() == words.getvalue() == ""
