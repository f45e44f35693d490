"""Members that a command lists: what is run, what is written, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import orchestrator
from orchestrator.core.errors import StepError
from orchestrator.inventory.load import load
from orchestrator.inventory.tree import InventoryError

FILE = "inventory/generated/till.json"


@pytest.fixture
def listing(write: Callable[..., Path]) -> Callable[..., Path]:
    """A fleet whose tills a shell script lists."""

    def make(script: str, more: str = "") -> Path:
        command = json.dumps(["sh", "-c", script])
        return write(h=f"hosts: {{till: {{from: {{command: {command}{more}}}}}, web1: }}")

    return make


def generate(root: Path, *options: str) -> Result:
    """Run ``inventory generate``; what it raises comes out."""
    words = ["inventory", "generate", "--fleet", str(root), *options]
    return CliRunner().invoke(orchestrator, words, catch_exceptions=False)


def test_what_a_command_lists_is_written_down_and_read(listing: Callable[..., Path]) -> None:
    """One member is on a line, in the order that people count; nothing is run to read it."""
    root = listing("printf 'name,port\\nt-10,22\\nt-9,\\n'; touch ran")
    assert f"{FILE} is written" in generate(root).stderr
    assert (root / FILE).read_text() == (
        '[\n{"name": "t-9", "address": "t-9"},\n'
        '{"name": "t-10", "address": "t-10", "port": 22}\n]\n'
    )
    (root / "ran").unlink()
    assert list(load(root).fleet.hosts) == ["t-9", "t-10", "web1"]
    assert f"{FILE} is up to date" in generate(root).stderr
    (root / "ran").unlink()
    generate(root, "--no-run")
    assert not (root / "ran").exists()


def test_json_that_is_listed_is_written_as_csv_is(listing: Callable[..., Path]) -> None:
    """Both forms are one file in the end."""
    root = listing("""echo '[{"name": "t", "tags": ["a"], "user": null}]'""")
    generate(root)
    assert json.loads((root / FILE).read_text()) == [{"name": "t", "address": "t", "tags": ["a"]}]


def test_a_command_runs_in_the_fleets_root_and_by_no_shell(write: Callable[..., Path]) -> None:
    """Words with a shell's characters reach the program as they are."""
    root = write(h="hosts: {till: {from: {command: [./list, '$(touch x);']}}}")
    (root / "list").write_text('#!/bin/sh\n[ "$1" = "\\$(touch x);" ] && echo name && echo t\n')
    (root / "list").chmod(0o755)
    generate(root)
    assert list(load(root).fleet.hosts) == ["t"]
    assert not (root / "x").exists()


@pytest.mark.parametrize(
    ("script", "more", "told"),
    [
        ("echo no >&2; exit 3", "", "till: its command failed: exit 3"),
        ("echo name; echo UPPER", "", "what its command says is no list of members"),
        ("echo name; echo t; echo t", "", "what its command says is no list of members"),
        ("echo name", "", "what its command says is no list of members"),
        (":", "", "what its command says is no list of members"),
        ("printf 'name\\n\\377\\n'", "", "not UTF-8"),
        ("sleep 60", ", deadline: 0.2s", "0"),
    ],
)
def test_what_is_no_list_is_refused_and_changes_nothing(
    listing: Callable[..., Path], script: str, more: str, told: str
) -> None:
    """The file that was there stays as it was: a deployment goes on with it."""
    root = listing(script, more)
    (root / FILE).parent.mkdir()
    (root / FILE).write_text('[{"name": "old"}]')
    with pytest.raises(StepError, match=told):
        generate(root)
    assert list(load(root).fleet.hosts) == ["old", "web1"]


def test_a_command_that_was_never_run_is_a_mistake_with_the_next_thing_to_do(
    listing: Callable[..., Path],
) -> None:
    """Loading the inventory runs nothing, and says which command does."""
    with pytest.raises(InventoryError, match="run: orchestrator inventory generate"):
        load(listing("touch ran; echo name; echo t"))


def test_what_is_written_stays_below_the_fleet(
    listing: Callable[..., Path], tmp_path: Path
) -> None:
    """A link in the place of the folder leads nowhere."""
    root = listing("echo name; echo t")
    (root / "inventory/generated").symlink_to(tmp_path)
    with pytest.raises(Exception, match="generated"):
        generate(root)
    assert not (tmp_path / "till.json").exists()
