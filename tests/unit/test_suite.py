"""The suite is held to its own rules: docs that can be read alone, and no luck with time."""

from __future__ import annotations

import ast
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
