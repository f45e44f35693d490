"""The locks hold all that is needed, once, with hashes, and nothing of where it came from."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
TOOL, DEVELOPMENT = ROOT / "requirements.lock", ROOT / "requirements-dev.lock"
BOTH = pytest.mark.parametrize("lock", [TOOL, DEVELOPMENT], ids=lambda lock: lock.stem)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

ENTRY = re.compile(r"^(\S+==\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def entries(lock: Path) -> dict[str, tuple[Requirement, frozenset[str]]]:
    """Each package of a lock: what is asked for, and its hashes."""
    found: dict[str, tuple[Requirement, frozenset[str]]] = {}
    for asked, hashes in ENTRY.findall(lock.read_text()):
        requirement = Requirement(asked)
        name = canonicalize_name(requirement.name)
        assert name not in found
        found[name] = (requirement, frozenset(re.findall("[0-9a-f]{64}", hashes)))
    return found


@BOTH
def test_a_lock_is_pins_with_hashes_and_comments(lock: Path) -> None:
    """No option, no address, no package without a version and a hash."""
    text = lock.read_text()
    rest = re.sub(r"^ *#.*\n", "", ENTRY.sub("", text), flags=re.MULTILINE)
    assert rest.strip() == ""
    assert not re.search(r"://|index-url|find-links|trusted-host|/\w+/", text)


@BOTH
def test_a_lock_is_whole(lock: Path) -> None:
    """All that a package of it needs, in the extras that are asked for, is in it and fits."""
    from importlib.metadata import requires

    held = entries(lock)
    for name, (asked, _) in held.items():
        for text in requires(name) or ():
            needed = Requirement(text)
            extras = asked.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in extras):
                assert_held(needed, held)


def assert_held(needed: Requirement, held: dict[str, tuple[Requirement, frozenset[str]]]) -> None:
    """Fail unless a lock has what is needed, with its extras."""
    pinned, _ = held[canonicalize_name(needed.name)]
    (version,) = pinned.specifier
    assert needed.specifier.contains(version.version, prereleases=True), (needed, pinned)
    assert needed.extras <= pinned.extras, (needed, pinned)


def test_the_project_asks_for_what_the_locks_hold() -> None:
    """The tool, its build and its recipes are in the first; the development is in the second."""
    extras = PROJECT["project"]["optional-dependencies"]
    tool = [
        *PROJECT["project"]["dependencies"],
        *PROJECT["build-system"]["requires"],
        *extras["recipes"],
    ]
    for text in tool:
        assert_held(Requirement(text), entries(TOOL))
    for text in extras["dev"]:
        assert_held(Requirement(text), entries(DEVELOPMENT))


def test_the_second_lock_holds_the_first() -> None:
    """Who has the second has the first, byte for byte."""
    first, second = entries(TOOL), entries(DEVELOPMENT)
    assert {name: second.get(name) for name in first} == first
    assert not {"coverage", "mypy", "ruff", "hypothesis"} & set(first)


def test_the_tool_imports_nothing_that_the_first_lock_lacks() -> None:
    """A package of its development is not there where people use it."""
    imported = {
        name.split(".")[0]
        for path in (ROOT / "orchestrator").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names(node)
    }
    brought = packages_distributions()
    used = {canonicalize_name(dist) for name in imported for dist in brought.get(name, ())}
    assert {"asyncssh", "click", "pytest-testinfra"} <= used
    assert used <= {*entries(TOOL), "orchestrator"}


def names(node: ast.AST) -> list[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    return []


def test_the_scripts_and_the_page_give_the_same_commands() -> None:
    """What a person types where the scripts cannot run is what they would do."""
    script = (ROOT / "scripts/lib/bootstrap.sh").read_text()
    told = re.findall(
        r'^    echo "  (python3 -m venv .*|\.venv/bin/pip .*)"$', script, re.MULTILINE
    )
    assert len(told) == 4
    assert "\n".join(told) in (ROOT / "docs/getting-started.md").read_text()
    options = re.search(
        r"^EXACTLY = \((.*)\)$", (ROOT / "scripts/lib/lock_install.py").read_text(), re.M
    )
    assert options
    assert " ".join(ast.literal_eval(f"[{options[1]}]")) in told[1]
