"""Options of rollouts, and the group ``run`` as it is typed; no host is asked."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from run_examples import begin

from orchestrator.cli.main import main, orchestrator
from orchestrator.core.rollout import Amount, RolloutPolicy, WhenSpent
from orchestrator.deploy.commands.options import rollout_options

ALL = Amount(100, percent=True)


def policy(*typed: str) -> RolloutPolicy:
    """What options come to."""
    found: list[RolloutPolicy] = []

    @click.command()
    @rollout_options
    def command(rollout: RolloutPolicy) -> None:
        found.append(rollout)

    command.main(typed, standalone_mode=False)
    return found[0]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("", RolloutPolicy()),
        ("--canary 2", RolloutPolicy(canary=Amount(2))),
        ("--canary 10%", RolloutPolicy(canary=Amount(10, percent=True))),
        ("--canary tag:canary", RolloutPolicy(canary="tag:canary")),
        ("--batch 25% --pause 1.5h", RolloutPolicy(batch=Amount(25, percent=True), pause=5400.0)),
        ("--pause 0", RolloutPolicy(pause=0.0)),
        (
            "--max-failures 3 --on-failure roll-back-run",
            RolloutPolicy(budget=Amount(3), when_spent=WhenSpent.ROLL_BACK_RUN),
        ),
        ("--no-waves --max-failures 2", RolloutPolicy(at_once=True, budget=Amount(2))),
    ],
)
def test_options_make_a_policy(typed: str, expected: RolloutPolicy) -> None:
    """What is not typed is not said."""
    assert policy(*typed.split()) == expected


def test_one_by_one_is_waves_of_one_that_stop_nothing() -> None:
    """``--one-by-one`` is waves of one host, whatever the fleet says, with a budget if typed."""
    fleets_own = RolloutPolicy(canary=Amount(3), pause=600.0, budget=Amount(1))
    typed = policy("--one-by-one").over(fleets_own)
    assert typed.canary == typed.batch == Amount(1)
    assert (typed.pause, typed.budget, typed.stages) == (0.0, ALL, ())
    assert policy("--one-by-one", "--max-failures", "2").budget == Amount(2)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("deploy --canary 0", "neither a number of hosts"),
        ("deploy --batch many", "neither a number of hosts"),
        ("deploy --max-failures 101%", "neither a number of hosts"),
        ("deploy --pause soon", "a duration such as"),
        ("deploy --no-waves --canary 1", "--no-waves has no canary"),
        ("deploy --one-by-one --batch 2", "--one-by-one is"),
        ("run retry p620", "not a valid integer"),
        ("deploy p620 --emergency fire --canary 1", "it has no waves"),
        ("plan --batch 0", "neither a number of hosts"),
        ("run pause", "RUN"),
        ("run abort x", "not a valid integer"),
        ("run resume", "RUN"),
    ],
)
def test_what_is_wrong_is_said(typed: str, said: str) -> None:
    """A wrong amount, duration or selector of a rollout is a usage error, with its reason."""
    done = CliRunner().invoke(orchestrator, typed.split())
    assert done.exit_code == 2, done.output
    assert said in done.output


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fleet of one host, in which one is; and its folder on this machine."""
    root = tmp_path / "fleet"
    (root / "inventory").mkdir(parents=True)
    (root / "inventory" / "hosts.yaml").write_text("hosts: {web1: {}}\n")
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    from orchestrator.cli.opening import open_fleet
    from orchestrator.cli.options import Target
    from orchestrator.host.setup import state_folder

    return state_folder(open_fleet(Target()))


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("run show", "there was no rollout"),
        ("run show 7", "there is no run 7"),
        ("run pause 7", "there is no run 7"),
        ("run resume 7", "there is no run 7"),
        ("run abort 3", "run 3 has ended"),
        ("run show 3", "does not say how it ended"),
        ("run resume 3", "it kept nothing of it"),
        ("run retry", "there was no deployment"),
        ("run retry 3", "it kept nothing of it"),
    ],
)
def test_runs_that_there_are_not_are_refused(
    state: Path, capsys: pytest.CaptureFixture[str], typed: str, said: str
) -> None:
    """Runs that do not exist, have ended or are of an older version are not steered."""
    (state / "runs" / "3").mkdir(parents=True)
    with pytest.raises(SystemExit) as caught:
        main(typed.split())
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_a_run_that_lives_is_not_done_a_second_time(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What its hosts come to is not known yet, so that none is retried."""
    (state / "runs" / "2").mkdir(parents=True)
    with begin(state):
        with pytest.raises(SystemExit) as caught:
            main(("run", "retry", "3"))
        assert caught.value.code == 2
        assert "run 3 is still at work" in capsys.readouterr().err
