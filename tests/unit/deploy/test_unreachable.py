"""A host that does not answer: deferred where that is wanted, failed where it is not."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fake_host import ELSE, NEW, OLD, Bench, FakeHost

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.host import BuildOn, BuildSite, WhenUnreachable
from orchestrator.core.outcome import Deferred, Deployed, Failed, RolledBack, Skipped, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.runs.pending import Pending, PendingSystems

DEFER: dict[str, Any] = {"unreachable": WhenUnreachable.DEFER}


def evaluated(out: OutPath) -> Evaluated:
    """A system and what builds it."""
    return Evaluated(DrvPath(f"{out}.drv"), out)


def waits(bench: Bench) -> Pending | None:
    """What waits for the host."""
    return store(bench).of("p620")


def store(bench: Bench) -> PendingSystems:
    """What waits for all hosts; none of it is damaged."""

    def never(text: str) -> None:
        raise AssertionError(text)

    return PendingSystems(bench.folder, never)


def have_wait(bench: Bench, out: OutPath = NEW, **fields: Any) -> Pending:
    """Have a system wait, since an hour ago, by an earlier run."""
    now = datetime.now(UTC)
    pending = Pending(
        host="p620",
        system=evaluated(out),
        run=3,
        who="me@here",
        revision="abc",
        reason="no route to host",
        since=now - timedelta(hours=1),
        expires=now + timedelta(days=7),
    )
    pending = replace(pending, **fields)
    store(bench).put(pending)
    return pending


def catch_up(bench: Bench, out: OutPath = NEW) -> Any:
    """Deploy what waits, as ``catch-up`` does."""
    systems = {"p620": evaluated(out)}
    return bench.deploy(catch_up=True, systems=systems, unreachable=WhenUnreachable.DEFER)


def test_it_is_built_and_waits(bench: Bench) -> None:
    """The entry has all that a delivery needs; the outcome says until when."""
    bench.host.reachable = False
    chosen = SpecialisePolicy.parse("gaming")
    asked = {"verify": False, "skip_preflight": ("clock",), "specialisation": chosen}
    outcome = bench.deploy(**asked, **DEFER)
    assert isinstance(outcome, Deferred)
    assert outcome.out_path == NEW
    assert bench.delivered == ["build", "build"], "built, and kept by a root of its own"
    found = waits(bench)
    assert found is not None
    assert f"until {found.expires.astimezone():%Y-%m-%d}" in outcome.reason
    assert (found.system, found.run, found.goal) == (evaluated(NEW), 7, Goal.SWITCH)
    assert (found.verify, found.skip_preflight) == (False, ("clock",))
    assert found.specialisation == chosen
    assert found.expires - found.since == timedelta(days=7)


def test_by_default_an_absent_host_has_failed(bench: Bench) -> None:
    """A server that does not answer is an error, and nothing waits."""
    bench.host.reachable = False
    assert isinstance(bench.deploy(), Failed)
    assert isinstance(bench.deploy(unreachable=WhenUnreachable.FAIL), Failed)
    assert waits(bench) is None


@pytest.mark.parametrize(
    "request_",
    [
        {"goal": Goal.TEST},
        {"goal": Goal.DRY_ACTIVATE},
        {"goal": Goal.PUSH},
        {"emergency": "it burns", "verify": False},
    ],
    ids=str,
)
def test_who_watches_is_told_at_once(bench: Bench, request_: dict[str, Any]) -> None:
    """Goals that leave nothing behind, and emergencies, never defer."""
    bench.host.reachable = False
    assert isinstance(bench.deploy(**request_, **DEFER), Failed)
    assert waits(bench) is None


def test_a_plan_has_nothing_wait(bench: Bench) -> None:
    """A plan says that the host would wait, and leaves nothing pending."""
    bench.host.reachable = False
    outcome = bench.deploy(plan_only=True, **DEFER)
    assert isinstance(outcome, Deferred)
    assert "would wait" in outcome.reason
    assert waits(bench) is None
    assert bench.delivered == []


def test_a_refused_login_or_another_key_is_no_absence(bench: Bench) -> None:
    """Somebody answered: a person has to look."""

    def refuses(_: FakeHost) -> CommandResult:
        raise StepError("the host key of p620 is not a known one")

    bench.host.goes_wrong("connect", refuses)
    outcome = bench.deploy(**DEFER)
    assert isinstance(outcome, Failed)
    assert "host key" in outcome.reason
    assert waits(bench) is None


def test_a_system_that_does_not_build_has_failed(bench: Bench) -> None:
    """What does not build can wait for nobody."""

    def fails(_: FakeHost) -> CommandResult:
        raise StepError("build failed")

    bench.host.reachable = False
    bench.host.goes_wrong("build", fails)
    outcome = bench.deploy(**DEFER)
    assert isinstance(outcome, Failed)
    assert waits(bench) is None


def test_a_host_that_is_lost_in_the_copy_and_gone_is_deferred(bench: Bench) -> None:
    """A host lost in the copy that stays unreachable is deferred: nothing was changed there."""

    def vanishes(host: FakeHost) -> CommandResult:
        host.reachable = False
        raise UnreachableError("the connection was lost")

    bench.deadlines = replace(bench.deadlines, connect=0.1)
    bench.host.goes_wrong("copy", vanishes)
    outcome = bench.deploy(**DEFER)
    assert isinstance(outcome, Deferred)
    assert bench.host.state == (OLD, OLD, OLD)
    assert waits(bench) is not None


@pytest.mark.parametrize("moment", ["build", "take", "preflight", "switching", "renew"])
def test_a_host_that_is_gone_at_any_moment_before_it_is_changed_is_deferred(
    bench: Bench, moment: str
) -> None:
    """A laptop is closed during a long build, or as its lock is to be taken."""

    def gone(host: FakeHost) -> CommandResult | None:
        host.reachable = False
        if moment == "build":
            return None
        raise UnreachableError("the connection was lost")

    bench.host.goes_wrong(moment, gone)
    outcome = bench.deploy(**DEFER)
    assert isinstance(outcome, Deferred), outcome
    assert waits(bench) is not None
    assert bench.host.running == OLD


def test_a_connection_that_breaks_in_the_copy_is_no_absence(bench: Bench) -> None:
    """The host answers still: the run has failed there, and says why."""

    def breaks(_: FakeHost) -> CommandResult:
        raise UnreachableError("the connection was lost")

    bench.host.goes_wrong("copy", breaks)
    outcome = bench.deploy(**DEFER)
    assert isinstance(outcome, Failed)
    assert outcome.reason == "the connection was lost"
    assert waits(bench) is None


def test_what_is_built_on_the_absent_host_itself_waits_unbuilt(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The derivation is kept; the host builds it when it is back."""
    kept: list[DrvPath] = []

    async def keep_nothing(*_: object) -> bool:
        return False

    async def keep_derivation(drv: DrvPath, _: object) -> None:
        kept.append(drv)

    monkeypatch.setattr("orchestrator.nix.closure.keep", keep_nothing)
    monkeypatch.setattr("orchestrator.nix.closure.keep_derivation", keep_derivation)
    bench.host.reachable = False
    outcome = bench.deploy(build=BuildSite(BuildOn.TARGET), **DEFER)
    assert isinstance(outcome, Deferred)
    assert kept == [evaluated(NEW).drv]
    assert bench.delivered == []


@pytest.mark.parametrize("how", ["fails", "is interrupted"])
def test_what_could_not_be_kept_does_not_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Nobody is told that a host failed or was skipped, and finds it deployed the next day."""

    async def keep(_: object, root: Path) -> bool:
        if "pending" not in root.parts:
            return True
        if how == "fails":
            raise StepError("no space left on device")
        bench.interrupt.wish()
        await asyncio.sleep(1)
        return True

    monkeypatch.setattr("orchestrator.nix.closure.keep", keep)
    bench.host.reachable = False
    assert isinstance(bench.deploy(**DEFER), Failed if how == "fails" else Skipped)
    assert waits(bench) is None


def test_a_later_deferral_takes_its_place(bench: Bench) -> None:
    """The newest system waits, and no other."""
    have_wait(bench, ELSE)
    bench.host.reachable = False
    bench.deploy(**DEFER)
    found = waits(bench)
    assert found is not None
    assert (found.system.out, found.run) == (NEW, 7)


def test_a_deployment_supersedes_what_waited(bench: Bench) -> None:
    """Deployed, or unchanged at what the fleet says now: nothing is wanted any more."""
    have_wait(bench, ELSE)
    assert isinstance(bench.deploy(), Deployed)
    assert waits(bench) is None
    have_wait(bench, ELSE)
    assert isinstance(bench.deploy(), Unchanged)
    assert waits(bench) is None


@pytest.mark.parametrize("request_", [{"goal": Goal.TEST}, {"plan_only": True}], ids=str)
def test_what_does_not_last_supersedes_nothing(bench: Bench, request_: dict[str, Any]) -> None:
    """A deployment that does not last, a test or a plan, drops nothing that is pending."""
    kept = have_wait(bench, ELSE)
    assert isinstance(bench.deploy(**request_), Deployed)
    assert waits(bench) == kept


def test_an_entry_of_a_later_run_stays(bench: Bench) -> None:
    """Two runs at a time: the older one's end does not drop what the newer has wait."""
    kept = have_wait(bench, ELSE, run=8)
    assert isinstance(bench.deploy(), Deployed)
    assert waits(bench) == kept


def test_a_catch_up_delivers_exactly_what_waited(bench: Bench) -> None:
    """`catch-up` delivers the system that waited, evaluates nothing, and not the fleet's now."""

    def never() -> None:
        raise AssertionError("evaluated")

    bench.evaluate = never
    have_wait(bench, ELSE)
    outcome = catch_up(bench, ELSE)
    assert isinstance(outcome, Deployed)
    assert bench.host.state == (ELSE, ELSE, ELSE)
    assert waits(bench) is None


def test_a_catch_up_that_meets_it_absent_counts_the_try(bench: Bench) -> None:
    """Since and expiry stay: it does not wait for ever by being tried."""
    before = have_wait(bench)
    bench.host.reachable = False
    outcome = catch_up(bench)
    assert isinstance(outcome, Deferred)
    found = waits(bench)
    assert found is not None
    assert found.last_try is not None
    assert found == replace(before, tries=1, last_try=found.last_try)


def test_a_host_that_was_deployed_from_elsewhere_is_not_taken_back(bench: Bench) -> None:
    """What waited is older: it is dropped, and that is said."""
    have_wait(bench)
    bench.host.record = deployed_by_another(datetime.now(UTC))
    outcome = catch_up(bench)
    assert isinstance(outcome, Unchanged)
    assert "superseded" in outcome.reason
    assert "you@there" in outcome.reason
    assert bench.host.state == (OLD, OLD, OLD)
    assert waits(bench) is None


def test_a_deployment_from_elsewhere_while_the_lock_was_waited_for_counts_too(
    bench: Bench,
) -> None:
    """The host is asked again once nobody else is at it."""

    def overtakes(host: FakeHost) -> None:
        host.record = deployed_by_another(datetime.now(UTC))

    have_wait(bench)
    bench.host.goes_wrong("state", None, overtakes)
    outcome = catch_up(bench)
    assert isinstance(outcome, Unchanged)
    assert "superseded" in outcome.reason
    assert bench.host.state == (OLD, OLD, OLD)


def test_a_deployment_before_it_began_to_wait_is_no_reason(bench: Bench) -> None:
    """The host is behind, and is brought to what waits."""
    have_wait(bench)
    bench.host.record = deployed_by_another(datetime.now(UTC) - timedelta(days=1))
    assert isinstance(catch_up(bench), Deployed)
    assert bench.host.running == NEW


@pytest.mark.parametrize("wrong", [timedelta(minutes=4), timedelta(days=-9000)], ids=str)
@pytest.mark.parametrize("overtaken", [True, False])
def test_the_hosts_clock_does_not_say_which_is_newer(
    bench: Bench, wrong: timedelta, overtaken: bool
) -> None:
    """Which deployment is newer follows from its deployer's record, not the host's clock."""
    now = datetime.now(UTC)
    have_wait(bench, since=now - timedelta(minutes=1))
    began = now - timedelta(seconds=10 if overtaken else 120)
    record = deployed_by_another(began + wrong)
    bench.host.record = record | {"began": str(int(began.timestamp()))}
    assert isinstance(catch_up(bench), Unchanged if overtaken else Deployed)
    assert waits(bench) is None


def test_what_was_dropped_meanwhile_is_not_delivered(bench: Bench) -> None:
    """A newer deployment, or a person, was there first."""
    outcome = catch_up(bench)
    assert isinstance(outcome, Unchanged)
    assert bench.host.state == (OLD, OLD, OLD)


def test_a_delivery_that_is_rolled_back_is_not_tried_again_by_itself(bench: Bench) -> None:
    """A delivery that is rolled back stays pending with its error, and is not tried by itself."""

    def fails() -> None:
        raise StepError("2 checks failed")

    have_wait(bench)
    bench.verify = fails
    outcome = catch_up(bench)
    assert isinstance(outcome, RolledBack)
    found = waits(bench)
    assert found is not None
    assert found.problem == outcome.reason
    assert found.due(timedelta(minutes=1)) is None


def test_nor_is_one_that_had_to_be_evaluated_anew(bench: Bench) -> None:
    """What waited was collected as garbage: be the fleet broken now, or its system."""

    def broken() -> None:
        raise StepError("undefined variable")

    have_wait(bench)
    bench.evaluate = broken
    assert isinstance(bench.deploy(catch_up=True, **DEFER), Failed)
    found = waits(bench)
    assert found is not None
    assert (found.problem, found.tries) == ("undefined variable", 1)
    assert found.due(timedelta(minutes=1)) is None


def test_a_delivery_that_a_person_ended_is_not_held_against_it(bench: Bench) -> None:
    """The machine that watches is shut down: the next watch goes on."""
    before = have_wait(bench)
    bench.verify = lambda: bench.interrupt.wish()
    outcome = catch_up(bench)
    assert isinstance(outcome, RolledBack), outcome
    assert waits(bench) == before


def test_a_delivery_that_breaks_before_anything_is_changed_is_tried_again(bench: Bench) -> None:
    """A delivery that breaks in the copy stays pending and is tried again."""

    def breaks(_: FakeHost) -> CommandResult:
        raise UnreachableError("the connection was lost")

    have_wait(bench)
    bench.host.goes_wrong("copy", breaks)
    assert isinstance(catch_up(bench), Failed)
    found = waits(bench)
    assert found is not None
    assert (found.problem, found.tries) == (None, 1)


def deployed_by_another(at: datetime) -> dict[str, str]:
    """What another machine's deployment leaves on the host."""
    return {
        "run": "12",
        "who": "you@there",
        "target": str(OLD),
        "ended": str(int(at.timestamp())),
    }


def test_a_plan_says_what_would_be_built_for_a_host_that_does_not_answer(bench: Bench) -> None:
    """Away from the network the host fails, and yet its system is evaluated and named."""
    bench.host.reachable = False
    outcome = bench.deploy(plan_only=True)
    assert isinstance(outcome, Failed)
    assert outcome.out_path == NEW
    assert outcome.reason.endswith(f"; its system {NEW.short} would be built")
    assert bench.delivered == []
