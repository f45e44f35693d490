"""What a person in another terminal tells a rollout, and what its run tells them."""

from __future__ import annotations

import asyncio

from orchestrator.core.event import Notice, Paused
from orchestrator.core.rollout_status import Order, RolloutStatus, Standing, WaveStatus, Word
from orchestrator.host.setup import Emit
from orchestrator.rollout.lead import Lead
from orchestrator.rollout.rollout import Rollout
from orchestrator.runs.run_files import RunFiles

POLL_SECONDS = 0.5
"""How soon a word is heard."""

WRITE_SECONDS = 0.05
"""In which changes are collected: a thousand hosts may end at the same moment."""


class Control:
    """Listens for words, and writes down where the rollout is, after each change.

    Args:
        files: The run's.
        number: The run's.
        emit: Takes what happens.
    """

    def __init__(self, files: RunFiles, number: int, emit: Emit) -> None:
        self._files = files
        self._number = number
        self._emit = emit
        self._rollout = Rollout()
        self._lead: Lead | None = None
        self._paused_by: str | None = None
        self._answered: str | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._told_unwritten = False
        self._ended = False

    def of(self, rollout: Rollout, lead: Lead) -> None:
        """Serve a rollout."""
        self._rollout, self._lead = rollout, lead
        self._write()

    def changed(self) -> None:
        """Write down, soon, where the rollout is."""
        if self._writing is None and not self._ended:
            loop = asyncio.get_running_loop()
            self._writing = loop.call_later(WRITE_SECONDS, self._write)

    async def listen(self) -> None:
        """Do what is ordered, until this is cancelled."""
        while True:
            order = self._files.order()
            if order is not None and order.id != self._answered:
                self._do(order)
                self._answered = order.id
                self._write()
            await asyncio.sleep(POLL_SECONDS)

    def end(self) -> None:
        """Write down how it ended."""
        self._ended = True
        self._write()

    def _do(self, order: Order) -> None:
        match order.word:
            case Word.PAUSE:
                self._paused_by = order.who
                self._rollout.pause()
                goes_on = f"orchestrator rollout resume {self._number}"
                self._emit(Paused(f"by {order.who}; it goes on with: {goes_on}"))
            case Word.RESUME:
                self._rollout.resume()
                self._emit(Notice(f"the rollout goes on, by {order.who}"))
            case Word.ABORT:
                said = f"the rollout was aborted by {order.who}"
                self._emit(Notice(said, warning=True))
                self._rollout.halt(said)

    def _write(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        try:
            self._files.write_status(self._status())
        except OSError as error:
            if not self._told_unwritten:
                self._told_unwritten = True
                text = f"where the rollout is cannot be written down: {error}; it goes on"
                self._emit(Notice(text, warning=True))

    def _status(self) -> RolloutStatus:
        rollout = self._rollout
        standing, why = self._standing()
        # A person's pause does not end by itself.
        until = self._lead.until if self._lead and rollout.going else None
        return RolloutStatus(
            run=self._number,
            standing=standing,
            waves=tuple(
                WaveStatus(
                    wave.name, self._wave(at), {name: rollout.where(name) for name in wave.hosts}
                )
                for at, wave in enumerate(rollout.waves)
            ),
            why=why,
            until=until,
            answered=self._answered,
        )

    def _standing(self) -> tuple[Standing, str | None]:
        if self._rollout.halted is not None:
            return Standing.STOPPED, self._rollout.halted
        if self._ended:
            return Standing.ENDED, None
        if not self._rollout.going:
            return Standing.PAUSED, f"by {self._paused_by}"
        if self._lead and self._lead.until:
            return Standing.PAUSED, "between two waves"
        return Standing.GOING, None

    def _wave(self, number: int) -> Standing:
        if self._rollout.ended(number):
            return Standing.ENDED
        return Standing.GOING if self._rollout.is_open(number) else Standing.WAITING
