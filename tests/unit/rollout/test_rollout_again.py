"""Going on with a run, and taking again what failed in one: which hosts, in which waves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from run_examples import leave

from orchestrator.core.errors import UsageError
from orchestrator.core.generation import BeforeLast
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.outcome import (
    Deferred,
    Deployed,
    Failed,
    Outcome,
    Problem,
    RolledBack,
    Skipped,
)
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import RolloutStatus, Standing, Wave, WaveStatus
from orchestrator.core.run import DeployRequest, HostResult, Reboot
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix.verbs import Flake
from orchestrator.rollout.order import again, failed_again
from orchestrator.ssh.settings import SshSettings

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")
NAMES = ("h1", "h2", "h3", "h4", "h5")
WAVES = (Wave("canary", ("h1", "h2"), 60.0), Wave("all hosts", ("h3", "h4", "h5")))
ENDS: dict[str, Outcome] = {
    "h1": Deployed("new", OUT, Goal.SWITCH),
    "h2": Failed("broke", Problem("build", "broke")),
    "h3": RolledBack("broke", OUT, Problem("verify", "broke")),
    "h4": Skipped("stopped"),
    "h5": Deferred("unreachable"),
}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """A fleet of five."""
    return _setup(tmp_path, NAMES)


def _setup(folder: Path, names: tuple[str, ...]) -> Setup:
    hosts = {name: Host(name, name, Connect(name)) for name in names}
    fleet = Fleet("f", str(folder), str(folder), hosts)
    return Setup(fleet, Flake.at("/f", "/f"), SshSettings(), folder)


def past(
    setup: Setup,
    request: DeployRequest | None = None,
    outcomes: Mapping[str, Outcome] | None = None,
    status: RolloutStatus | None = None,
) -> int:
    """A run; where no outcomes are given, one that was cut off after it had begun."""
    asked = replace(request or DeployRequest(), waves=WAVES)
    ends = {name: HostResult(outcome, 1.0) for name, outcome in (outcomes or {}).items()}
    return leave(setup.state, ends if outcomes else None, asked, status)


def at(hosts: dict[str, str]) -> RolloutStatus:
    """Where hosts are."""
    wave = WaveStatus("all hosts", Standing.GOING, hosts)
    return RolloutStatus(1, Standing.GOING, (wave,))


def test_a_run_goes_on_in_the_same_waves(setup: Setup) -> None:
    """A resumed run has the same waves and all that was asked for."""
    asked = DeployRequest(("h*",), Goal.BOOT, verify=False)
    run = past(setup, asked)
    request, notices = again(setup, run)
    assert request == replace(
        asked, selectors=NAMES, waves=WAVES, title=f"boot, going on with run {run}"
    )
    assert notices == ()


def test_a_pause_that_was_cut_off_is_told(setup: Setup) -> None:
    """Hosts that were deployed before it are not looked at any longer: a person has to know."""
    until = datetime.now(UTC) + timedelta(hours=1)
    wave = WaveStatus("canary", Standing.ENDED, {"h1": "deployed"})
    status = RolloutStatus(1, Standing.PAUSED, (wave,), until=until)
    _, (told,) = again(setup, past(setup, status=status))
    assert f"until {until.astimezone():%H:%M}" in told
    status = replace(status, until=datetime.now(UTC))
    assert again(setup, past(setup, status=status))[1] == ()


def test_hosts_that_the_fleet_has_no_more_are_left_out(setup: Setup, tmp_path: Path) -> None:
    """A resumed run leaves out hosts that the fleet no longer has, and says which."""
    run = past(setup)
    request, notices = again(_setup(tmp_path, ("h1", "h5")), run)
    assert [wave.hosts for wave in request.waves] == [("h1",), ("h5",)]
    assert notices == ("left out, as the fleet does not have them any more: h2, h3, h4",)
    with pytest.raises(UsageError, match="no host left"):
        again(_setup(tmp_path, ("new",)), run)


@pytest.mark.parametrize(
    "asked", [DeployRequest(force=True), DeployRequest(reboot=Reboot.ALWAYS), DeployRequest()]
)
def test_what_is_forced_is_not_done_twice(setup: Setup, asked: DeployRequest) -> None:
    """Where a host's state does not tell that it was done, the run's own file does."""
    hosts = ("deployed", "unchanged", "deploying", "ready", "failed")
    run = past(setup, asked, status=at(dict(zip(NAMES, hosts, strict=True))))
    request, _ = again(setup, run)
    forced = asked != DeployRequest()
    assert request.selectors == (("h3", "h4", "h5") if forced else NAMES)


def retried(setup: Setup, number: int | None = None) -> tuple[str, ...]:
    """The hosts that a retry is of, as its request and its waves have them."""
    request, notices = failed_again(setup, number)
    assert request is not None
    assert request.selectors == tuple(name for wave in request.waves for name in wave.hosts)
    assert notices[-1].endswith(f"retrying {', '.join(request.selectors)}")
    return request.selectors


def test_a_retry_is_of_what_failed_as_that_run_did(setup: Setup) -> None:
    """Failed, rolled back and skipped; not deferred, which waits by itself."""
    run = past(setup, outcomes=ENDS)
    assert retried(setup, run) == ("h2", "h3", "h4")
    request, _ = failed_again(setup, None)
    assert request is not None
    assert (request.goal, request.verify) == (Goal.SWITCH, True)


def test_hosts_that_failed_and_are_no_more_are_reported(setup: Setup, tmp_path: Path) -> None:
    """Where the fleet has none of the failed hosts any more, nobody reads that nothing failed."""
    past(setup, outcomes=ENDS)
    request, notices = failed_again(_setup(tmp_path, ("h1", "h5")), None)
    assert request is None
    assert notices == ("run 1: left out, as the fleet does not have them any more: h2, h3, h4",)


def test_nothing_that_failed_is_nothing_to_retry(setup: Setup) -> None:
    """A run whose hosts are all at their target leaves a retry nothing to do, and it says so."""
    run = past(setup, outcomes=dict.fromkeys(NAMES, ENDS["h1"]))
    assert failed_again(setup, run) == (None, (f"run {run}: no failed hosts to retry",))


def test_of_a_run_that_was_cut_off_its_own_file_tells(setup: Setup) -> None:
    """Hosts that had not ended count as failed; of no file, all do."""
    past(setup)
    assert retried(setup) == NAMES
    hosts = {"h1": "deployed", "h2": "deploying", "h3": "ready", "h4": "unchanged"}
    past(setup, status=at(hosts))
    assert retried(setup) == ("h2", "h3", "h5")


def test_a_last_deployment_that_cannot_be_read_is_not_gone_past(setup: Setup) -> None:
    """An older run's failures are not what is meant."""
    past(setup, outcomes=ENDS)
    (setup.state / f"runs/{past(setup)}/events.jsonl").write_text("{\n")
    with pytest.raises(UsageError, match="run 2 was asked for cannot be read"):
        failed_again(setup, None)


def test_the_last_deployment_is_meant(setup: Setup) -> None:
    """No build, no rollback, no run that kept nothing."""
    past(setup, outcomes=ENDS)
    past(setup, DeployRequest(goal=Goal.BUILD))
    past(setup, DeployRequest(plan_only=True))
    past(setup, DeployRequest(back=BeforeLast()))
    (setup.state / "runs" / "9").mkdir()
    assert retried(setup) == ("h2", "h3", "h4")


@pytest.mark.parametrize(
    ("asked", "what", "hint"),
    [
        (DeployRequest(back=BeforeLast()), "rollback", "orchestrator rollback"),
        (DeployRequest(catch_up=True), "delivery", "orchestrator pending deliver"),
        (DeployRequest(plan_only=True), "plan", "orchestrator deploy"),
    ],
)
def test_what_was_no_deployment_is_not_gone_on_with(
    setup: Setup, asked: DeployRequest, what: str, hint: str
) -> None:
    """To go back "to what ran before" twice is to be there again."""
    with pytest.raises(UsageError, match=f"run 1 was a {what}") as caught:
        again(setup, past(setup, asked))
    assert hint in str(caught.value.hint)
