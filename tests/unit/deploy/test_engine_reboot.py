"""Boots as a run orders them, on a host in memory: whether, when, and what came of it."""

from __future__ import annotations

from typing import Any

import pytest
from fake_host import (
    ELSE,
    NEW,
    OLD,
    Bench,
    FakeHost,
    Fault,
    exits,
    loses_connection,
    passes_deadline,
)

from orchestrator.core.errors import StepError
from orchestrator.core.host import Deadlines
from orchestrator.core.outcome import Deployed, Failed, Unchanged
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult
from orchestrator.core.run import Reboot
from orchestrator.core.store import OutPath
from orchestrator.deploy.changing import reboot

NEW_KERNEL = b"booted.kernel=/nix/store/6.6\ntarget.kernel=/nix/store/6.12\nend=\n"


@pytest.fixture(autouse=True)
def verified(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A boot is followed by the same verification."""

    async def verify(*_: object) -> None:
        await bench._verify()

    monkeypatch.setattr(reboot, "verify", verify)


def boots(system: OutPath | None = None, *, failed: tuple[str, ...] = ()) -> Fault:
    """Another boot, of what is the boot default or of another system."""

    def boot(host: FakeHost) -> None:
        host.boot_id = f"{host.boot_id}+"
        host.running = host.booted = system or host.boot_default
        host.failed = failed

    return boot


def boots_never(host: FakeHost) -> None:
    """The host goes down, and stays there."""
    host.reachable = False


def notices(bench: Bench) -> str:
    """What a person was told."""
    return "\n".join(str(getattr(event, "text", "")) for event in bench.events)


def at_target(bench: Bench) -> None:
    """The host runs what it should, since a boot long ago."""
    bench.host.running = bench.host.profile = bench.host.boot_default = NEW


def test_a_boot_comes_after_the_commit_and_is_verified(bench: Bench) -> None:
    """The host was deployed in full before; the reason tells both."""
    bench.host.answers["boot parts"] = NEW_KERNEL
    bench.host.goes_wrong("reboot", boots())
    outcome = bench.deploy(reboot=Reboot.IF_NEEDED)
    assert isinstance(outcome, Deployed)
    assert "rebooted in 0 s (new kernel)" in outcome.reason
    assert outcome.reboot_required == ()
    assert bench.host.calls.count("verify") == 2
    assert bench.host.booted == NEW


@pytest.mark.parametrize("goal", [Goal.SWITCH, Goal.TEST])
def test_a_host_that_needs_none_is_not_booted(bench: Bench, goal: Goal) -> None:
    """A host that needs no reboot or commits nothing is not booted, whatever is asked."""
    if goal is Goal.TEST:
        bench.host.answers["boot parts"] = NEW_KERNEL
    bench.host.goes_wrong("reboot", boots())
    assert isinstance(bench.deploy(goal, reboot=Reboot.IF_NEEDED), Deployed)
    assert "reboot" not in bench.host.calls


def test_an_order_that_hangs_may_have_been_given(bench: Bench) -> None:
    """A host that is slow to answer, and boots all the same, did not fail."""

    def boots_and_hangs(host: FakeHost) -> CommandResult | None:
        boots()(host)
        return passes_deadline(host)

    bench.host.answers["boot parts"] = NEW_KERNEL
    bench.host.goes_wrong("reboot", boots_and_hangs)
    outcome = bench.deploy(reboot=Reboot.IF_NEEDED)
    assert isinstance(outcome, Deployed), outcome
    assert bench.host.booted == NEW


def test_goal_boot_needs_one(bench: Bench) -> None:
    """The host runs another system than it will boot."""
    bench.host.goes_wrong("reboot", boots())
    outcome = bench.deploy(Goal.BOOT, reboot=Reboot.IF_NEEDED)
    assert isinstance(outcome, Deployed)
    assert "it runs another system" in outcome.reason
    assert bench.host.calls.count("verify") == 1


def test_a_boot_that_was_owed(bench: Bench) -> None:
    """A host at its target is booted where it needs it, and not where it does not."""
    at_target(bench)
    assert isinstance(bench.deploy(reboot=Reboot.IF_NEEDED), Unchanged)
    bench.host.answers["boot parts"] = NEW_KERNEL
    assert isinstance(bench.deploy(), Unchanged)
    plan = bench.deploy(reboot=Reboot.IF_NEEDED, plan_only=True)
    assert isinstance(plan, Deployed)
    assert "to be rebooted" in plan.reason
    assert "reboot" not in bench.host.calls
    bench.host.goes_wrong("reboot", boots())
    outcome = bench.deploy(reboot=Reboot.IF_NEEDED)
    assert isinstance(outcome, Deployed)
    assert outcome.reason.startswith("already runs")
    assert bench.host.locked_by is None


def test_a_boot_that_was_owed_waits_for_nobody_else_s_lock(bench: Bench) -> None:
    """Another deployment is at the host: it is not booted."""
    at_target(bench)
    bench.host.locked_by = "3-ffff"
    outcome = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(outcome, Failed)
    assert outcome.problem.refused
    assert "reboot" not in bench.host.calls


def test_the_connection_that_ends_with_the_boot_is_no_failure(bench: Bench) -> None:
    """A connection that ends with the boot is no failure: what comes up says if it booted."""

    def boots_at_once(host: FakeHost) -> Any:
        boots()(host)
        return loses_connection(host)

    bench.host.goes_wrong("reboot", boots_at_once)
    assert isinstance(bench.deploy(reboot=Reboot.ALWAYS), Deployed)


def test_the_wish_to_stop_boots_nothing(bench: Bench) -> None:
    """An interrupt between commit and reboot leaves the host deployed and not booted."""
    bench.host.goes_wrong("in commit", lambda _: bench.interrupt.wish())
    bench.host.goes_wrong("reboot", boots())
    outcome = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(outcome, Deployed)
    assert "not rebooted (as was asked for): interrupted" in outcome.warnings
    assert "reboot" not in bench.host.calls


def test_who_refuses_is_told(bench: Bench) -> None:
    """The host is deployed, and that it was not booted is a failure: it was asked for."""
    bench.host.goes_wrong("reboot", exits(1, "Operation inhibited by backup"))
    outcome = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(outcome, Failed)
    assert outcome.problem.step == "reboot"
    assert outcome.problem.stderr == ("Operation inhibited by backup",)
    assert outcome.problem.host_state == f"it runs and will boot {NEW.short}"
    assert not outcome.problem.lost


def test_a_host_that_answers_in_the_same_boot_is_not_lost(bench: Bench) -> None:
    """A host that took the order and answers in the same boot is not called lost."""
    bench.deadlines = Deadlines(reboot=30)
    outcome = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(outcome, Failed)
    assert "it did not reboot within 30 s" in outcome.reason
    assert not outcome.problem.lost
    # None is closed before the end: one for each question would be hundreds of sessions.
    assert bench.host.calls.count("connect") <= 3


def test_a_host_that_does_not_come_back_is_lost(bench: Bench) -> None:
    """What is known is told: since when, what it should boot, its last boot."""
    bench.deadlines = Deadlines(reboot=30)
    bench.host.goes_wrong("reboot", boots_never)
    outcome = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(outcome, Failed)
    assert outcome.problem.lost
    assert "did not come back within 30 s: no answer since" in outcome.reason
    assert f"it should boot {NEW.short}; its last boot was b" in outcome.reason


def test_a_host_that_boots_something_else(bench: Bench) -> None:
    """The boot loader fell back; what it runs is told, and it is not lost."""
    bench.host.goes_wrong("reboot", boots(ELSE))
    outcome = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(outcome, Failed)
    assert f"it came back and booted {ELSE.short}, not {NEW.short}" in outcome.reason
    assert outcome.problem.host_state is not None
    assert f"it runs {ELSE.short}" in outcome.problem.host_state
    assert not outcome.problem.lost


def test_units_that_fail_since_the_boot_are_named(bench: Bench) -> None:
    """Units that fail since the boot are named, and not those that failed before it."""
    bench.host.failed = ("old.service",)
    bench.host.goes_wrong("reboot", boots(failed=("old.service", "new.service")))
    outcome = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(outcome, Deployed)
    assert outcome.warnings[-1] == "units that fail since the boot: new.service"


def test_checks_that_fail_after_the_boot(bench: Bench) -> None:
    """Nothing is rolled back: the host runs and boots the new system, and that is said."""
    told = iter((None, StepError("verification failed: the site is down")))

    def verify() -> None:
        if (error := next(told)) is not None:
            raise error

    bench.verify = verify
    bench.host.goes_wrong("reboot", boots())
    outcome = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(outcome, Failed)
    assert outcome.problem.host_state == f"it runs and will boot {NEW.short}"
    assert bench.host.state == (NEW, NEW, NEW)


def test_one_who_leaves_is_told_what_goes_on(bench: Bench) -> None:
    """The first Ctrl-C waits for the boot, the second leaves it."""
    bench.deadlines = Deadlines(reboot=30)

    def boot(host: FakeHost) -> None:
        host.reachable = False
        bench.interrupt.wish()

    bench.host.goes_wrong("reboot", boot)
    waited = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(waited, Failed)
    assert waited.problem.lost
    bench.host.reachable = True
    bench.host.running = bench.host.profile = bench.host.boot_default = OLD

    def leave(host: FakeHost) -> None:
        boot(host)
        bench.interrupt.wish()

    bench.host.goes_wrong("reboot", leave)
    left = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(left, Failed)
    assert left.reason == "left while it was being booted"


def test_the_machine_one_sits_on_is_not_booted(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine that one sits at is deployed, and left to be booted by its person."""
    monkeypatch.setattr(reboot, "is_this_machine", lambda _: True)
    bench.host.goes_wrong("reboot", boots())
    outcome = bench.deploy(reboot=Reboot.ALWAYS)
    assert isinstance(outcome, Deployed)
    assert "the machine that you sit on" in outcome.warnings[-1]
    assert isinstance(bench.deploy(reboot=Reboot.ALWAYS), Unchanged)
    assert "the machine that you sit on" in notices(bench)
    assert "reboot" not in bench.host.calls
