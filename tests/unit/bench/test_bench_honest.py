"""What the page says was measured on a commit, and what was not quiet is said not to be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bench import machine
from tests.bench.__main__ import main
from tests.bench.document import markers, replace, revisions


def part(name: str, revision: str) -> str:
    """A part of a page, as a run leaves it."""
    begin, end = markers(name)
    return f"{begin}\n*Measured 2026-01-01, revision {revision}, 2 cores.*\n{end}\n"


def test_parts_of_several_revisions_are_said_to_be() -> None:
    """Each part stands with its revision; a part that was never measured, as such."""
    page = part("noop", "aaaa") + part("copy", "bbbb") + part("check", "aaaa")
    page += "\n".join((*markers("facts"), *markers("revisions"), ""))
    said = revisions(page, ("noop", "copy", "check", "facts"))
    assert "**Parts are of several revisions" in said
    assert said.splitlines()[-3:] == [
        "- aaaa: noop, check",
        "- bbbb: copy",
        "- not measured: facts",
    ]
    assert said in replace(page, "revisions", said)
    assert "several" not in revisions(part("noop", "aaaa"), ("noop",))


@pytest.mark.parametrize(("load", "bold"), [(0.0, False), (0.8, False), (0.9, True), (30.0, True)])
def test_a_busy_machine_is_said_in_bold(load: float, bold: bool) -> None:
    """A load above 0.4 a core at the start makes figures that are not this machine's."""
    assert machine.load_words(load, 2).startswith("**on a busy machine") is bold
    assert f"load {load:.1f}" in machine.load_words(load, 2)


def test_what_is_not_committed_is_named_but_for_the_page(tmp_path: Path) -> None:
    """A run writes the page part by part: that alone makes no tree another one."""
    (tmp_path / "docs").mkdir()
    for name in (machine.PAGE, "a.py", "b.py"):
        (tmp_path / name).write_text("before\n")
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for words in (("init", "-q"), ("add", "."), (*identity, "commit", "-q", "-m", "all")):
        subprocess.run(("git", *words), cwd=tmp_path, check=True)
    (tmp_path / machine.PAGE).write_text("after\n")
    assert machine.uncommitted(tmp_path) == ""
    (tmp_path / "a.py").write_text("after\n")
    (tmp_path / "new.py").write_text("new\n")
    assert machine.uncommitted(tmp_path) == "a.py, new.py"


def test_the_page_is_not_written_of_a_tree_that_is_no_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is measured for hours first: the command says at once what is not committed."""
    monkeypatch.setattr(machine, "uncommitted", lambda: "a.py")
    done = CliRunner().invoke(main, ["--only", "check"])
    assert done.exit_code == 1
    assert "not committed: a.py" in done.output
