"""Two names at one machine, in whatever order they come: none is deployed that is not there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from fake_host import NEW, OLD, Bench, EagerLoop, FakeHost, left, system

from orchestrator.core.outcome import Deployed, Failed, Outcome, RolledBack, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult
from orchestrator.core.run import DeployRequest
from orchestrator.deploy.host import deploy_host
from orchestrator.deploy.names import Machines
from orchestrator.deploy.work import HostWork

OTHERS = system("y")


def both(
    bench: Bench, way: Callable[..., Awaitable[Any]] | None = None, **request: Any
) -> tuple[Outcome, ...]:
    """Deploy two names that lead to the one host, at the same time or as ``way`` says."""

    async def run() -> tuple[Outcome, ...]:
        shares = bench.shares(DeployRequest(**request), "p620", "p510")
        return tuple(await (way or at_once)(*shares))

    with asyncio.Runner(loop_factory=EagerLoop) as runner:
        return runner.run(run())


async def at_once(*shares: HostWork) -> list[Outcome]:
    """All together."""
    return await asyncio.gather(*(deploy_host(share) for share in shares))


async def in_turn(*shares: HostWork) -> list[Outcome]:
    """Each is asked first when the one before is done with."""
    return [await deploy_host(share) for share in shares]


def refused(outcome: Outcome, other: str) -> None:
    """It was refused before anything was changed, and was told the other name."""
    assert isinstance(outcome, Failed), outcome
    assert outcome.problem.refused
    assert outcome.problem.host_state is None
    assert other in outcome.reason


@pytest.mark.parametrize("goal", [Goal.SWITCH, Goal.TEST, Goal.BOOT])
@pytest.mark.parametrize("skipped", [(), ("identity",)])
def test_both_are_refused_where_both_were_asked(
    bench: Bench, goal: Goal, skipped: tuple[str, ...]
) -> None:
    """The lock of the one is found through the address of the other; no option goes past that."""
    one, other = both(bench, goal=goal, skip_preflight=skipped)
    refused(one, "p510")
    refused(other, "p620")
    assert bench.host.state == (OLD, OLD, OLD)
    assert bench.host.locked_by is None


def test_a_lock_of_this_run_is_another_name_and_not_another_deployer(bench: Bench) -> None:
    """Where it came after the machine was asked, right before one's own: both names are said."""

    async def between(one: HostWork, other: HostWork) -> list[Outcome]:
        bench.host.goes_wrong("take", lambda host: setattr(host, "locked_by", other.token))
        return [await deploy_host(one)]

    (one,) = both(bench, between)
    refused(one, "this run is at it as p510")
    assert bench.host.state == (OLD, OLD, OLD)


@pytest.mark.parametrize("goal", [Goal.SWITCH, Goal.TEST, Goal.BOOT])
@pytest.mark.parametrize("skipped", [(), ("identity",)])
def test_who_comes_when_the_first_is_done_is_told_so(
    bench: Bench, goal: Goal, skipped: tuple[str, ...]
) -> None:
    """Who comes after another deployment is told of its lock, and changes nothing."""
    one, other = both(bench, in_turn, goal=goal, skip_preflight=skipped, force=True)
    assert isinstance(one, Deployed)
    refused(other, "this run deployed it as p620")
    assert bench.host.guard.lines["token"].split(".")[1] == "p620"


def test_who_comes_when_the_first_was_taken_back_is_told_so(bench: Bench) -> None:
    """Nothing that this run does there is another host's."""
    bench.host.goes_wrong("in activate", lambda _: CommandResult(1, b"", b""))
    one, other = both(bench, in_turn)
    assert isinstance(one, RolledBack)
    refused(other, "took that back")


def test_a_machine_whose_ids_differ_each_time_is_found_by_the_lock(bench: Bench) -> None:
    """Ids are hints: without them the lock, and what is at the machine, still tell."""
    said = bench.host.state_text
    count = iter(range(1000))

    def another() -> str:
        return said().replace("machine_id=m", f"machine_id=m{next(count)}")

    bench.host.state_text = another  # type: ignore[method-assign]
    outcomes = both(bench)
    assert sum(isinstance(outcome, Deployed) for outcome in outcomes) <= 1
    for outcome, mine in zip(outcomes, ("p620", "p510"), strict=True):
        if not isinstance(outcome, Deployed):
            refused(outcome, "p510" if mine == "p620" else "p620")


def recorded(host: FakeHost, name: str) -> None:
    """Have a machine say as whom it was deployed."""
    left(host, "done", OLD, token=f"6-dead.{name}.beef", ended="1700000000", who="me@here")
    host.record = dict(host.guard.lines)


@pytest.mark.parametrize("target", [NEW, OLD])
@pytest.mark.parametrize(
    "request_",
    [{}, {"force": True}, {"plan_only": True}, {"emergency": "now"}, {"goal": Goal.PUSH}],
)
def test_a_machine_that_was_deployed_as_another_is_refused(
    bench: Bench, target: Any, request_: dict[str, Any]
) -> None:
    """A machine that was deployed as another host is refused, also where it runs the system."""
    recorded(bench.host, "p510")
    bench.target = target
    outcome = bench.deploy(**request_)
    refused(outcome, "deployed as p510")
    assert isinstance(outcome, Failed)
    assert "--skip-preflight identity" in str(outcome.problem.hint)
    assert "build" not in bench.host.calls


def test_a_person_may_say_that_it_is_meant(bench: Bench) -> None:
    """A renamed host: the machine bears the new name from then on."""
    recorded(bench.host, "p510")
    assert isinstance(bench.deploy(skip_preflight=("identity",)), Deployed)
    assert isinstance(bench.deploy(), Unchanged)
    assert bench.host.record is not None
    assert bench.host.record["token"].split(".")[1] == "p620"


def test_an_attempt_that_was_undone_says_nothing(bench: Bench) -> None:
    """Who tried in vain to be this machine is not this machine."""
    recorded(bench.host, "p620")
    bench.host.guard.lines |= {"token": "6-dead.p510.beef", "state": "returned", "seen": "1"}
    assert isinstance(bench.deploy(), Deployed)


def test_a_system_that_is_tried_says_it_until_the_boot(bench: Bench) -> None:
    """A test leaves no record: in its boot it counts, afterwards the record does."""
    recorded(bench.host, "p620")
    bench.host.guard.lines |= {"token": "6-dead.p510.beef", "goal": "test"}
    refused(bench.deploy(), "deployed as p510")
    bench.host.boot_id = "b2"
    assert isinstance(bench.deploy(), Deployed)


def test_what_another_host_s_deployer_left_is_not_finished_as_ours(bench: Bench) -> None:
    """The same target under another name: with a person's word it is undone, then done again."""
    left(bench.host, "checking", token="6-dead.p510.beef")
    refused(bench.deploy(), "deployed as p510")
    assert isinstance(bench.deploy(skip_preflight=("identity",)), Deployed)
    assert "back" in bench.host.calls
    assert bench.host.guard.lines["token"] == "7-abcd.p620.00ff"


def test_a_machine_known_by_another_name_is_looked_at_through_that_name(bench: Bench) -> None:
    """A machine of an older version says no name; what is remembered is a hint, the lock proof."""
    Machines(bench.folder / "machines").remember("p510", "m")

    async def only_one(*shares: HostWork) -> list[Outcome]:
        shares[0].session.rollout.works.pop("p510")
        return [await deploy_host(shares[0])]

    (outcome,) = both(bench, only_one)
    refused(outcome, "the address of p510 leads to this machine")
    assert isinstance(outcome, Failed)
    assert "--skip-preflight identity" in str(outcome.problem.hint)
    assert bench.host.state == (OLD, OLD, OLD)


def test_a_machine_known_by_a_name_that_is_gone(bench: Bench) -> None:
    """Renamed in the inventory: not without a word, and with one it is deployed."""
    Machines(bench.folder / "machines").remember("p510", "m")
    refused(bench.deploy(), "p510, which the fleet does not have any more")
    assert isinstance(bench.deploy(skip_preflight=("identity",)), Deployed)
    assert isinstance(bench.deploy(force=True), Deployed), "it bears its name now"


def test_a_guard_s_word_does_not_replace_what_was_wanted(bench: Bench) -> None:
    """A guard that confirms another system than was wanted means that the host is failed."""

    def lies(host: FakeHost) -> CommandResult | None:
        host.running = host.profile = host.boot_default = OTHERS
        host.guard.lines |= {"target": OTHERS.path, "state": "done", "ended": "1700000000"}
        return None

    bench.host.goes_wrong("await", None, lies)
    outcome = bench.deploy()
    assert isinstance(outcome, Failed), outcome
    assert outcome.out_path == NEW
    assert OTHERS.short in str(outcome.problem.host_state)
