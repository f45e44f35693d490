"""Choosing a method of copying from what was measured."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.run import CopyMethod, Link, Load, Sample
from orchestrator.deploy.plan.copying import (
    FRESH,
    USUAL_RATIO,
    choose,
    link_of,
    ratio_of,
    seconds,
    words,
)

NOW = datetime(2024, 5, 6, tzinfo=UTC)
MIB = 1 << 20
SYSTEM = Load(800, 350 * MIB)
LOOPBACK = Link(300e6, 0.0005)
FAST_ETHERNET = Link(12.5e6, 0.001)
FAR_GIGABIT = Link(100e6, 0.05)


def sample(method: CopyMethod | None, rate: float, *, age: timedelta = timedelta()) -> Sample:
    """A measurement that shows a rate, some time ago."""
    size = 50 * MIB
    sent = size // 2 if method is CopyMethod.STREAM else size
    return Sample(NOW - age, method, size, sent, sent / rate, 0.02)


def test_nothing_known_takes_the_open_connection() -> None:
    """Without a measurement the copy takes what needs nothing else, and says so."""
    choice = choose(SYSTEM, None, USUAL_RATIO)
    assert choice.method is CopyMethod.CONNECTION
    assert "nothing is known" in choice.reason


def test_a_fast_link_takes_the_connection_and_a_slow_one_the_stream() -> None:
    """Compression pays where the link is what takes the time, and only there."""
    assert choose(SYSTEM, LOOPBACK, USUAL_RATIO).method is CopyMethod.CONNECTION
    assert choose(SYSTEM, FAST_ETHERNET, USUAL_RATIO).method is CopyMethod.STREAM
    assert choose(SYSTEM, FAR_GIGABIT, USUAL_RATIO).method is CopyMethod.STREAM
    assert "100 Mbit/s, 1 ms" in choose(SYSTEM, FAST_ETHERNET, USUAL_RATIO).reason


def test_little_to_copy_is_not_worth_another_way() -> None:
    """A few kilobytes take the open connection, however slow the link."""
    assert choose(Load(3, 20_000), FAST_ETHERNET, USUAL_RATIO).method is CopyMethod.CONNECTION


def test_what_cannot_be_compressed_is_not_compressed() -> None:
    """Where compression left all of it last time, the stream wins nothing."""
    assert choose(SYSTEM, FAST_ETHERNET, 1.0).method is CopyMethod.CONNECTION


def test_a_host_that_cannot_unpack_is_never_streamed_to() -> None:
    """No zstd and no gzip there: the slow link gets Nix's protocol."""
    choice = choose(SYSTEM, FAST_ETHERNET, USUAL_RATIO, can_stream=False)
    assert choice.method is CopyMethod.CONNECTION


@given(
    paths=st.integers(1, 50_000),
    size=st.integers(1, 1 << 40),
    rate=st.floats(1e3, 1e10),
    trip=st.floats(0, 2),
    ratio=st.floats(0.01, 1),
)
def test_the_choice_is_never_much_slower_than_the_fastest(
    paths: int, size: int, rate: float, trip: float, ratio: float
) -> None:
    """Whatever the link: by the estimates, at most a third is lost to the choice."""
    load, link = Load(paths, size), Link(rate, trip)
    takes = {method: seconds(method, load, link, ratio) for method in CopyMethod}
    chosen = takes[choose(load, link, ratio).method]
    assert chosen <= min(takes.values()) / 0.75 * 1.001


def test_the_newest_word_on_the_rate_counts() -> None:
    """A laptop that moved to a faster or a slower link is believed at once."""
    slow = sample(CopyMethod.CONNECTION, 1e6, age=timedelta(minutes=9))
    fast = sample(None, 200e6, age=timedelta(minutes=1))
    assert link_of([slow, fast], NOW) == Link(200e6, 0.02)
    slower = sample(CopyMethod.CONNECTION, 1e6)
    assert link_of([fast, slower], NOW) == Link(1e6, 0.02)


def test_what_is_old_is_not_believed() -> None:
    """After an hour the link is measured again."""
    assert link_of([sample(None, 1e6, age=FRESH)], NOW) is not None
    assert link_of([sample(None, 1e6, age=FRESH + timedelta(seconds=1))], NOW) is None


def test_a_stream_tells_only_what_the_link_gives_at_least() -> None:
    """A slower stream says nothing; one that the link could not have carried ends the belief."""
    probe = sample(None, 10e6, age=timedelta(minutes=5))
    assert link_of([probe, sample(CopyMethod.STREAM, 9e6)], NOW) == Link(10e6, 0.02)
    assert link_of([probe, sample(CopyMethod.STREAM, 40e6)], NOW) is None
    assert link_of([sample(CopyMethod.STREAM, 40e6)], NOW) is None


def test_a_small_copy_tells_nothing_of_the_rate() -> None:
    """A small copy says nothing of the rate: its time is that of round trips."""
    small = Sample(NOW, CopyMethod.CONNECTION, 900_000, 900_000, 1.0, 0.02)
    assert link_of([small], NOW) is None
    probe = Sample(NOW, None, 0, 65_536, 0.1, 0.02)
    assert link_of([probe], NOW) == Link(655_360, 0.02)


def test_the_ratio_is_that_of_the_last_stream() -> None:
    """What compression left there last; a usual value where nothing was compressed yet."""
    assert ratio_of([]) == USUAL_RATIO
    assert ratio_of([sample(CopyMethod.CONNECTION, 1e6)]) == USUAL_RATIO
    older = Sample(NOW - FRESH, CopyMethod.STREAM, 10 * MIB, 9 * MIB, 1.0, 0.0)
    assert ratio_of([older, sample(CopyMethod.STREAM, 1e6)]) == 0.5


def test_a_link_in_words() -> None:
    """Slow rates keep a digit after the point."""
    assert words(Link(125_000, 0.0804)) == "1.0 Mbit/s, 80 ms"
    assert words(FAST_ETHERNET) == "100 Mbit/s, 1 ms"
