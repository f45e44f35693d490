"""Which way of copying is the fastest to a host, by what was measured of the way there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from orchestrator.core.run import CopyMethod, Link, Load, Sample

FRESH = timedelta(hours=1)
"""How long a measurement is believed where there is much to copy: a laptop moves about."""
CONTRADICTION = 1.5
"""A compressed copy that was faster by this factor than its link could be: it is another link."""
TELLING = 1 << 20
"""Bytes; a copy that sends less tells of delays and not of the rate."""
PROBE_WORTH = 1 << 20
"""Bytes to copy from which a probe of the link pays."""
PROBE_SHARE = 8
"""A probe sends at most so many times less than is to be copied."""
WINDOW = 2 << 20
"""Bytes that OpenSSH lets be under way on one channel (``CHAN_SES_WINDOW_DEFAULT``)."""
USUAL_RATIO = 0.43
"""What zstd leaves of a system, where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What a method costs but for the bytes on the link. From ``tests/bench/copy.py``.

    Attributes:
        start: Seconds of both machines, whatever is copied.
        trips: Round trips.
        path: Seconds for each path.
        rate: NAR bytes a second that both ends manage without a link between them.
    """

    start: float
    trips: float
    path: float
    rate: float


COSTS = {
    CopyMethod.CONNECTION: Costs(start=0.05, trips=5, path=0.0003, rate=250e6),
    CopyMethod.STREAM: Costs(start=0.10, trips=3, path=0.0005, rate=120e6),
}
MARGIN = 0.75
"""Another method must take at most so much of the connection's time: it costs both ends more."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A method, and why in words."""

    method: CopyMethod
    reason: str


def link_of(samples: Sequence[Sample], now: datetime) -> Link | None:
    """What is known of a host's link and may be believed now; ``None`` for nothing.

    The newest word on the rate counts. A compressed copy tells only what the link gave *at
    least*, since compressing may have been what took the time.
    """
    telling = sorted(
        (one for one in samples if _tells(one) and now - one.at <= FRESH),
        key=lambda one: one.at,
    )
    link: Link | None = None
    for one in telling:
        if one.method is not CopyMethod.STREAM:
            link = Link(one.rate, one.round_trip)
        elif link is not None and one.rate > CONTRADICTION * link.rate:
            link = None
    return link


def _tells(sample: Sample) -> bool:
    return sample.method is None or sample.sent >= TELLING


def ratio_of(samples: Sequence[Sample]) -> float:
    """What compression left of what was copied there last."""
    streams = [one for one in samples if one.method is CopyMethod.STREAM and one.size >= TELLING]
    if not streams:
        return USUAL_RATIO
    last = max(streams, key=lambda one: one.at)
    return min(1.0, last.sent / last.size)


def seconds(method: CopyMethod, load: Load, link: Link, ratio: float) -> float:
    """Estimate how long a method takes.

    Args:
        method: The way of copying.
        load: What is to be copied.
        link: The way to the host.
        ratio: What compression leaves, from 0 to 1.
    """
    costs = COSTS[method]
    sent = load.size * (ratio if method is CopyMethod.STREAM else 1)
    rate = min(link.rate, WINDOW / max(link.round_trip, 1e-6))
    # The ends work while the link does.
    moving = max(sent / rate, load.size / costs.rate)
    return costs.start + costs.trips * link.round_trip + costs.path * load.paths + moving


def choose(load: Load, link: Link | None, ratio: float, *, can_stream: bool = True) -> Choice:
    """Take the fastest method.

    Args:
        load: What is to be copied.
        link: The way to the host; ``None`` where nothing is known of it.
        ratio: What compression leaves, from 0 to 1.
        can_stream: Whether the host can undo compression.
    """
    if link is None:
        return Choice(CopyMethod.CONNECTION, "nothing is known of the link")
    takes = {method: seconds(method, load, link, ratio) for method in CopyMethod}
    if not can_stream:
        del takes[CopyMethod.STREAM]
    best = min(takes, key=takes.__getitem__)
    if takes[best] > MARGIN * takes[CopyMethod.CONNECTION]:
        best = CopyMethod.CONNECTION
    return Choice(best, f"the link gives {words(link)}")


def words(link: Link) -> str:
    """A link as a person says it: ``94 Mbit/s, 50 ms``."""
    megabits = link.rate * 8 / 1e6
    rate = f"{megabits:.0f}" if megabits >= 10 else f"{megabits:.1f}"
    return f"{rate} Mbit/s, {link.round_trip * 1000:.0f} ms"
