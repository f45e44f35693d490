"""Figures become tables that hide nothing: not a failure, not the spread."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bench.document import markers, replace
from tests.bench.noop import table
from tests.bench.one_changed import Done, counted_nix
from tests.bench.table import Table, ratio, spread
from tests.bench.timing import Ran, Series, interleaved, run, run_all

ENV: dict[str, str] = {}


def test_a_figure_is_the_median_with_the_least_and_the_most() -> None:
    """One slow repetition does not decide, and is not hidden."""
    assert spread(Series([0.25, 0.05, 12.0])) == "0.25 s (50.0 ms to 12.0 s)"
    assert spread(Series([1.5])) == "1.50 s"


def test_a_contender_that_failed_has_no_figure_and_no_ratio() -> None:
    """What it had measured before does not stand for it."""
    failed = Series([1.0], "exit 1: no route")
    assert spread(failed) == "**failed**"
    assert ratio(failed, Series([1.0])) == "-"
    assert ratio(Series([1.0]), failed) == "-"
    assert ratio(Series([3.0]), Series([0.01])) == "300 x"


def test_the_last_words_of_a_failure_are_below_the_table() -> None:
    """On one line, whatever they were; and a bar does not end a cell."""
    series = {"orchestrator": Series([0.2]), "Colmena": Series([], "exit 1: one\n  two")}
    written = table({5: series}).markdown()
    assert "| Colmena | **failed** | - |" in written
    assert "- Colmena failed: exit 1: one two" in written.splitlines()
    assert "| a \\| b |" in Table(("",), (("a | b",),)).markdown()


def test_contenders_take_turns_and_a_failure_ends_only_its_own() -> None:
    """No contender has the machine's quiet minutes for itself."""
    order = []

    def contender(name: str, fails_at: int) -> Ran:
        order.append(name)
        return Ran(1.0, int(order.count(name) > fails_at), "said")

    found = interleaved({"a": lambda _: contender("a", 9), "b": lambda _: contender("b", 1)}, 3)
    assert order == ["a", "b", "a", "b", "a"]
    assert found["a"].median == 1.0
    assert found["b"].failure == "exit 1: said"


def test_commands_in_a_row_stop_at_the_first_that_fails(tmp_path: Path) -> None:
    """Commands in a row stop at the first that fails; times are added, and output is kept."""
    program = [sys.executable, "-c"]
    commands = [[*program, "print('one')"], [*program, "exit(3)"], [*program, "print('three')"]]
    done = run_all(commands, cwd=tmp_path, env=ENV)
    assert (done.rc, done.said) == (3, "one\n")


def test_a_command_is_killed_at_its_deadline(tmp_path: Path) -> None:
    """A command that outlives its deadline is killed, fails, and says that it was killed."""
    done = run([sys.executable, "-c", "input()\nwhile 1: pass"], cwd=tmp_path, env=ENV, deadline=5)
    assert done.rc != 0
    hung = [sys.executable, "-c", "while 1: pass"]
    assert "killed after" in run(hung, cwd=tmp_path, env=ENV, deadline=0.2).said


def test_a_part_of_the_page_is_replaced_and_the_rest_is_kept() -> None:
    """One part of the page is replaced, whatever its new text has, and the rest is kept."""
    begin, end = markers("noop")
    page = f"above\n{begin}\nold\n{end}\nbelow\n"
    assert replace(page, "noop", "\\1 new\n") == f"above\n{begin}\n\\1 new\n{end}\nbelow\n"
    with pytest.raises(ValueError, match="no part"):
        replace(page, "check", "new")


def test_evaluations_are_told_from_other_calls_of_nix() -> None:
    """An evaluation is told from other calls of Nix by its arguments, not by its program."""
    done = Done(
        (
            "nix --extra-experimental-features nix-command flakes path-info --derivation .#a",
            "nix build .#nixosConfigurations.a",
            "nix eval --json .#deploy",
            "nix flake check .",
            "nix-instantiate default.nix",
            "nix build /nix/store/x.drv^*",
            "nix copy --to ssh-ng://root@a /nix/store/x",
            "nix-instantiate --parse a.nix",
            "nix-instantiate --find-file nixos-system ",
            "nix eval --expr builtins.getFlake ",
            "nix-store --query /nix/store/x",
            "nix --version",
        ),
        1,
        0,
        0,
    )
    assert done.evaluations == 5


def test_the_counted_nix_does_what_nix_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call is one line of the log, and its output and exit code are the program's."""
    program = tmp_path / "nix"
    program.write_text('#!/bin/sh\necho "$2"\nexit 4\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with counted_nix() as spy:
        done = run([str(spy / "nix"), "a", "b\nc"], cwd=tmp_path, env={"PATH": "/usr/bin:/bin"})
        assert (done.rc, done.said) == (4, "b\nc\n")
        assert (spy / "log").read_text() == "nix a b c \n"
    assert not spy.exists()
