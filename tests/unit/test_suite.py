"""The suite is held to its own rules: docs that can be read alone, and no luck with time."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1]
FEWEST_WORDS = 7
GOES_ON = {"Also", "And", "Even", "It", "Its", "Nor", "So", "Their", "Then", "They"}
"""With these a sentence leans on the one before, and there is none before a test's docstring."""

TEST = (ast.FunctionDef, ast.AsyncFunctionDef)


def promises() -> Iterator[tuple[str, str]]:
    """Each test of every suite: where it is, and the first line of its docstring."""
    for file in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, TEST) and node.name.startswith("test_"):
                doc = ast.get_docstring(node) or ""
                yield f"{file.relative_to(TESTS)}::{node.name}", doc.partition("\n")[0]


def test_every_test_states_a_promise() -> None:
    """A test's docstring has more than six words: fewer say nothing without the test's name."""
    docs = dict(promises())
    assert len(docs) > 2000
    short = {where: doc for where, doc in docs.items() if len(doc.split()) < FEWEST_WORDS}
    assert not short


def test_every_promise_can_be_read_alone() -> None:
    """No test's docstring begins as if another sentence stood before it."""
    leans = {where: doc for where, doc in promises() if doc.partition(" ")[0] in GOES_ON}
    assert not leans


LONG_RUN = """
set -euo pipefail
say() { :; }
results=$PWD/results names=(lab faults) page=docs/reliability.md
mkdir -p results
printf '%4d s  %-12s %-16s %s\\n' 612 lab passed '== 61 passed in 611.12s ==' > results/lab
printf '%4d s  %-12s %-16s %s\\n' 9 faults 'failed (exit 1)' '141 cases, 1 wrong' > results/faults
write_down
"""
"""What ``scripts/test --long`` has when its parts have ended, as ``note`` there writes it."""


def test_what_the_long_tests_found_is_written_down(tmp_path: Path) -> None:
    """A long run's revision, parts, results and durations replace those of the run before it."""
    script = (TESTS.parent / "scripts/test").read_text()
    (function,) = re.findall(r"^write_down\(\).*?^}\n", script, re.MULTILINE | re.DOTALL)
    page = tmp_path / "docs/reliability.md"
    page.parent.mkdir()
    before = (TESTS.parent / "docs/reliability.md").read_text()
    page.write_text(before)
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for argv in (("init", "-q"), ("add", "docs"), (*who, "commit", "-q", "-m", "all")):
        subprocess.run(("git", *argv), cwd=tmp_path, check=True)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for _ in range(2):
        subprocess.run(
            ("bash", "-c", function + LONG_RUN), cwd=tmp_path, check=True, env=environment
        )
    written = page.read_text()
    assert written.count("\n| lab | passed | 612 s | 61 passed in 611.12s |\n") == 1
    assert written.count("\n| faults | failed (exit 1) | 9 s | 141 cases, 1 wrong |\n") == 1
    head = subprocess.run(
        ("git", "rev-parse", "--short", "HEAD"), cwd=tmp_path, capture_output=True, text=True
    )
    assert f"\nRevision {head.stdout.strip()}" in written
    begin, end = "<!-- long: written by scripts/test --long -->", "<!-- end of long -->"
    assert written.partition(begin)[0] == before.partition(begin)[0]
    assert written.partition(end)[2] == before.partition(end)[2]
