"""A run that is rolled back leaves nothing waiting for the hosts that it deferred."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.core import git
from orchestrator.core.event import Event, HostFinished
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.outcome import Deferred, Failed, Outcome, Problem, Skipped
from orchestrator.core.rollout import RolloutPolicy, WhenSpent
from orchestrator.core.run import DeployRequest, Report
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.deploy import run as deploy_run
from orchestrator.deploy.work import HostWork
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import Flake
from orchestrator.runs.pending import Pending, PendingSystems
from orchestrator.ssh.settings import SshSettings

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")


def entry(host: str, run: int, who: str) -> Pending:
    """What waits for a host."""
    now = datetime.now(UTC)
    system = Evaluated(DrvPath(f"{OUT}.drv"), OUT)
    return Pending(host, system, run, who, None, "away", now, now + timedelta(days=7))


class Rollout:
    """A run of two hosts: razer is away, p510 fails."""

    def __init__(self, folder: Path) -> None:
        hosts = {name: Host(name, name, Connect(name)) for name in ("razer", "p510")}
        fleet = Fleet("f", str(folder), str(folder), hosts)
        self.setup = Setup(fleet, Flake.at("/f", "/f"), SshSettings(), folder / "state")
        self.pending = PendingSystems(self.setup.state, print)
        self.events: list[Event] = []
        self.earlier = False

    async def deploy_host(self, work: HostWork) -> Outcome:
        """End as a host does that is away, and as one that fails."""
        await work.session.rollout.turn(work)
        if work.host.name == "p510":
            return Failed("broke", Problem("verify", "broke"))
        run = work.session.run
        self.pending.put(entry("razer", run.number - self.earlier, run.who))
        return Deferred("unreachable; its system waits for it", OUT)

    def run(self, when_spent: WhenSpent) -> Report:
        """Deploy both."""
        request = DeployRequest(rollout=RolloutPolicy(when_spent=when_spent))
        return asyncio.run(deploy_run.deploy(self.setup, request, self.events.append))


@pytest.fixture
def rollout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rollout:
    """Make the two hosts' fleet."""

    async def version() -> tuple[int, ...]:
        return (2, 26)

    async def revision(_: str) -> str:
        return "abc"

    made = Rollout(tmp_path)
    monkeypatch.setattr(nix, "version", version)
    monkeypatch.setattr(git, "revision", revision)
    monkeypatch.setattr(deploy_run, "deploy_host", made.deploy_host)
    return made


@pytest.mark.parametrize("when_spent", [WhenSpent.ROLL_BACK_WAVE, WhenSpent.ROLL_BACK_RUN])
def test_what_waited_is_dropped_with_what_is_taken_back(
    rollout: Rollout, when_spent: WhenSpent
) -> None:
    """Nobody delivers later what the others were rolled back from; the report says so."""
    report = rollout.run(when_spent)
    outcome = report.hosts["razer"].outcome
    assert isinstance(outcome, Skipped)
    assert "dropped: p510 (verify) failed" in outcome.reason
    assert rollout.pending.all() == ()
    ends = [event.outcome for event in rollout.events if isinstance(event, HostFinished)]
    assert ends[-1] == outcome


def test_what_waited_stays_where_others_keep_the_new_system(rollout: Rollout) -> None:
    """Where a rollout only stops, what is pending for an unreachable host stays pending."""
    report = rollout.run(WhenSpent.STOP)
    assert isinstance(report.hosts["razer"].outcome, Deferred)
    assert rollout.pending.of("razer") is not None


def test_what_another_run_had_wait_stays(rollout: Rollout) -> None:
    """What another run left pending stays when this run is rolled back."""
    rollout.earlier = True
    rollout.run(WhenSpent.ROLL_BACK_RUN)
    assert rollout.pending.of("razer") is not None
