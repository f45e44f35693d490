"""``orchestrator inventory``: what each command prints, and where."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import orchestrator
from orchestrator.core.errors import UsageError

HOSTS = """\
templates: {box: {tags: [t]}}
hosts:
  web1: {template: box, roles: [cache]}
  db1:
"""


@pytest.fixture
def root(write: Callable[..., Path]) -> Path:
    """A fleet of two hosts."""
    return write(h=HOSTS)


def run(*arguments: str | Path) -> Result:
    """Run a command of ``inventory``, or ``check --inventory``; what it raises comes out."""
    first = ["check", "--inventory"] if arguments[0] == "check" else ["inventory", arguments[0]]
    words = [str(word) for word in (*first, *arguments[1:])]
    return CliRunner().invoke(orchestrator, words, catch_exceptions=False)


def test_show_prints_every_value_with_its_line(root: Path) -> None:
    """Key, value, and file with line and layer, aligned."""
    lines = run("show", "web1", "--fleet", root).stdout.splitlines()
    assert any(
        line.split() == ["tags", '"t"', "inventory/h.yaml:1", "(template", "box)"] for line in lines
    )
    assert len({line.index('"') for line in lines if '"' in line}) == 1


def test_show_for_programs(root: Path) -> None:
    """The same as JSON; what is built in has no file."""
    shown = json.loads(run("show", "web1", "--json", "--fleet", root).stdout)
    assert shown["host"] == "web1"
    by_key = {value["key"]: value for value in shown["values"]}
    assert by_key["roles"] == {
        "key": "roles",
        "value": "cache",
        "file": "inventory/h.yaml",
        "line": 3,
        "layer": "host web1",
    }
    assert by_key["build"]["file"] is None


def test_list(root: Path) -> None:
    """A table of what the selectors mean, or names as JSON."""
    table = run("list", "--fleet", root).stdout.splitlines()
    assert [line.split() for line in table] == [
        ["HOST", "TEMPLATE", "PROFILES", "ROLES", "TAGS"],
        ["web1", "box", "-", "cache", "t"],
        ["db1", "-", "-", "-", "-"],
    ]
    assert json.loads(run("list", "not tag:t", "--json", "--fleet", root).stdout) == ["db1"]


def test_check_refreshes_with_a_notice(root: Path) -> None:
    """The notice is on standard error; the second time there is none."""
    assert "fleet.json was stale" in run("check", "--fleet", root).stderr
    assert run("check", "--fleet", root).stderr == "inventory: 2 checked, no mistakes\n"
    assert run("check", "--frozen", "--fleet", root).exit_code == 0


def test_check_frozen_refuses(root: Path) -> None:
    """With ``--frozen`` a generated file that is missing or stale is an error."""
    with pytest.raises(UsageError, match="stale"):
        run("check", "--frozen", "--fleet", root)


def test_generate(root: Path) -> None:
    """`inventory generate` writes the file and says so, and the second time has nothing to do."""
    assert run("generate", "--fleet", root).stderr == "inventory/fleet.json is written\n"
    assert run("generate", "--fleet", root).stderr == "inventory/fleet.json is up to date\n"


def test_schema_needs_no_fleet() -> None:
    """`inventory schema` prints the schema, and needs no fleet."""
    assert json.loads(run("schema").stdout)["$schema"].endswith("2020-12/schema")


def test_check_for_programs_has_the_error_too(root: Path) -> None:
    """What stops a check is in the JSON as well, with what was checked before it."""
    done = CliRunner().invoke(
        orchestrator, ["check", "--inventory", "--frozen", "--json", "--fleet", str(root)]
    )
    assert done.exit_code != 0
    found = json.loads(done.stdout)
    assert not found["ok"]
    assert "stale" in found["error"]["message"]
    assert found["checks"] == {}


KIOSKS = "hosts: {web1: , kiosk: {count: 1200, tags: [t]}, pc: {count: 2}}"


@pytest.mark.parametrize(
    ("words", "first"),
    [
        ((), ["web1", "kiosk (1,200)", "pc (2)"]),
        (("kiosk",), ["kiosk (1,200)"]),
        (("kiosk-7", "pc"), ["kiosk-7", "pc (2)"]),
        (("--members", "pc", "web1"), ["web1", "pc-1", "pc-2"]),
        (("kiosk-119?",), [f"kiosk-119{n}" for n in range(10)]),
    ],
)
def test_a_class_that_is_meant_as_a_whole_is_listed_in_a_line(
    write: Callable[..., Path], words: tuple[str, ...], first: list[str]
) -> None:
    """A count stands beside its name; members are listed where only some are meant, or asked."""
    _, *lines = run("list", "--fleet", write(h=KIOSKS), *words).stdout.splitlines()
    assert [line.partition("  ")[0] for line in lines] == first
    names = json.loads(run("list", "--json", "--fleet", write(h=KIOSKS)).stdout)
    assert len(names) == 1203
