"""Waves in words, and where a rollout is, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from orchestrator.core.event import Paused, WaveEnded, WaveStarted
from orchestrator.core.rollout import Wave
from orchestrator.render.words import duration

_NAMED = 12
"""Hosts of a wave that are named in a line; the events have them all."""


def of_waves(event: WaveStarted | WaveEnded | Paused) -> str:
    """Say what happens to a rollout."""
    match event:
        case WaveStarted(wave=wave, number=number, of=of):
            return f"wave {number} of {of}: {described(wave)}"
        case WaveEnded(wave=wave, number=number, of=of, failed=failed):
            how = f"{len(failed)} of {len(wave.hosts)} failed" if failed else "ended well"
            return f"wave {number} of {of}: {wave.name} {how}"
        case Paused(why=why, seconds=seconds):
            return f"paused {why}" if seconds is None else f"paused for {duration(seconds)} {why}"
        case _:
            assert_never(event)


def described(wave: Wave) -> str:
    """Say who is in a wave: ``canary: p620, razer``."""
    more = len(wave.hosts) - _NAMED
    names = [*wave.hosts[:_NAMED], *([f"{more} more"] if more > 0 else [])]
    return f"{wave.name}: {', '.join(names)}"


def waves_to_json(waves: Sequence[Wave]) -> list[dict[str, object]]:
    """Say waves in values that JSON knows."""
    return [{"name": wave.name, "hosts": list(wave.hosts), "pause": wave.pause} for wave in waves]
