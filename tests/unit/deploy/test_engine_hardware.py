"""What a deployment tells of hardware that is gone, and that it is never held up by it."""

from __future__ import annotations

from fake_host import Bench, loses_connection, passes_deadline

from orchestrator.core.checks import Check
from orchestrator.core.event import LogLine, Notice
from orchestrator.core.outcome import Deployed, Unchanged
from orchestrator.facts import cache

ANSWER = b"""/etc/machine-id:m
memory_blocks=%d
/sys/devices/system/memory/block_size_bytes:8000000
end=
"""
SHRANK = "preflight: hardware: memory shrank from 2.0 GiB to 1.0 GiB"


def told(bench: Bench) -> list[str]:
    """What was said of hardware while it was deployed."""
    notices = [event.text for event in bench.events if isinstance(event, Notice)]
    return [text for text in notices if "hardware" in text]


def known_with(bench: Bench, blocks: int) -> None:
    """Have the host remembered with so many blocks of 128 MiB, and answer with half of them."""
    bench.host.answers["facts"] = ANSWER % blocks
    assert isinstance(bench.deploy(), Deployed)
    bench.host.running = bench.host.profile = bench.host.boot_default = bench.host.booted
    bench.host.answers["facts"] = ANSWER % (blocks // 2)
    bench.events.clear()


def test_memory_that_shrank_is_told_and_the_host_is_deployed(bench: Bench) -> None:
    """A deployment tells what is gone, in its report too, and remembers what is there now."""
    known_with(bench, 16)
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert SHRANK in outcome.warnings
    assert told(bench) == [SHRANK]
    facts = cache.known(bench.folder, "p620")
    assert facts is not None
    assert facts.value("memory.installed") == 1 << 30
    bench.host.running = bench.host.profile = bench.host.boot_default = bench.host.booted
    bench.events.clear()
    bench.deploy()
    assert told(bench) == []


def test_a_plan_tells_it_and_remembers_nothing(bench: Bench) -> None:
    """A plan foresees what the deployment will tell, as often as it is made."""
    known_with(bench, 16)
    for _ in range(2):
        outcome = bench.deploy(plan_only=True)
        assert isinstance(outcome, Deployed)
        assert "preflight: memory shrank from 2.0 GiB to 1.0 GiB" in outcome.warnings


def test_an_unchanged_host_is_not_asked(bench: Bench) -> None:
    """A host that is where it should be is not asked what it is made of."""
    assert isinstance(bench.deploy(), Deployed)
    (bench.folder / "facts/p620.json").unlink()
    assert isinstance(bench.deploy(), Unchanged)
    assert cache.known(bench.folder, "p620") is None


def test_who_skips_the_check_or_is_in_a_hurry_is_told_nothing(bench: Bench) -> None:
    """With ``--skip-preflight hardware``, and in an emergency, the host is not asked."""
    known_with(bench, 16)
    bench.host.goes_wrong("facts", loses_connection, loses_connection)
    assert isinstance(bench.deploy(emergency="fire"), Deployed)
    bench.host.running = bench.host.profile = bench.host.boot_default = bench.host.booted
    skipped = bench.deploy(skip_preflight=(Check.HARDWARE.value,))
    assert isinstance(skipped, Deployed)
    assert SHRANK not in skipped.warnings
    assert "facts" not in bench.host.calls


def test_a_host_that_does_not_say_it_is_deployed_all_the_same(bench: Bench) -> None:
    """An answer that does not come, or is none, holds nobody up; the log says so."""
    for fault in (passes_deadline, None):
        bench.host.goes_wrong("facts", fault)
        bench.host.answers["facts"] = b"sh: syntax error"
        assert isinstance(bench.deploy(), Deployed)
        bench.host.running = bench.host.profile = bench.host.boot_default = bench.host.booted
    lines = [event.text for event in bench.events if isinstance(event, LogLine)]
    assert sum(text.startswith("its hardware is not known") for text in lines) == 2
