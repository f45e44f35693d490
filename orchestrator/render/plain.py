"""The protocol of renderers; a line for each thing that happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Protocol, Self, assert_never

from orchestrator.core.event import (
    Event,
    HostFinished,
    LogLine,
    Notice,
    Paused,
    PhaseStarted,
    Progress,
    Recalled,
    RunFinished,
    RunStarted,
    WaveEnded,
    WaveStarted,
)
from orchestrator.core.rollout import Wave
from orchestrator.render.output import Output, clean, duration, outcome_word

Clock = Callable[[], float]
"""Seconds that only go forward, such as ``time.monotonic``."""

WallClock = Callable[[], datetime]
"""The time of day, with its time zone."""


class Renderer(Protocol):
    """Draws what happens during a run, somewhere."""

    def handle(self, event: Event) -> None:
        """Draw an event. Must be quick: hosts are being deployed meanwhile."""

    def close(self) -> None:
        """Leave what was drawn on in order: the cursor shown, files closed. Twice is fine."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Fanout(Renderer):
    """Hands each event to every renderer.

    A full disk or a closed pipe must not stop hosts halfway through an activation, and neither must
    a bug in drawing: the renderer that raised is closed and left out, with a warning.

    Args:
        renderers: In the order in which they are told.
        warnings: Where a dropped renderer is told of.
    """

    def __init__(self, renderers: Iterable[Renderer], warnings: Output) -> None:
        self._renderers = list(renderers)
        self._warnings = warnings

    def handle(self, event: Event) -> None:
        """Hand an event on."""
        for renderer in list(self._renderers):
            self._try(renderer, partial(renderer.handle, event))

    def close(self) -> None:
        """Close every renderer."""
        for renderer in list(self._renderers):
            self._try(renderer, renderer.close)

    def _try(self, renderer: Renderer, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:
            self._renderers.remove(renderer)
            with contextlib.suppress(Exception):
                renderer.close()
            with contextlib.suppress(Exception):
                self._warn(renderer, error)

    def _warn(self, renderer: Renderer, error: Exception) -> None:
        cause = error.strerror if isinstance(error, OSError) else None
        what = type(renderer).__name__
        self._warnings.line(
            f"warning: {what} stopped: {cause or repr(error)}; the deployment goes on without it"
        )


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


SIGN_OF_LIFE = 10.0
"""Seconds of silence about a host after which its progress is worth a line."""


class PlainLines(Renderer):
    """Writes a line for each thing that a person would want to read later.

    Args:
        output: Standard error.
        clock: Tells how long a host has been silent.
        verbose: Whether the hosts' log lines are written too.
    """

    def __init__(self, output: Output, clock: Clock, *, verbose: bool = False) -> None:
        self._output = output
        self._clock = clock
        self._verbose = verbose
        self._plan = False
        self._spoken: dict[str, float] = {}

    def handle(self, event: Event) -> None:
        """Write an event, where it is worth a line."""
        match event:
            case RunStarted():
                self._plan = event.plan_only
                self._output.line(started(event))
            case WaveStarted() | WaveEnded() | Paused():
                self._output.line(of_waves(event))
            case PhaseStarted(host=host, phase=phase):
                self._say(host, phase.value)
            case Recalled(host=host, known=known, reason=reason):
                if not known:  # Else its end says why.
                    self._say(host, reason)
            case Progress(host=host, text=text):
                if self._clock() - self._spoken.get(host, 0.0) >= SIGN_OF_LIFE:
                    self._say(host, text)
            case LogLine(host=host, text=text):
                if self._verbose:
                    self._say(host, f"| {text}")
            case Notice():
                self._output.line(notice(event))
            case HostFinished(host=host):
                self._say(host, finished(event, plan=self._plan))
            case RunFinished():
                pass  # The report follows: ``report.py``.
            case _:
                assert_never(event)

    def close(self) -> None:
        """Nothing is held open."""

    def _say(self, host: str, text: str) -> None:
        self._spoken[host] = self._clock()
        self._output.line(f"{host}: {clean(text)}")


def started(event: RunStarted) -> str:
    """Say that a run begins, and where its logs are."""
    count = len(event.hosts)
    hosts = f"{count} host{'' if count == 1 else 's'}"
    title = event.run.title.removeprefix("plan ") or event.goal.value
    what = f"plan of {title}" if event.plan_only else title
    waves = f" in {len(event.waves)} waves" if len(event.waves) > 1 else ""
    return f"run {event.run.number}: {what}, {hosts}{waves}, logs in {event.run.folder}"


def notice(event: Notice) -> str:
    """Say a notice or a warning."""
    kind = "warning: " if event.warning else ""
    host = f"{event.host}: " if event.host else ""
    return f"{kind}{host}{clean(event.text)}"


def finished(event: HostFinished, *, plan: bool) -> str:
    """Say how a host ended, why, and how long it took."""
    word = outcome_word(event.outcome, plan=plan)
    return f"{word} — {event.outcome.reason} ({duration(event.seconds)})"
