"""How a deployment ended, by what the host itself says: the guard's word is no proof."""

from __future__ import annotations

from datetime import UTC, datetime

from orchestrator.core.errors import StepError
from orchestrator.core.outcome import Deployed, Failed, RolledBack, Unreached
from orchestrator.core.state import Attempt, AttemptState, HostState
from orchestrator.core.values import replace
from orchestrator.deploy.changing.guard_client import GuardClient
from orchestrator.deploy.plan import attempts
from orchestrator.deploy.plan.attempts import goes_on, whose
from orchestrator.deploy.work import HostWork, problem_of, step_name

Ended = Deployed | RolledBack | Failed
"""The outcomes of a host that was changed."""


class Verdict:
    """Finds a host's outcome.

    Args:
        work: The host's share of the run.
        lifeline: To the guard that changed it.

    Attributes:
        error: What kept the host from its target, where something did.
        confirmed: Whether the guard may have been told to commit.
        end: What the host said of itself behind its guard's word that it has committed.
    """

    def __init__(self, work: HostWork, lifeline: GuardClient) -> None:
        self.error: StepError | None = None
        self.end: HostState | None = None
        self.confirmed = not lifeline.attempt.goal.activates
        self._work = work
        self._lifeline = lifeline
        self._warnings: list[str] = []

    def warn(self, text: str) -> None:
        """Tell a person now, and with the outcome."""
        self._warnings.append(text)
        self._work.notice(text, warning=True)

    async def told(self) -> Ended:
        """Ask the host where it is."""
        attempt = self._lifeline.attempt
        try:
            now = self.end or await self._lifeline.state()
        except StepError as unknown:
            return self._unknown(unknown)
        if now.attempt is not None and now.attempt.token == attempt.token:
            attempt = self._lifeline.attempt = attempt.as_told(now.attempt)
        if attempt.state is AttemptState.DONE:
            return self._there(attempt, now)
        shut = await self._shut() if attempt.unreached else None
        if not attempt.state.in_flight:
            await self._lifeline.seen()
        return self._returned(attempt, now, shut)

    async def _shut(self) -> StepError | None:
        """Make a new connection; what keeps it from coming about."""
        self._work.doing("a new connection, now that it is back")
        try:
            await self._lifeline.reach()
        except StepError as shut:
            return shut
        return None

    def left_alone(self) -> Failed:
        """Say what goes on there, to a person who would not wait."""
        attempt = self._lifeline.attempt
        self.error = StepError(
            "left before the host reached a proven state",
            hint="deploy it again: that reports how it ended, and goes on from there",
            command=self._lifeline.line.executor.repeat(("cat", "/run/orchestrator/attempt")),
        )
        self.error.step = step_name(self._work.phase)
        return self._failed(f"{self._going_on()}; before, {attempts.in_words(attempt.before)}")

    def _there(self, attempt: Attempt, now: HostState) -> Deployed | Failed:
        if wrong := attempts.reached(now, attempt):
            return self._failed(f"{attempts.in_words(now)}; {wrong}")
        failing = attempts.fails_as_before(attempt)
        for what in (self.error.message if self.error else "", attempt.why, failing):
            if what:
                self.warn(what)
        if attempt.goal.commits and now.boot_warning:
            self.warn(now.boot_warning)
        return Deployed(
            reason=attempts.change(attempt),
            out_path=attempt.target,
            goal=attempt.goal,
            warnings=tuple(self._warnings),
            specialisation=now.specialisation if attempt.goal.activates else "",
        )

    def _returned(
        self, attempt: Attempt, now: HostState, shut: StepError | None
    ) -> RolledBack | Failed:
        """Say of a host that is not at its target whether it is as before."""
        wrong = attempts.is_back(now, attempt.before)
        if attempt.state is AttemptState.STUCK:
            wrong = f"going back did not end well: {attempt.why}"
        elif now.attempt is not None and now.attempt.state.in_flight:
            wrong = self._not_ended(now.attempt)
        if wrong:
            failed = self._failed(f"{attempts.in_words(now)}; {wrong}")
            lost = attempt.state is AttemptState.STUCK
            return replace(failed, problem=replace(failed.problem, lost=lost))
        if attempt.untouched:
            return self._failed(f"{attempts.in_words(now)}; it was not changed")
        if shut is not None:
            return self._unreached(shut, f"{attempts.in_words(now)}, as before", attempt.why)
        error, state = self._error(), f"{attempts.in_words(now)}, as before"
        if failing := attempts.fails_as_before(attempt):
            self.warn(failing)
            state += f"; {failing}"
        if attempt.why and attempt.why != error.message:
            state += f"; its guard rolled back because: {attempt.why}"
        return RolledBack(error.message, attempt.target, problem_of(error, state))

    def _unknown(self, unknown: StepError) -> Failed:
        """Nobody answers: say what goes on there as far as that can be known."""
        if self._lifeline.attempt.unreached:
            return self._unreached(unknown, "not known, but by its guard", self._going_on())
        error = self._error()
        error.command = unknown.command or error.command
        error.hint = "look once it answers: the next deployment reports how it ended, and goes on"
        return self._failed(f"not known ({unknown.message}); {self._going_on()}")

    def _unreached(self, shut: StepError, state: str, why: str) -> Unreached:
        """Say of a host that rolled back what keeps everybody out, and who gets in all the same."""
        error, host = self._error(), self._work.host
        error.message = (
            f"rolled back, not yet reached: {shut.message}; before that: {error.message}"
        )
        error.hint = (
            f"nobody may get into {host.name} any more: go to its console, or use a connection "
            f"that is still open; once it answers, orchestrator status {host.name} says, and the "
            "next deployment settles it"
        )
        error.command = shut.command or error.command
        problem = problem_of(error, f"{state}, and no new connection came about; {why}")
        target = self._lifeline.attempt.target
        return Unreached(error.message, replace(problem, lost=True), target)

    def _not_ended(self, found: Attempt) -> str:
        if found.token != self._lifeline.attempt.token:
            return f"another deployment took its place: {whose(found, datetime.now(UTC))}"
        return self._going_on()

    def _going_on(self) -> str:
        lifeline = self._lifeline
        return goes_on(
            lifeline.attempt,
            within=lifeline.left,
            confirmed=self.confirmed,
            over=lifeline.over,
        )

    def _failed(self, host_state: str) -> Failed:
        error = self._error()
        return Failed(error.message, problem_of(error, host_state), self._lifeline.attempt.target)

    def _error(self) -> StepError:
        if self.error is None:
            self.error = StepError("host state contradicts the guard's report")
        return self.error
