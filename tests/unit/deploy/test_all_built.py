"""One host's way where all must build, and where nothing is built that a host has."""

from __future__ import annotations

from typing import Any

import pytest
from fake_host import NEW, OLD, Bench

from orchestrator.core.host import BuildOn, BuildSite, WhenUnreachable
from orchestrator.core.outcome import Deferred, Deployed, Failed, Outcome, Problem, Skipped
from orchestrator.core.store import OutPath
from orchestrator.deploy.all_built import AllBuilt
from orchestrator.deploy.delivering import delivery

UNBUILT = Failed("build failed", Problem("build", "build failed"))
THERE = BuildSite(BuildOn.TARGET)


def beside(bench: Bench, other: Outcome, **request: Any) -> Outcome:
    """Deploy the host, and p620 alone, beside one that ended so."""
    bench.all_built = AllBuilt(("p620", "razer"))
    bench.all_built.ended("razer", other)
    return bench.deploy(all_must_build=True, **request)


@pytest.mark.parametrize("request_", [{}, {"emergency": "fire"}, {"force": True}])
def test_a_built_host_is_not_touched_where_another_did_not_build(
    bench: Bench, request_: dict[str, Any]
) -> None:
    """A built host is neither locked, copied to nor changed where another did not build."""
    outcome = beside(bench, UNBUILT, **request_)
    assert isinstance(outcome, Skipped)
    assert "razer did not build" in outcome.reason
    assert bench.delivered == ["build"]
    assert bench.host.state == (OLD, OLD, OLD)
    assert bench.host.guard.lines == {}


def test_a_host_is_deployed_where_the_others_built(bench: Bench) -> None:
    """That another one failed later, or was at its target, is no reason to wait."""
    bench.all_built = AllBuilt(("p620",))
    assert isinstance(bench.deploy(all_must_build=True), Deployed)
    assert bench.host.state == (NEW, NEW, NEW)


def test_an_unreachable_host_is_built_before_its_silence_is_told(bench: Bench) -> None:
    """An unreachable host's build counts: others are deployed, and it alone has failed."""
    bench.host.reachable = False
    bench.all_built = AllBuilt(("p620",))
    outcome = bench.deploy(all_must_build=True)
    assert isinstance(outcome, Failed)
    assert outcome.problem.step == "connect"
    assert bench.delivered == ["build"]
    assert bench.all_built._failed == []


@pytest.mark.parametrize("unreachable", list(WhenUnreachable))
def test_an_unreachable_host_that_builds_its_own_system_stops_all(
    bench: Bench, unreachable: WhenUnreachable
) -> None:
    """Nobody knows whether it would build: that is no build that succeeded."""
    bench.host.reachable = False
    bench.all_built = AllBuilt(("p620", "razer"))
    outcome = bench.deploy(all_must_build=True, build=THERE, unreachable=unreachable)
    bench.all_built.ended("p620", outcome)
    assert isinstance(outcome, Failed)
    assert "--build-on here" in (outcome.problem.hint or "")
    assert bench.all_built._failed == ["p620"]


def test_what_waits_for_an_absent_host_waits_only_if_all_built(bench: Bench) -> None:
    """A system of a run that activated nothing is not delivered later either."""
    bench.host.reachable = False
    outcome = beside(bench, UNBUILT, unreachable=WhenUnreachable.DEFER)
    assert isinstance(outcome, Skipped)
    assert not (bench.folder / "pending" / "p620.json").exists()
    bench.all_built = AllBuilt(("p620",))
    assert isinstance(
        bench.deploy(all_must_build=True, unreachable=WhenUnreachable.DEFER), Deferred
    )


def test_a_plan_of_an_unreachable_host_builds_nothing(bench: Bench) -> None:
    """A plan of an unreachable host fails as the deployment would, without any build."""
    bench.host.reachable = False
    bench.all_built = AllBuilt(("p620",))
    assert isinstance(bench.deploy(all_must_build=True, plan_only=True), Failed)
    assert bench.delivered == []


@pytest.mark.parametrize(
    ("has_it", "delivered"), [(True, []), (False, ["build", "copy"])], ids=["there", "not there"]
)
def test_fast_builds_and_copies_nothing_that_the_host_has(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, has_it: bool, delivered: list[str]
) -> None:
    """A fast deployment builds and copies nothing that the host has, and proves it all the same."""

    async def keep(_: object, out: OutPath) -> bool:
        assert out == NEW
        return has_it

    monkeypatch.setattr(delivery, "keep", keep)
    assert isinstance(bench.deploy(fast=True), Deployed)
    assert bench.delivered == delivered
    assert "verify" in bench.host.calls
    assert bench.host.state == (NEW, NEW, NEW)


def test_a_system_that_the_host_has_by_then_is_built_and_not_copied(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --fast it is built all the same; the host is asked when it would be copied to."""

    async def keep(*_: object) -> bool:
        return True

    monkeypatch.setattr(delivery, "keep", keep)
    assert isinstance(bench.deploy(), Deployed)
    assert bench.delivered == ["build"]
