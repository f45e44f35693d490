"""What features need, in a deployment to a fake host: what refuses, and what does not."""

from __future__ import annotations

from datetime import UTC, datetime

from fake_host import Bench

from orchestrator.core.catalogue import Feature, Needs
from orchestrator.core.facts import Fact, Facts
from orchestrator.core.outcome import Deployed, Failed, Outcome
from orchestrator.facts import cache

GIB = 2**30


def _knows(bench: Bench, machine_id: str = "", **more: object) -> None:
    """Have facts of the host, which says nothing new; and give it a feature that needs more."""
    bench.host.answers["facts"] = b""
    bench.catalogue = {"ai": Feature("ai", needs=Needs(memory=16 * GIB))}
    values = {"memory.installed": 8 * GIB, **more}
    cache.remember(bench.folder, "p620", _facts(values, machine_id))


def _facts(values: dict[str, object], machine_id: str = "") -> Facts:
    known = {key: Fact(value, "DMI") for key, value in values.items()}
    return Facts(machine_id, datetime(2026, 1, 1, tzinfo=UTC), known)


def _refused(outcome: Outcome) -> tuple[str, str]:
    assert isinstance(outcome, Failed)
    assert outcome.problem.checks == ("needs",)
    return outcome.problem.message, str(outcome.problem.hint)


def test_a_machine_that_lacks_what_is_needed_is_refused(bench: Bench) -> None:
    """Nothing is copied to a host whose machine is known not to carry its features."""
    _knows(bench)
    message, hint = _refused(bench.deploy())
    assert message == (
        "needs: 16.0 GiB of memory needed, an estimate (ai 16.0 GiB); 8.0 GiB there (DMI)"
    )
    assert "orchestrator host facts p620 --refresh" in hint
    assert hint.endswith("--skip-preflight needs")
    assert bench.delivered == ["build"]


def test_needs_can_be_skipped_and_that_is_recorded(bench: Bench) -> None:
    """A person goes past what a machine lacks; the report and the host's record say so."""
    _knows(bench)
    outcome = bench.deploy(skip_preflight=("needs",))
    assert isinstance(outcome, Deployed)
    assert outcome.warnings[0].startswith("preflight: needs was skipped: 16.0 GiB of memory")
    assert bench.host.record is not None
    assert bench.host.record["skipped"] == "needs"


def test_an_emergency_is_not_kept_up_by_needs(bench: Bench) -> None:
    """In an emergency what a machine lacks is told, and refuses nothing."""
    _knows(bench)
    outcome = bench.deploy(emergency="it burns", verify=False)
    assert isinstance(outcome, Deployed)
    assert "16.0 GiB of memory needed" in outcome.warnings[0]


def test_facts_of_another_machine_do_not_count(bench: Bench) -> None:
    """What was known of the machine that had the name before refuses nothing."""
    _knows(bench, machine_id="f" * 32)
    assert isinstance(bench.deploy(), Deployed)


def test_a_container_is_not_refused(bench: Bench) -> None:
    """A container has the outer machine's memory: nothing is compared, and nothing told."""
    _knows(bench, virtualisation="container")
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert outcome.warnings == ()


def test_a_plan_says_what_needs_would_refuse(bench: Bench) -> None:
    """A plan tells that preflight would refuse, or that nothing was compared."""
    _knows(bench)
    assert "preflight would refuse: 16.0 GiB of memory" in repr(bench.deploy(plan_only=True))
    _knows(bench, virtualisation="container")
    assert "it is a guest (container)" in repr(bench.deploy(plan_only=True))


def test_a_plan_goes_by_what_the_host_says_now(bench: Bench) -> None:
    """A host that was never asked, or has less than it had, is foreseen as it will be deployed."""
    _knows(bench)
    cache.remember(bench.folder, "p620", _facts({"memory.installed": 64 * GIB}))
    bench.host.answers["facts"] = (
        b"/etc/machine-id:m\nmemory_blocks=64\n"
        b"/sys/devices/system/memory/block_size_bytes:8000000\nend=\n"
    )
    planned = repr(bench.deploy(plan_only=True))
    assert "preflight would refuse: 16.0 GiB of memory" in planned
    assert "8.0 GiB there (/sys/devices/system/memory" in _refused(bench.deploy())[0]
