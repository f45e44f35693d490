"""Going back, on a host in memory: deployments of what is there already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import fake_host
import pytest
from fake_host import ELSE, NEW, OLD, QUESTIONS, Bench, exits
from run_examples import leave

from orchestrator.core.errors import StepError, UsageError
from orchestrator.core.event import PhaseStarted
from orchestrator.core.generation import BeforeLast, BeforeRun, ToGeneration, ToSystem, WayBack
from orchestrator.core.host import BuildOn, BuildSite, Connect, Fleet, Host
from orchestrator.core.outcome import Deployed, Failed, Outcome, Problem, RolledBack, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.run import Before, DeployRequest, HostResult
from orchestrator.core.store import OutPath
from orchestrator.deploy.changing.rollback import before_run, roll_back
from orchestrator.deploy.host import deploy_host
from orchestrator.deploy.work import HostWork
from orchestrator.host.generations import GENERATIONS, IS_THERE, NO_SYSTEM, NOT_THERE
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.settings import SshSettings

HERE = BuildSite(BuildOn.HERE)


@pytest.fixture(autouse=True)
def questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host is asked for its systems, too; this machine has none of them."""
    monkeypatch.setitem(QUESTIONS, GENERATIONS, "generations")
    monkeypatch.setitem(QUESTIONS, IS_THERE, "is there")
    monkeypatch.setattr(nix, "is_here", lambda _: False)


def back(bench: Bench, way: WayBack | None = None, **request: object) -> Outcome:
    """Go back."""
    bench.events.clear()
    bench.delivered.clear()
    return bench.deploy(back=way or BeforeLast(), build=HERE, title="rollback", **request)


def phases(bench: Bench) -> list[str]:
    """What the host went through."""
    return [event.phase.name for event in bench.events if isinstance(event, PhaseStarted)]


def test_what_is_gone_back_to_is_of_no_known_commit(bench: Bench) -> None:
    """The commit that is checked out here is not that of a system which was there before."""
    bench.deploy()
    assert bench.host.record is not None
    assert bench.host.record["revision"] == "abc"
    back(bench)
    assert bench.host.record["revision"] == ""


def test_a_host_goes_back_by_its_own_record(bench: Bench) -> None:
    """Nothing is evaluated, built or copied; it is verified and committed."""
    bench.deploy()
    bench.evaluate = lambda: pytest.fail("a rollback evaluates nothing")
    outcome = back(bench)
    assert isinstance(outcome, Deployed)
    assert outcome.reason.startswith("back to what it ran before run 7 by me@here: ")
    assert OLD.short in outcome.reason
    assert bench.host.state == (OLD, OLD, OLD)
    assert bench.delivered == []
    assert not {"EVALUATE", "BUILD", "COPY"} & set(phases(bench))
    assert "COMMIT" in phases(bench)
    assert bench.host.calls.count("verify") == 2


def test_there_and_back_again(bench: Bench) -> None:
    """A rollback is a deployment, and what it undid was what the host ran before it."""
    bench.deploy()
    back(bench)
    assert isinstance(back(bench), Deployed)
    assert bench.host.state == (NEW, NEW, NEW)


def test_a_generation_and_a_path(bench: Bench) -> None:
    """Both name a system; a host that is at it is unchanged, and which it is is said."""
    bench.host.answers["generations"] = f"generation=41 1 {ELSE} \nend=\n".encode()
    assert isinstance(back(bench, ToGeneration(41)), Deployed)
    assert bench.host.state == (ELSE, ELSE, ELSE)
    again = back(bench, ToGeneration(41))
    assert isinstance(again, Unchanged)
    assert again.reason.endswith("that is generation 41")
    assert isinstance(back(bench, ToSystem(OLD)), Deployed)


def test_what_is_gone_is_refused(bench: Bench) -> None:
    """Nothing was touched, and it is said what to do."""
    bench.host.goes_wrong("is there", exits(NOT_THERE))
    outcome = back(bench, ToSystem(ELSE))
    assert isinstance(outcome, Failed)
    assert (outcome.problem.refused, outcome.problem.step) == (True, "roll back")
    assert "collected as garbage" in outcome.reason
    assert bench.host.state == (OLD, OLD, OLD)


def test_what_is_no_system_is_refused(bench: Bench) -> None:
    """A store path that is no NixOS system is refused: it could not be activated."""
    bench.host.goes_wrong("is there", exits(NO_SYSTEM))
    outcome = back(bench, ToSystem(ELSE))
    assert isinstance(outcome, Failed)
    assert "no NixOS system" in outcome.reason


def test_what_is_gone_there_and_is_here_is_copied(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that the host has collected is copied from this machine, wherever it builds."""
    monkeypatch.setattr(nix, "is_here", lambda _: True)
    recorded(bench, Deployed("new", ELSE, Goal.SWITCH))
    bench.host.goes_wrong("is there", exits(NOT_THERE))
    assert isinstance(back(bench, ToSystem(ELSE), copy=None), Deployed)
    assert "COPY" in phases(bench)
    assert "BUILD" not in phases(bench)
    assert bench.host.state == (ELSE, ELSE, ELSE)


SWITCH = DeployRequest()


def recorded(
    bench: Bench, outcome: Outcome, asked: DeployRequest = SWITCH, host: str = "p620"
) -> None:
    """Have a run that is over tell of a host."""
    leave(bench.folder, {host: HostResult(outcome, 1, Before(ELSE, ELSE, ELSE))}, asked)


@pytest.mark.parametrize(
    ("outcome", "asked", "host"),
    [
        (Deployed("new", NEW, Goal.SWITCH), SWITCH, "p620"),
        (
            Deployed("back to what it ran before", ELSE, Goal.SWITCH),
            DeployRequest(back=BeforeLast()),
            "p620",
        ),
        (Deployed("new", ELSE, Goal.SWITCH), DeployRequest(plan_only=True), "p620"),
        (Deployed("new", ELSE, Goal.SWITCH), SWITCH, "p510"),
        (Unchanged("superseded", ELSE), DeployRequest(catch_up=True), "p620"),
        (RolledBack("rolled back", ELSE, Problem("rollout", "x")), SWITCH, "p620"),
    ],
)
@pytest.mark.parametrize("way", [None, ToSystem(ELSE), ToGeneration(41)])
def test_a_host_is_given_nothing_for_its_own_word(
    bench: Bench,
    monkeypatch: pytest.MonkeyPatch,
    way: WayBack | None,
    outcome: Outcome,
    asked: DeployRequest,
    host: str,
) -> None:
    """A host's word that it ran another host's system, which is here, does not have it copied.

    What it was before a run is its own word too, also where the history has it; and so is what it
    went back to.
    """
    monkeypatch.setattr(nix, "is_here", lambda _: True)
    bench.host.answers["generations"] = f"generation=41 1 {ELSE} \nend=\n".encode()
    recorded(bench, outcome, asked, host)
    bench.deploy()
    bench.host.guard.lines["running"] = ELSE.path
    bench.host.goes_wrong("is there", exits(NOT_THERE))
    ended = back(bench, way)
    assert isinstance(ended, Failed)
    assert "no run of this machine deployed it there" in ended.reason
    assert ended.problem.refused
    assert "COPY" not in phases(bench)
    assert bench.host.state == (NEW, NEW, NEW)


def test_a_plan_says_where(bench: Bench) -> None:
    """A plan of a rollback says where the host would go, and changes nothing on it."""
    outcome = back(bench, ToSystem(ELSE), plan_only=True)
    assert isinstance(outcome, Deployed)
    assert outcome.reason.startswith("back to the system that was named: it runs ")
    assert ELSE.short in outcome.reason
    assert bench.host.state == (OLD, OLD, OLD)


def test_checks_that_keep_a_host_from_going_back(bench: Bench) -> None:
    """Checks that fail after a rollback leave the host at what it ran, with how to skip them."""

    def fail() -> None:
        error = StepError("verification failed: no marker")
        error.step = "verify"
        raise error

    bench.verify = fail
    outcome = back(bench, ToSystem(ELSE))
    assert isinstance(outcome, RolledBack)
    assert bench.host.state == (OLD, OLD, OLD)
    assert "--no-verify" in str(outcome.problem.hint)


def test_a_lock_keeps_a_host_from_going_back(bench: Bench) -> None:
    """A host that another run has locked is not rolled back by hand, as it is not deployed."""
    bench.host.locked_by = "3-ffff"
    outcome = back(bench, ToSystem(ELSE))
    assert isinstance(outcome, Failed)
    assert outcome.problem.refused


class Within:
    """Takes a host back within the run that deployed it."""

    def __init__(self, bench: Bench, patch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.interrupts = False
        self.meanwhile: Callable[[], None] = lambda: None
        self.undone: Outcome | None = None
        patch.setattr(fake_host, "deploy_host", self._there_and_back)

    async def _there_and_back(self, work: HostWork) -> Outcome:
        outcome = await deploy_host(work)
        if self.interrupts:
            work.session.interrupt.wish()
        self.meanwhile()
        self.undone = await roll_back(work, NEW, OLD, "too many failed")
        return outcome


def test_within_a_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attempt of its own, which is not verified: the suites are those of what is undone."""
    within = Within(bench, monkeypatch)
    assert isinstance(bench.deploy(), Deployed)
    assert isinstance(within.undone, Deployed)
    assert within.undone.reason.startswith("rolled back (too many failed): ")
    assert OLD.short in within.undone.reason
    assert bench.host.state == (OLD, OLD, OLD)
    assert bench.host.calls.count("verify") == 1
    assert bench.host.guard.lines["token"].startswith("7-abcd-back.p620.")
    assert bench.host.locked_by is None


def test_within_a_run_what_fails_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host stays at the new system, and nobody says otherwise."""
    within = Within(bench, monkeypatch)
    bench.host.goes_wrong("is there", exits(NOT_THERE))
    bench.deploy()
    assert isinstance(within.undone, Failed)
    assert within.undone.problem.host_state == "not rolled back"
    assert bench.host.state == (NEW, NEW, NEW)


def test_what_somebody_else_deployed_meanwhile_stays(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run rolls back what is its own, and says what it found."""
    within = Within(bench, monkeypatch)

    def somebody_else() -> None:
        bench.host.running = bench.host.profile = bench.host.boot_default = ELSE

    within.meanwhile = somebody_else
    bench.deploy()
    assert isinstance(within.undone, Failed)
    assert f"will boot {ELSE.short}" in str(within.undone.problem.host_state)
    assert bench.host.state == (ELSE, ELSE, ELSE)
    assert bench.host.locked_by is None


def test_what_runs_the_new_system_until_it_boots_is_not_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NixOS lets it not switch live: the old system is its boot default, and no more."""
    within = Within(bench, monkeypatch)
    changed = b'running={"dbus": "broker"}\ntarget={"dbus": "dbus"}\nend=\n'

    def booted_since() -> None:
        bench.host.answers["switching"] = changed

    within.meanwhile = booted_since
    bench.deploy()
    assert isinstance(within.undone, Failed)
    assert within.undone.reason.startswith(f"it runs {NEW.short} until it reboots: dbus")
    assert bench.host.state == (NEW, OLD, OLD)


def test_within_a_run_that_is_interrupted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a run that is interrupted, the roll-back of a host does not begin any more."""
    within = Within(bench, monkeypatch)
    within.interrupts = True
    bench.deploy()
    assert isinstance(within.undone, Failed)
    assert within.undone.reason == "interrupted before it was rolled back"
    assert bench.host.state == (NEW, NEW, NEW)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """A fleet whose history has a run that changed one of its hosts, and one that is no more."""
    hosts = {name: Host(name, name, Connect(name)) for name in ("p620", "razer")}
    fleet = Fleet("f", str(tmp_path), str(tmp_path), hosts)
    setup = Setup(fleet, Flake.at("/f", "/f"), SshSettings(), tmp_path)
    changed = HostResult(Deployed("new", NEW, Goal.SWITCH), 1, Before(OLD, OLD, OLD))
    left = HostResult(Unchanged("as it was", OLD), 1)
    leave(tmp_path, {"p620": changed, "razer": left, "sold": changed})
    leave(tmp_path)
    staged = Before(OutPath(f"/nix/store/{'g' * 32}-gaming"), OLD, OLD, staged=True)
    leave(tmp_path, {"p620": HostResult(Deployed("boots", NEW, Goal.BOOT), 1, staged)})
    return setup


def test_the_hosts_that_a_run_changed_go_back(setup: Setup) -> None:
    """Of those that are still in the fleet, and who is not is told; or those that are named."""
    way = BeforeRun(1, "me@here", {"p620": OLD})
    assert before_run(setup, 1, ()) == (way, ("p620",), ("sold",))
    assert before_run(setup, 1, ("tag:portable",)) == (way, ("tag:portable",), ())


def test_a_run_that_set_what_boots_led_away_from_what_booted(setup: Setup) -> None:
    """By the history as well, where the specialisation that ran was the run's own already."""
    way = BeforeRun(3, "me@here", {"p620": OLD})
    assert before_run(setup, 3, ()) == (way, ("p620",), ())


def test_a_run_that_was_cut_off_changed_what_hosts_say(setup: Setup) -> None:
    """To roll back a run that was cut off, a person must name the hosts."""
    with pytest.raises(UsageError, match="run 2 changed no host") as raised:
        before_run(setup, 2, ())
    assert "name the hosts" in str(raised.value.hint)
    assert before_run(setup, 2, ("p620",)) == (BeforeRun(2, "me@here", {}), ("p620",), ())
