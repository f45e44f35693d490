"""Errors say what went wrong in words that a person knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import cause_of

CODE = Path(__file__).parents[3] / "orchestrator"
OF_THE_SYSTEM = {
    *("OSError", "FileNotFoundError", "FileExistsError", "PermissionError"),
    *("IsADirectoryError", "NotADirectoryError", "ConnectionError"),
}


def missing(path: str) -> OSError:
    """What the system says of a file that is not there."""
    with pytest.raises(OSError, match="No such file") as caught:
        Path(path).read_bytes()
    return caught.value


def test_the_cause_is_the_operating_system_s_sentence() -> None:
    """Neither Python's number nor the path in quotes is in it; the name is added on request."""
    error = missing("/nonexistent/file")
    assert str(error) == "[Errno 2] No such file or directory: '/nonexistent/file'"
    assert cause_of(error) == "No such file or directory"
    assert cause_of(error, named=True) == "No such file or directory (/nonexistent/file)"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (OSError("it is no regular file"), "it is no regular file"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (ValueError("no such key"), "no such key"),
        (EOFError(), "EOFError"),
    ],
)
def test_what_the_system_did_not_say_is_said_as_it_is(error: Exception, cause: str) -> None:
    """An error that names no file has no empty brackets behind its cause."""
    assert cause_of(error, named=True) == cause


def raw(tree: ast.AST) -> Iterator[int]:
    """Lines where the text of a caught error of the system is Python's own."""
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.type is None:
            continue
        caught = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
        if not caught & OF_THE_SYSTEM:
            continue
        for node in ast.walk(handler):
            match node:
                case (
                    ast.FormattedValue(value=ast.Name(id=name))
                    | ast.Call(func=ast.Name(id="str" | "repr"), args=[ast.Name(id=name)])
                ) if name == handler.name:
                    yield node.lineno


def test_no_message_has_python_s_own_text_of_an_error_of_the_system() -> None:
    """Whoever catches such an error says its cause with ``cause_of`` or by ``strerror``."""
    wrong = "try:\n  pass\nexcept (OSError, ValueError) as error:\n  print(f'no: {error}')\n"
    assert [*raw(ast.parse(wrong))] == [4]
    assert [*raw(ast.parse(wrong.replace("{error}", "{error.strerror}")))] == []
    files = sorted(CODE.rglob("*.py"))
    assert len(files) > 100
    found = {str(file.relative_to(CODE)): [*raw(ast.parse(file.read_text()))] for file in files}
    assert {file: lines for file, lines in found.items() if lines} == {}
