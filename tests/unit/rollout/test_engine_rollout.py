"""Waves, with hosts that end as they are told to: whose turn comes, and when none does any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fake_host import EagerLoop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core import git
from orchestrator.core.event import Event, HostFinished, Notice, Paused, WaveEnded, WaveStarted
from orchestrator.core.host import Connect, Fleet, Host, Limits
from orchestrator.core.interrupt import Interrupt
from orchestrator.core.outcome import (
    Deferred,
    Deployed,
    Failed,
    Outcome,
    Problem,
    RolledBack,
    Skipped,
    Unchanged,
    Unreached,
    outcome_name,
)
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import Amount, Order, RolloutPolicy, Standing, WhenSpent, Word
from orchestrator.core.run import Before, DeployRequest, Report
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy import host
from orchestrator.deploy import run as deploy_run
from orchestrator.deploy.changing import rollback
from orchestrator.deploy.work import HostWork
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import Flake
from orchestrator.runs.folder import RunFolder
from orchestrator.runs.journal import Journal
from orchestrator.ssh.settings import SshSettings

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")
OLD = OutPath("/nix/store/dddddddddddddddddddddddddddddddd-nixos-system")
NAMES = ("h1", "h2", "h3", "h4", "h5")
DEPLOYED = Deployed("new", OUT, Goal.SWITCH)
FAILED = Failed("broke", Problem("verify", "broke"))
LOST = Failed("gone", Problem("reboot", "no answer", lost=True))
SAME = Unchanged("same", OUT)
LONGEST = 20_000.0
"""Seconds of the loop's own time, which jumps: a host that waits for ever is found by it."""
Step = Callable[[], Awaitable[None]]


class Fake:
    """A fleet of five, whose hosts take their turns and then end as they are told to.

    Attributes:
        ends: Otherwise than deployed, by host.
        early: Hosts that end before their turn.
        slow: What a host does before its turn; the builds of others go on.
        busy: What a host does once its turn has come.
        booted: Hosts that are only rebooted.
        turns: The hosts whose turn came, in that order.
        ended_before: Those that had ended by then.
        said: What is said to the run, and after how many seconds.
        ctrl_c: After how many seconds a person stops the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ends: dict[str, Outcome] = {}
        self.early: set[str] = set()
        self.slow: dict[str, Step] = {}
        self.busy: dict[str, Step] = {}
        self.booted: set[str] = set()
        self.turns: list[str] = []
        self.back: list[str] = []
        self.back_ends: dict[str, Outcome] = {}
        self.events: list[Event] = []
        self.limits = Limits()
        self.policy = RolloutPolicy()
        self.interrupt = Interrupt(lambda _: None)
        self.ended_before: dict[str, set[str]] = {}
        self.said: list[tuple[float, Word]] = []
        self.ctrl_c: float | None = None

    async def way(self, work: HostWork, _: object) -> Outcome:
        """Gather and build; wait for the turn; be changed."""
        name = work.host.name
        await self.slow.get(name, _nothing)()
        if name in self.early:
            return self.ends[name]
        await work.session.all_built.wait(work)
        await work.session.rollout.turn(work)
        self.turns.append(name)
        self.ended_before[name] = set(work.session.rollout.outcomes)
        work.before = None if name in self.booted else Before(OLD, OLD, OLD)
        await self.busy.get(name, _nothing)()
        return self.ends.get(name, DEPLOYED)

    async def roll_back(self, work: HostWork, deployed: OutPath, to: OutPath, why: str) -> Outcome:
        """Go back."""
        assert (deployed, to) == (OUT, OLD)
        assert why
        self.back.append(work.host.name)
        return self.back_ends.get(work.host.name, Deployed("back", to, Goal.SWITCH))

    def begin_anew(self) -> None:
        """Forget what happened."""
        self.folder = self.folder / "again"
        self.turns, self.back, self.events = [], [], []
        self.ended_before, self.interrupt = {}, Interrupt(lambda _: None)

    async def _with_words(self, run: Coroutine[Any, Any, Report]) -> Report:
        """Have what is to be said, said meanwhile, each at its time."""
        loop = asyncio.get_running_loop()
        for number, (seconds, word) in enumerate(self.said):
            loop.call_later(seconds, self.order, word, str(number))
        if self.ctrl_c is not None:
            loop.call_later(self.ctrl_c, self.interrupt.wish)
        return await asyncio.wait_for(run, LONGEST)

    def deploy(self, rollout: RolloutPolicy | None = None, **request: object) -> Report:
        """Run."""
        hosts = {name: Host(name, name, Connect(name)) for name in NAMES}
        fleet = Fleet(
            *("f", str(self.folder), str(self.folder), hosts),
            limits=self.limits,
            rollout=self.policy,
        )
        setup = Setup(fleet, Flake.at("/f", "/f"), SshSettings(), self.folder / "state")
        asked = DeployRequest(rollout=rollout or RolloutPolicy(), **request)  # type: ignore[arg-type]
        with asyncio.Runner(loop_factory=EagerLoop) as runner:
            run = deploy_run.deploy(setup, asked, self.events.append, self.interrupt)
            return runner.run(self._with_words(run))

    @property
    def first(self) -> RunFolder:
        """What the first run leaves."""
        return RunFolder(self.folder / "state" / "runs", 1)

    def order(self, word: Word, id: str = "1") -> None:
        """Tell the run something, as another terminal does: once there is such a run."""
        if self.first.path.is_dir():
            self.first.put_order(Order(id, word, "me@sofa"))
        else:
            asyncio.get_running_loop().call_later(0.1, self.order, word, id)


async def _nothing() -> None:
    await asyncio.sleep(0)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    """Make a fleet of five."""

    async def version() -> tuple[int, ...]:
        return (2, 26)

    async def revision(_: str) -> str:
        return "abc"

    made = Fake(tmp_path)
    monkeypatch.setattr(nix, "version", version)
    monkeypatch.setattr(git, "revision", revision)
    monkeypatch.setattr(host, "_way", made.way)
    monkeypatch.setattr(rollback, "roll_back", made.roll_back)
    return made


def outcomes(report: Report) -> str:
    """Each host's outcome, in the inventory's order."""
    return " ".join(outcome_name(result.outcome) for result in report.hosts.values())


BY_TWO = RolloutPolicy(batch=Amount(2))
CANARY = RolloutPolicy(canary=Amount(1))


def test_everybody_goes_at_once_by_default(fake: Fake) -> None:
    """One wave, of which nothing is told; one that fails stops nobody."""
    fake.ends["h1"] = FAILED
    report = fake.deploy()
    assert outcomes(report) == "failed deployed deployed deployed deployed"
    assert not [e for e in fake.events if isinstance(e, WaveStarted | WaveEnded | Paused | Notice)]


def test_waves_go_one_after_the_other(fake: Fake) -> None:
    """A host's turn comes once all hosts of the waves before have ended."""
    hour = lambda: asyncio.sleep(3600)  # noqa: E731
    fake.busy = {"h1": hour, "h3": hour}
    report = fake.deploy(BY_TWO)
    assert outcomes(report) == " ".join(["deployed"] * 5)
    seen = [e for e in fake.events if isinstance(e, WaveStarted | WaveEnded | HostFinished)]
    told = [
        e.host if isinstance(e, HostFinished) else f"{type(e).__name__} {e.number} of {e.of}"
        for e in seen
    ]
    assert told == [
        *("WaveStarted 1 of 3", "h2", "h1", "WaveEnded 1 of 3"),
        *("WaveStarted 2 of 3", "h4", "h3", "WaveEnded 2 of 3"),
        *("WaveStarted 3 of 3", "h5", "WaveEnded 3 of 3"),
    ]
    assert [wave.name for wave in report.waves] == [f"batch {n} of 3" for n in (1, 2, 3)]


def test_hosts_that_wait_are_in_nobodys_way(fake: Fake) -> None:
    """With one place only, whoever comes first may be of the last wave."""
    fake.limits = Limits(hosts=1)
    report = fake.deploy(RolloutPolicy(canary="h5", batch=Amount(1)))
    assert outcomes(report) == " ".join(["deployed"] * 5)
    assert fake.turns == ["h5", "h1", "h2", "h3", "h4"]


def test_a_canary_that_fails_stops_all_others(fake: Fake) -> None:
    """After a failed canary all others are skipped with the reason, and what they do ends."""
    fake.ends["h1"] = FAILED
    fake.slow["h4"] = lambda: asyncio.Event().wait()  # type: ignore[assignment,return-value]
    report = fake.deploy(CANARY)
    assert outcomes(report) == "failed skipped skipped skipped skipped"
    assert fake.turns == ["h1"]
    why = "not tried: the rollout was stopped after wave 1 of 2, canary: h1 (verify) failed"
    assert report.hosts["h4"].outcome.reason.startswith(why)
    assert report.exit_code == 1


def test_the_budget_is_over_the_run_so_far(fake: Fake) -> None:
    """The second failure spends a budget of two, in whichever wave it is."""
    fake.ends = {"h1": FAILED, "h4": FAILED}
    report = fake.deploy(RolloutPolicy(batch=Amount(2), budget=Amount(2)))
    assert outcomes(report) == "failed deployed deployed failed skipped"


def test_a_percentage_of_the_budget_is_of_the_whole_run(fake: Fake) -> None:
    """Of five hosts 40 % are two, also while a wave of one is all that was tried."""
    fake.ends["h1"] = FAILED
    policy = replace(CANARY, budget=Amount(40, percent=True))
    assert outcomes(fake.deploy(policy)) == "failed deployed deployed deployed deployed"


def test_a_host_that_fails_before_its_turn_counts_for_its_wave(fake: Fake) -> None:
    """A host that fails early counts in its own wave, and earlier waves go on."""
    fake.ends["h3"], fake.early = FAILED, {"h3"}
    report = fake.deploy(BY_TWO)
    assert outcomes(report) == "deployed deployed failed deployed skipped"


def test_deferred_hosts_do_not_count(fake: Fake) -> None:
    """Neither deferred nor unchanged hosts count as failures of a rollout."""
    fake.ends = {"h1": Deferred("unreachable"), "h2": SAME}
    fake.early = {"h2"}
    assert outcomes(fake.deploy(BY_TWO)) == "deferred unchanged deployed deployed deployed"


def test_no_rollout_goes_on_over_a_host_that_does_not_come_back(fake: Fake) -> None:
    """A host that does not come back stops the rollout, whatever the budget is."""
    fake.ends["h2"] = LOST
    report = fake.deploy(RolloutPolicy(batch=Amount(2), budget=Amount(100, percent=True)))
    assert outcomes(report) == "deployed failed skipped skipped skipped"


def test_a_canary_that_is_absent_proves_nothing(fake: Fake) -> None:
    """The others go on, and that is told."""
    fake.ends["h1"] = Deferred("unreachable")
    assert outcomes(fake.deploy(CANARY)) == "deferred deployed deployed deployed deployed"
    (told,) = [e.text for e in fake.events if isinstance(e, Notice)]
    assert told == "no host of wave 1, canary, answered: it proves nothing"


@pytest.mark.parametrize(
    ("what", "expected", "back"),
    [
        (WhenSpent.STOP, "deployed deployed deployed failed skipped", []),
        (WhenSpent.ROLL_BACK_WAVE, "deployed deployed rolled_back failed skipped", ["h3"]),
        (
            WhenSpent.ROLL_BACK_RUN,
            "rolled_back rolled_back rolled_back failed skipped",
            ["h1", "h2", "h3"],
        ),
    ],
)
def test_hosts_are_taken_back_as_the_policy_says(
    fake: Fake, what: WhenSpent, expected: str, back: list[str]
) -> None:
    """When the budget is spent, deployed hosts are rolled back as the policy says, and it shows."""
    fake.ends["h4"] = FAILED
    report = fake.deploy(RolloutPolicy(batch=Amount(2), when_spent=what))
    assert outcomes(report) == expected
    assert fake.back == back
    for name in back:
        outcome = report.hosts[name].outcome
        assert isinstance(outcome, RolledBack)
        assert outcome.out_path == OLD
        assert "h4 (verify) failed" in outcome.problem.message
        last = [e for e in fake.events if isinstance(e, HostFinished) and e.host == name][-1]
        assert last.outcome == outcome


def test_a_host_that_cannot_be_taken_back_is_told_as_failed(fake: Fake) -> None:
    """A host that cannot be rolled back with its wave is failed, with what it runs."""
    fake.ends["h2"] = FAILED
    fake.back_ends["h1"] = Failed("no", Problem("connect", "no", host_state="not rolled back"))
    policy = RolloutPolicy(batch=Amount(2), when_spent=WhenSpent.ROLL_BACK_WAVE)
    report = fake.deploy(policy)
    assert report.hosts["h1"].outcome == fake.back_ends["h1"]


@pytest.mark.parametrize("unreached", [False, True])
def test_a_host_whose_way_back_was_taken_back_is_not_told_as_back(
    fake: Fake, unreached: bool
) -> None:
    """A roll-back that is itself rolled back is a failed host that runs what was deployed."""
    fake.ends["h2"] = FAILED
    stays = Problem("activate", "a unit broke", host_state=f"it runs {OUT.short}, as before")
    back = RolledBack("a unit broke", OLD, stays)
    fake.back_ends["h1"] = Unreached("a unit broke", stays, OLD) if unreached else back
    policy = RolloutPolicy(batch=Amount(2), when_spent=WhenSpent.ROLL_BACK_WAVE)
    outcome = fake.deploy(policy).hosts["h1"].outcome
    assert isinstance(outcome, Failed)
    assert outcome.reason == "not rolled back: a unit broke"
    assert (outcome.problem, outcome.out_path) == (stays, OUT)


def test_a_bug_in_taking_one_back_cuts_off_no_other(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug while one host is rolled back is reported at the end, and stops no other."""

    async def bug(work: HostWork, deployed: OutPath, to: OutPath, why: str) -> Outcome:
        if work.host.name == "h1":
            raise ZeroDivisionError("x")
        await asyncio.sleep(60)
        return await fake.roll_back(work, deployed, to, why)

    monkeypatch.setattr(rollback, "roll_back", bug)
    fake.ends["h3"] = FAILED
    with pytest.raises(ZeroDivisionError):
        fake.deploy(RolloutPolicy(batch=Amount(3), when_spent=WhenSpent.ROLL_BACK_WAVE))
    assert fake.back == ["h2"]
    ends = {e.host: outcome_name(e.outcome) for e in fake.events if isinstance(e, HostFinished)}
    assert (ends["h1"], ends["h2"]) == ("failed", "rolled_back")


def test_a_host_that_was_only_booted_is_not_taken_back(fake: Fake) -> None:
    """A host that got a new boot default only is not rolled back: it runs what it ran."""
    fake.ends["h2"] = FAILED
    fake.booted = {"h1"}
    policy = RolloutPolicy(batch=Amount(2), when_spent=WhenSpent.ROLL_BACK_WAVE)
    assert outcomes(fake.deploy(policy)) == "deployed failed skipped skipped skipped"
    assert fake.back == []


def test_there_is_no_pause_where_nothing_was_changed_or_is_left(fake: Fake) -> None:
    """A run without changes costs no time, whatever the policy."""
    fake.ends, fake.early = dict.fromkeys(NAMES, SAME), set(NAMES)
    fake.deploy(RolloutPolicy(batch=Amount(1), pause=60.0))
    assert not [e for e in fake.events if isinstance(e, Paused)]


def test_there_is_no_pause_after_hosts_that_were_absent(fake: Fake) -> None:
    """Nothing of theirs is there to be looked at; of others that changed, there is."""
    policy = RolloutPolicy(batch=Amount(2), pause=60.0)
    fake.ends = dict.fromkeys(("h1", "h2", "h3"), Deferred("unreachable"))
    fake.deploy(policy)
    assert [e.why for e in fake.events if isinstance(e, Paused)] == ["after wave 2, batch 2 of 3"]


def test_a_pause_comes_between_waves(fake: Fake) -> None:
    """The policy's pause comes between two waves, and not after the last."""
    report = fake.deploy(RolloutPolicy(batch=Amount(3), pause=60.0))
    assert [e.seconds for e in fake.events if isinstance(e, Paused)] == [60.0]
    assert outcomes(report) == " ".join(["deployed"] * 5)


def test_the_fleets_policy_holds_where_nothing_is_typed(fake: Fake) -> None:
    """The fleet's policy holds unless options, an emergency or an unchanging goal say other."""
    fake.policy = BY_TWO
    assert len(fake.deploy().waves) == 3
    assert len(fake.deploy(RolloutPolicy(at_once=True)).waves) == 1
    assert len(fake.deploy(emergency="fire").waves) == 1
    assert len(fake.deploy(goal=Goal.PUSH).waves) == 1


def test_a_paused_rollout_goes_on_when_it_is_told_to(fake: Fake) -> None:
    """A rollout paused from another terminal is resumed from there; hosts in turn are not held."""
    state: list[str] = []

    async def pause() -> None:
        fake.order(Word.PAUSE)
        await _until(lambda: _status(fake) is Standing.PAUSED)
        state.extend(fake.turns)
        fake.order(Word.RESUME, "2")

    fake.busy["h1"] = pause
    report = fake.deploy(CANARY)
    assert state == ["h1"]
    assert outcomes(report) == " ".join(["deployed"] * 5)
    assert next(e for e in fake.events if isinstance(e, Paused)).why.startswith("by me@sofa")


def test_an_aborted_rollout_lets_hosts_that_began_end(fake: Fake) -> None:
    """An aborted rollout lets hosts that began come to their end, and begins no other."""

    async def abort() -> None:
        fake.order(Word.ABORT)
        await _until(lambda: _status(fake) is Standing.STOPPED)

    fake.busy["h1"] = abort
    report = fake.deploy(BY_TWO)
    assert outcomes(report) == "deployed deployed skipped skipped skipped"
    assert "aborted by me@sofa" in report.hosts["h3"].outcome.reason
    assert report.exit_code == 1


def test_a_paused_rollout_can_be_aborted(fake: Fake) -> None:
    """A paused rollout can be aborted, also where its policy has it pause."""
    fake.busy["h1"] = lambda: _later(fake, Word.ABORT)
    report = fake.deploy(RolloutPolicy(canary=Amount(1), pause=3600.0))
    assert outcomes(report) == "deployed skipped skipped skipped skipped"


def test_resume_ends_a_pause_of_the_policys(fake: Fake) -> None:
    """`resume` ends a pause of the policy's early, though it be a week long."""
    clock: list[float] = []

    async def resume() -> None:
        clock.append(asyncio.get_running_loop().time())
        await _later(fake, Word.RESUME)

    async def note() -> None:
        clock.append(asyncio.get_running_loop().time())

    fake.busy = {"h1": resume, "h2": note}
    fake.deploy(RolloutPolicy(canary=Amount(1), pause=604800.0))
    assert clock[1] - clock[0] < 3600


def test_a_word_in_a_wave_does_not_end_the_pause_after_it(fake: Fake) -> None:
    """Who paused and resumed while the canary was changed has not asked for that."""
    clock: list[float] = []

    async def words() -> None:
        fake.order(Word.PAUSE)
        await _until(lambda: _status(fake) is Standing.PAUSED)
        fake.order(Word.RESUME, "2")
        await _until(lambda: _status(fake) is Standing.GOING)
        clock.append(asyncio.get_running_loop().time())

    async def note() -> None:
        clock.append(asyncio.get_running_loop().time())

    fake.busy = {"h1": words, "h2": note}
    fake.deploy(RolloutPolicy(canary=Amount(1), pause=3600.0))
    assert clock[1] - clock[0] >= 3600


@pytest.mark.parametrize("pause", [None, 3600.0])
def test_an_interrupt_skips_who_waits(fake: Fake, pause: float | None) -> None:
    """An interrupt skips hosts that wait at once, and rolls nothing back."""

    async def wish() -> None:
        with fake.interrupt.guarded("h1 is being changed"):
            asyncio.get_running_loop().call_later(60, fake.interrupt.wish)
            await asyncio.sleep(3600 if pause is None else 0)

    fake.ends["h2"] = FAILED
    fake.busy["h1"] = wish
    policy = RolloutPolicy(
        batch=Amount(1), pause=pause, when_spent=WhenSpent.ROLL_BACK_RUN, canary="h1"
    )
    report = fake.deploy(policy)
    assert fake.turns == ["h1"]
    assert all(isinstance(report.hosts[name].outcome, Skipped) for name in NAMES[1:])
    assert report.exit_code == 130
    assert not fake.back


def test_no_wave_begins_when_a_paused_rollout_is_interrupted(fake: Fake) -> None:
    """When a paused rollout is interrupted no wave begins, or is said to begin or end."""
    fake.said, fake.ctrl_c = [(1.0, Word.PAUSE)], 3600.0
    fake.busy["h1"] = lambda: asyncio.sleep(60)
    report = fake.deploy(RolloutPolicy(canary=Amount(1)))
    assert outcomes(report) == "deployed skipped skipped skipped skipped"
    said = [e.wave.name for e in fake.events if isinstance(e, WaveStarted | WaveEnded)]
    assert said == ["canary", "canary"]


def test_a_bug_on_one_host_leaves_no_other_waiting(fake: Fake) -> None:
    """A bug on one host is a failure of that host, and leaves no other waiting."""

    async def bug() -> None:
        raise ZeroDivisionError("x")

    fake.busy["h1"] = bug
    with pytest.raises(ZeroDivisionError):
        fake.deploy(CANARY)
    ended = {e.host: type(e.outcome) for e in fake.events if isinstance(e, HostFinished)}
    assert ended == {"h1": Failed, **dict.fromkeys(NAMES[1:], Skipped)}


def test_a_bug_in_leading_leaves_no_host_waiting(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody's turn comes any more; whose turn has come ends."""

    def bug(*_: object) -> int:
        raise ZeroDivisionError("x")

    monkeypatch.setattr(RolloutPolicy, "most_failures", bug)
    with pytest.raises(ZeroDivisionError):
        fake.deploy(CANARY)
    ended = {e.host: type(e.outcome) for e in fake.events if isinstance(e, HostFinished)}
    assert ended == {"h1": Deployed, **dict.fromkeys(NAMES[1:], Skipped)}


def test_where_it_is_can_be_read_while_it_goes(fake: Fake) -> None:
    """Where a rollout is can be read while it lives, and that it lives no more afterwards."""
    seen: list[object] = []

    async def look() -> None:
        await asyncio.sleep(1)
        status = fake.first.status()
        assert status is not None
        seen.extend([fake.first.is_alive, status.hosts, [w.standing for w in status.waves]])

    fake.busy["h3"] = look
    fake.deploy(BY_TWO)
    assert seen == [
        True,
        {"h1": "deployed", "h2": "deployed", "h3": "deploying", "h4": "deployed", "h5": "ready"},
        [Standing.ENDED, Standing.GOING, Standing.WAITING],
    ]
    assert not fake.first.is_alive
    assert _status(fake) is Standing.ENDED


def test_a_full_disk_stops_no_rollout(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk stops no rollout, and is reported twice, not once for each write."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Journal, "write_status", full)
    monkeypatch.setattr("orchestrator.runs.journal.os.write", full)
    assert outcomes(fake.deploy(CANARY)) == " ".join(["deployed"] * 5)
    told = [e.text for e in fake.events if isinstance(e, Notice)]
    assert len(told) == 2
    assert all("No space left" in text for text in told)


@pytest.mark.filterwarnings("error::RuntimeWarning")  # a coroutine that nobody awaits
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(
    ends=st.dictionaries(st.sampled_from(NAMES), st.sampled_from([FAILED, LOST, SAME])),
    early=st.sets(st.sampled_from(NAMES)),
    slow=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 300)),
    busy=st.dictionaries(st.sampled_from(NAMES), st.floats(0, 300)),
    places=st.integers(1, 3),
    policy=st.builds(
        RolloutPolicy,
        canary=st.none() | st.sampled_from(["h5", "h2 or h4"]),
        batch=st.none() | st.integers(1, 3).map(Amount),
        pause=st.none() | st.floats(1, 300),
        budget=st.none() | st.integers(1, 4).map(Amount),
        when_spent=st.none() | st.sampled_from(WhenSpent),
    ),
    said=st.lists(st.tuples(st.floats(0, 600), st.sampled_from(Word)), max_size=3),
    ctrl_c=st.none() | st.floats(0, 900),
)
def test_every_rollout_comes_to_an_end(
    fake: Fake,
    ends: dict[str, Outcome],
    early: set[str],
    slow: dict[str, float],
    busy: dict[str, float],
    places: int,
    policy: RolloutPolicy,
    said: list[tuple[float, Word]],
    ctrl_c: float | None,
) -> None:
    """Whatever fails, is slow, is said: each host ends, and begins after the waves before it."""
    fake.begin_anew()
    fake.ends, fake.limits = ends, Limits(hosts=places)
    fake.early = early & ends.keys()
    fake.slow = {name: partial(asyncio.sleep, seconds) for name, seconds in slow.items()}
    fake.busy = {name: partial(asyncio.sleep, seconds) for name, seconds in busy.items()}
    fake.said = [*said, (5000.0, Word.RESUME)]
    fake.ctrl_c = ctrl_c
    report = fake.deploy(policy)
    assert tuple(report.hosts) == NAMES
    before: set[str] = set()
    for wave in report.waves:
        for name in wave.hosts:
            assert name not in fake.turns or before <= fake.ended_before[name]
        before |= set(wave.hosts)


def _status(fake: Fake) -> Standing | None:
    status = fake.first.status()
    return status.standing if status else None


async def _until(what: Callable[[], bool]) -> None:
    for _ in range(1000):
        if what():
            return
        await asyncio.sleep(0.1)
    raise AssertionError("not so in a hundred seconds")


async def _later(fake: Fake, word: Word) -> None:
    """Have a word come when the wave has ended."""
    loop = asyncio.get_running_loop()
    loop.call_later(60, lambda: fake.order(word))
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.sleep(0)


UNBUILT = Failed("build failed", Problem("build", "build failed"))


@pytest.mark.parametrize(
    "request_",
    [
        {},
        {"rollout": CANARY},
        {"rollout": BY_TWO},
        {"emergency": "fire"},
        {"goal": Goal.PUSH},
        {"plan_only": True},
    ],
)
def test_where_all_must_build_one_failed_build_keeps_every_host_from_its_turn(
    fake: Fake, request_: dict[str, Any]
) -> None:
    """Whatever the waves, the goal or the hurry; hosts are told whose build failed."""
    fake.ends["h4"] = UNBUILT
    fake.early = {"h4"}
    fake.slow["h4"] = lambda: asyncio.sleep(3600)
    report = fake.deploy(all_must_build=True, **request_)
    assert fake.turns == []
    assert outcomes(report) == "skipped skipped skipped failed skipped"
    said = "would not" if request_.get("plan_only") else "did not"
    assert f"h4 {said} build, and all must" in report.hosts["h1"].outcome.reason
    assert report.exit_code == 1


def test_where_all_must_build_every_build_is_waited_for_even_of_the_last_wave(fake: Fake) -> None:
    """No host of the first wave is changed while one of the last is being built."""
    built: list[str] = []

    async def build() -> None:
        await asyncio.sleep(3600)
        built.append("h5")

    async def changed() -> None:
        assert built == ["h5"]

    fake.slow["h5"] = build
    fake.busy = dict.fromkeys(NAMES, changed)
    report = fake.deploy(CANARY, all_must_build=True)
    assert outcomes(report) == " ".join(["deployed"] * 5)


def test_where_all_must_build_hosts_wait_in_nobodys_way(fake: Fake) -> None:
    """With one place only, those that wait for the others' builds leave it to them."""
    fake.limits = Limits(hosts=1)
    report = fake.deploy(all_must_build=True)
    assert outcomes(report) == " ".join(["deployed"] * 5)


def test_where_all_must_build_hosts_that_have_their_system_stop_nobody(fake: Fake) -> None:
    """One at its target was built before; what waits for an unreachable one is built by then."""
    fake.ends |= {"h1": SAME, "h2": Deferred("unreachable", OUT)}
    fake.early = {"h1", "h2"}
    report = fake.deploy(all_must_build=True)
    assert outcomes(report) == "unchanged deferred deployed deployed deployed"


def test_where_all_must_build_a_bug_before_a_build_stops_all(fake: Fake) -> None:
    """A host whose share broke was not built: nobody waits for it without end."""

    async def breaks() -> None:
        raise RuntimeError("a bug")

    fake.slow["h2"] = breaks
    with pytest.raises(RuntimeError, match="a bug"):
        fake.deploy(all_must_build=True)
    assert fake.turns == []


def test_where_all_must_build_ctrl_c_ends_the_wait(fake: Fake) -> None:
    """Hosts that wait for another's build are left at once, and nothing was activated."""
    fake.slow["h3"] = lambda: asyncio.sleep(36_000)
    fake.ctrl_c = 5.0
    report = fake.deploy(all_must_build=True)
    assert fake.turns == []
    assert outcomes(report) == " ".join(["skipped"] * 5)
    assert report.exit_code == 130


def test_a_build_alone_is_no_activation_that_others_wait_for(fake: Fake) -> None:
    """Nothing follows a build: each host's own result is told."""
    fake.ends["h4"] = UNBUILT
    fake.early = {"h4"}
    report = fake.deploy(all_must_build=True, goal=Goal.BUILD)
    assert outcomes(report) == "deployed deployed deployed failed deployed"
