"""How far an update of pins goes, and what becomes of the lock file where a stage fails."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import main
from orchestrator.core.errors import StepError
from orchestrator.core.outcome import Completed, Failed, Outcome, Problem
from orchestrator.core.plan import Goal
from orchestrator.core.run import DeployRequest, HostResult, Report, Run
from orchestrator.core.store import OutPath
from orchestrator.deploy import run as deploy_run
from orchestrator.fleet import files
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix

OUT = OutPath("/nix/store/" + "0" * 32 + "-nixos-system-p620")
BUILT = Completed("built", OUT, Goal.BUILD)
UNBUILT = Failed("build failed", Problem("build", "build failed"))


class Stages:
    """A fleet of one host, whose stages end as they are told to.

    Attributes:
        lock: The lock file.
        done: The stages that were come to, in order.
        fails: The stage that fails.
        requests: What was asked of runs.
        interrupted: Whether a person stops the build.
        moves: Whether anything in the lock file moved.
        new: The new lock file's text.
    """

    def __init__(self, root: Path) -> None:
        self.lock = root / "flake.lock"
        self.done: list[str] = []
        self.fails = ""
        self.requests: list[DeployRequest] = []
        self.interrupted = False
        self.moves = True
        self.new = "new pins"

    def _stage(self, name: str) -> None:
        self.done.append(name)
        if self.fails == name:
            raise StepError(f"{name} failed")

    async def update(self, _: object, inputs: Sequence[str]) -> str:
        """Move the pins."""
        self.lock.write_text(self.new)
        self._stage(f"move {' '.join(inputs)}".strip())
        return "• Updated input 'nixpkgs'"

    async def evaluate(self, *_: object) -> None:
        """Evaluate every host."""
        self._stage("evaluate")

    async def commit(self, *_: object) -> bool:
        """Commit the lock file."""
        assert self.lock.read_text() == self.new
        self._stage("commit")
        return self.moves

    async def deploy(self, _: Setup, request: DeployRequest, *__: Any) -> Report:
        """Build or deploy."""
        name = "build" if request.goal is Goal.BUILD else "deploy"
        self.done.append(name)
        self.requests.append(request)
        outcome: Outcome = UNBUILT if self.fails == name else BUILT
        run = Run(1, "/x", "me@here", None, datetime.now(UTC))
        hosts = {"p620": HostResult(outcome, 1.0)}
        return Report(run, request.goal, False, hosts, 1.0, interrupted=self.interrupted)


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    """A fleet with pins, in whose folder one stands."""
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    root = tmp_path / "fleet"
    (root / "inventory").mkdir(parents=True)
    (root / "inventory/hosts.yaml").write_text("hosts: {p620: {address: p620.invalid}}\n")
    (root / "flake.lock").write_text("old pins")
    monkeypatch.chdir(root)
    made = Stages(root)
    monkeypatch.setattr(nix, "require", lambda: None)
    monkeypatch.setattr(nix, "update", made.update)
    monkeypatch.setattr(files, "_require_evaluation", made.evaluate)
    monkeypatch.setattr(files.git, "commit_file", made.commit)
    monkeypatch.setattr(deploy_run, "deploy", made.deploy)
    return made


def update(*words: str) -> int | str | None:
    """Type it; give the exit code."""
    with pytest.raises(SystemExit) as ended:
        main(["update", *words])
    return ended.value.code


@pytest.mark.parametrize(
    ("words", "done"),
    [
        ((), ["move", "evaluate", "commit"]),
        (("nixpkgs",), ["move nixpkgs", "evaluate", "commit"]),
        (("--through", "evaluate"), ["move", "evaluate", "commit"]),
        (("--through", "build"), ["move", "evaluate", "build", "commit"]),
        (("--through", "all"), ["move", "evaluate", "build", "commit", "deploy"]),
        (("a", "b", "--through=all"), ["move a b", "evaluate", "build", "commit", "deploy"]),
    ],
)
def test_stages_come_in_their_order_as_far_as_was_said(
    stages: Stages, words: tuple[str, ...], done: list[str]
) -> None:
    """Nothing is committed that was not proved, and nothing deployed that was not wanted."""
    assert update(*words) == 0
    assert stages.done == done
    assert stages.lock.read_text() == "new pins"


def test_the_deployment_is_of_all_hosts_if_all_build(stages: Stages) -> None:
    """What the build stage built may have been collected: it must hold then, too."""
    assert update("--through", "all") == 0
    build, deploy = stages.requests
    assert build == DeployRequest(("p620",), Goal.BUILD)
    assert deploy == DeployRequest(all_must_build=True, title="update")


@pytest.mark.parametrize("stage", ["move", "evaluate", "build", "commit"])
def test_a_stage_that_fails_before_the_commit_puts_the_lock_file_back(
    stages: Stages, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pins are as they were, no later stage is begun, and the exit code tells."""
    stages.fails = stage
    assert update("--through", "all") == 1
    assert stages.lock.read_text() == "old pins"
    assert stages.done[-1] == stage
    assert "deploy" not in stages.done
    if stage == "build":
        assert "flake.lock is put back as it was" in capsys.readouterr().err


def test_a_fleet_without_a_lock_file_has_none_afterwards(stages: Stages) -> None:
    """What was not there is not left behind."""
    stages.lock.unlink()
    stages.fails = "build"
    assert update("--through", "build") == 1
    assert not stages.lock.exists()


def test_an_interrupted_build_is_no_update(stages: Stages) -> None:
    """Ctrl-C while systems are built: the exit code says so, the pins are as they were."""
    stages.interrupted = True
    assert update("--through", "all") == 130
    assert stages.lock.read_text() == "old pins"
    assert stages.done[-1] == "build"


def test_a_failed_deployment_keeps_the_committed_pins(stages: Stages) -> None:
    """Other hosts may run them by then; its exit code is the update's."""
    stages.fails = "deploy"
    assert update("--through", "all") == 1
    assert stages.lock.read_text() == "new pins"


def test_where_nothing_moved_what_changed_otherwise_is_deployed(
    stages: Stages, capsys: pytest.CaptureFixture[str]
) -> None:
    """No commit is claimed that was not made."""
    stages.moves = False
    assert update("--through", "all") == 0
    assert stages.done[-1] == "deploy"
    said = capsys.readouterr().err
    assert "flake.lock: nothing moved" in said
    assert "committed" not in said


def lock_file(**revisions: str) -> str:
    """A lock file, as Nix writes one, with these inputs."""
    nodes = {name: {"locked": {"type": "git", "rev": rev}} for name, rev in revisions.items()}
    return json.dumps({"nodes": {**nodes, "root": {"inputs": {}}}, "root": "root", "version": 7})


def updated(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[object, dict[str, Any]]:
    """Type it with ``--json``; give the exit code, and the one object on standard output."""
    code = update(*words, "--json")
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return code, found


def test_a_script_reads_which_inputs_moved(
    stages: Stages, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each input that moved, came or went, as Nix has it locked; none that stayed."""
    stages.lock.write_text(lock_file(nixpkgs="a", stays="s", gone="g"))
    stages.new = lock_file(nixpkgs="b", stays="s", came="c")
    code, found = updated(capsys)
    assert code == 0
    assert found == {
        "ok": True,
        "committed": True,
        "inputs": {
            "came": {"before": None, "after": {"type": "git", "rev": "c"}},
            "gone": {"before": {"type": "git", "rev": "g"}, "after": None},
            "nixpkgs": {
                "before": {"type": "git", "rev": "a"},
                "after": {"type": "git", "rev": "b"},
            },
        },
        "build": None,
        "deployment": None,
    }


def test_a_script_reads_of_the_build_and_the_deployment(
    stages: Stages, capsys: pytest.CaptureFixture[str]
) -> None:
    """One object on standard output, whatever the runs draw; the same exit code."""
    stages.moves = False
    code, found = updated(capsys, "--through", "all")
    assert (code, found["ok"], found["committed"]) == (0, True, False)
    assert found["inputs"] is None, "neither lock file is one"
    assert (found["build"]["goal"], found["build"]["exit_code"]) == ("build", 0)
    assert found["deployment"]["hosts"]["p620"]["outcome"] == "completed"
    stages.fails = "deploy"
    code, found = updated(capsys, "--through", "all")
    assert (code, found["ok"], found["deployment"]["exit_code"]) == (1, False, 1)


def test_a_script_reads_that_pins_were_put_back(
    stages: Stages, capsys: pytest.CaptureFixture[str]
) -> None:
    """A build that fails is in the report, and a stage that fails is the error."""
    stages.fails = "build"
    code, found = updated(capsys, "--through", "all")
    assert (code, found["ok"], found["committed"]) == (1, False, False)
    assert found["build"]["hosts"]["p620"]["message"] == "build failed"
    assert found["deployment"] is None
    stages.fails = "evaluate"
    code, found = updated(capsys)
    assert (code, found["ok"]) == (1, False)
    assert found["error"] == {"message": "evaluate failed", "hint": None}
    assert stages.lock.read_text() == "old pins"
