"""``orchestrator init`` as a person types it; what Nix would say is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import orchestrator
from orchestrator.core.errors import UsageError
from orchestrator.init import commands, survey
from orchestrator.init.model import Evidence, Said, Source
from orchestrator.init.survey import Survey
from orchestrator.inventory.load import load


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fleet's folder, in which one is."""
    root = tmp_path / "fleet"
    root.mkdir()
    (root / "flake.nix").write_text("{ }")
    monkeypatch.chdir(root)
    monkeypatch.delenv("ORCHESTRATOR_FLEET", raising=False)
    return root


@pytest.fixture(autouse=True)
def found(monkeypatch: pytest.MonkeyPatch) -> Survey:
    """What the fleet's flake has: a host that somebody knows, and two of which nobody says more."""
    source = Source("deploy.nodes", {"web1": Evidence({"address": Said("10.0.0.5", "deploy")})})
    made = Survey(None, ("web1", "hades", "zeus", "iso"), (source,), ("a notice",))

    async def look(*_: object) -> tuple[Survey, ...]:
        return (made,)

    monkeypatch.setattr(survey, "survey", look)
    monkeypatch.setattr(survey, "more_of", look)
    return made


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody sits before it."""

    class Terminal:
        """Standard input that is a terminal."""

        def __getattr__(self, name: str) -> Any:
            return getattr(click.get_text_stream("stdin"), name)

        def isatty(self) -> bool:
            return True

    class System:
        """What the command sees of :mod:`sys`."""

        stdin = Terminal()

    monkeypatch.setattr(commands, "sys", System())


def typed(*words: str, answers: str = "") -> Result:
    """Type the command; what it raises comes out."""
    return CliRunner().invoke(orchestrator, ["init", *words], input=answers, catch_exceptions=False)


def files(root: Path) -> list[str]:
    """The files of the fleet, but for the flake that was there."""
    found = (str(one.relative_to(root)) for one in root.rglob("*") if one.is_file())
    return sorted(name for name in found if name != "flake.nix")


def test_without_a_terminal_it_asks_nothing_and_writes_nothing(root: Path) -> None:
    """The error names both ways to go on."""
    with pytest.raises(UsageError, match="there is no terminal") as caught:
        typed()
    assert "--yes" in str(caught.value.hint)
    assert "--dry-run" in str(caught.value.hint)
    assert caught.value.exit_code == 2
    assert files(root) == []


def test_yes_writes_what_is_found(root: Path) -> None:
    """Hosts, what is left out, notices, and what to type next are printed."""
    done = typed("--yes")
    assert done.exit_code == 0
    assert files(root) == ["AGENTS.md", "inventory/hosts.yaml"]
    assert list(load(root).fleet.hosts) == ["web1", "hades", "zeus"]
    assert "left out: iso: an image" in done.stderr
    assert "a notice" in done.stderr
    assert "orchestrator plan" in done.stderr
    assert done.stdout.splitlines()[0].split() == ["HOST", "ADDRESS", "TEMPLATE", "TAGS"]


def test_a_dry_run_prints_the_files_and_writes_none(root: Path) -> None:
    """The inventory can be read before it is there."""
    done = typed("--dry-run")
    assert "--- inventory/hosts.yaml" in done.stdout
    assert "    address: 10.0.0.5 # deploy" in done.stdout
    assert files(root) == []


@pytest.mark.parametrize("way", ["--yes", "--dry-run"])
def test_a_script_reads_each_value_and_where_it_is_from(root: Path, way: str) -> None:
    """One object: hosts, what is left out, the files' texts, and whether they were written."""
    said = json.loads(typed(way, "--json").stdout)
    assert said["ok"] is True
    assert said["written"] is (way == "--yes")
    web1 = said["hosts"][0]
    assert web1["values"]["address"] == "10.0.0.5"
    assert web1["from"]["address"] == "deploy"
    assert web1["guessed"] == ["template"]
    assert said["left_out"] == [{"attr": "iso", "why": "an image, by its name"}]
    assert said["files"].keys() == {"inventory/hosts.yaml", "AGENTS.md"}
    assert said["next"][-2:] == ["orchestrator plan", "orchestrator host ping"]


@pytest.mark.usefixtures("terminal")
def test_what_nothing_says_is_asked(root: Path) -> None:
    """An address that cannot be one is asked again; Enter takes the name, or no template."""
    answers = "-oProxyCommand=x\n10.0.0.9\n\nlaptop\n\ny\n"
    done = typed(answers=answers)
    assert done.exit_code == 0, done.output
    hosts = load(root).fleet.hosts
    assert {name: host.connect.address for name, host in hosts.items()} == {
        "web1": "10.0.0.5",
        "hades": "10.0.0.9",
        "zeus": "zeus",
    }
    assert {name: host.template for name, host in hosts.items()} == {
        "web1": "server",
        "hades": "laptop",
        "zeus": None,
    }
    assert "that is not a host name" in done.stderr
    assert "address: 10.0.0.9 # you" in (root / "inventory/hosts.yaml").read_text()


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("answers", ["", "10.0.0.9\n", "\n\n\n\n", "\n\n\n\nn\n"])
def test_who_ends_at_a_question_has_nothing_written(root: Path, answers: str) -> None:
    """At the first, at a later one, at the last, or by saying no."""
    done = CliRunner().invoke(orchestrator, ["init"], input=answers)
    assert done.exit_code == (0 if answers.endswith("n\n") else 1)
    assert files(root) == []


@pytest.mark.usefixtures("terminal")
def test_a_hundred_unknown_hosts_are_no_hundred_questions(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds for all of them is said, and whether to write is asked once."""
    many = Survey(None, tuple(f"h{n}" for n in range(100)), (), ())

    async def look(*_: object) -> tuple[Survey, ...]:
        return (many,)

    monkeypatch.setattr(survey, "survey", look)
    done = typed(answers="y\n")
    assert "nothing says where 100 hosts answer" in done.stderr
    assert "more lines: orchestrator init --dry-run" in done.stderr
    assert len(load(root).fleet.hosts) == 100


def test_a_second_time_shows_what_is_new_and_adds_it_in_a_file_of_its_own(root: Path) -> None:
    """What is there stays byte for byte; a host that the flake lost is named."""
    (root / "inventory").mkdir()
    before = "hosts:\n  mine: {attr: web1, template: server}\n  gone:\ntemplates: {server: }\n"
    (root / "inventory/mine.yaml").write_text(before)
    done = typed("--yes")
    assert (root / "inventory/mine.yaml").read_text() == before
    assert list(load(root).fleet.hosts) == ["hades", "zeus", "mine", "gone"]
    assert "gone: the flake has no nixosConfigurations.gone" in done.stderr
    again = typed("--yes")
    assert "nothing is new" in again.stderr
    assert files(root) == ["AGENTS.md", "inventory/hosts.yaml", "inventory/mine.yaml"]


def test_a_fleet_of_images_alone_has_no_host(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An inventory without a host is not written."""
    only = Survey(None, ("iso",), (), ())

    async def look(*_: object) -> tuple[Survey, ...]:
        return (only,)

    monkeypatch.setattr(survey, "survey", look)
    with pytest.raises(UsageError, match="no host is left"):
        typed("--yes")
    assert files(root) == []
