"""One case: a fault in a phase of a deployment, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.core.values import replace
from tests.lab.faults import judge
from tests.lab.faults.changes import Change
from tests.lab.faults.deployment import Deployment
from tests.lab.faults.ground import Ground, until
from tests.lab.faults.injections import Injection
from tests.lab.faults.judge import Systems
from tests.lab.faults.observe import Seen
from tests.lab.faults.phases import Phase, Scene, held_check

ENDS = 180.0
"""Seconds that a deployment may take from a fault to its end."""
_RESTS = 45.0
"""Seconds that a host may take to come to rest by itself."""
_UNLOCKS = 15.0
"""Seconds within which a lock ends whose deployer is gone: more than the inventory says."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case.

    Attributes:
        fault: The fault's name.
        phase: The phase's name.
        end: ``new``, ``old``, or ``untouched``: old, and no activation was begun.
        outcome: What the deployer reported; nothing where it was killed.
        told: Who told a person what the host runs: this run, or the next.
        wrong: All that was not as it must be.
        seconds: How long it took.
    """

    fault: str
    phase: str
    end: str
    outcome: str | None
    told: str
    wrong: tuple[str, ...]
    seconds: float


def play(ground: Ground, phase: Phase, injection: Injection) -> Result:
    """Bring a fault into a phase, and judge what came of it."""
    began = time.monotonic()
    ground.configure(phase.body, held_check(ground))
    trial = Trial.begin(ground)
    phase.arm(ground)
    deployment = Deployment(ground)
    scene = Scene(ground, deployment)
    try:
        phase.enter(scene)
        injection.strike(scene)
        phase.release(scene)
        if injection.passes is not None:
            injection.passes(scene)
        deployment.wait(ENDS)
    finally:
        deployment.end()
        phase.release(scene)
    alone = injection.passes is None
    verdict = trial.judged(deployment, alone=alone, blind=injection.blinds or injection.kills)
    return verdict.result(injection.name, phase.name, time.monotonic() - began)


def play_change(ground: Ground, change: Change) -> Result:
    """Deploy a change that is the fault, and judge what came of it; then deploy it mended."""
    began = time.monotonic()
    ground.configure(change.body, change.check_for(ground))
    ground.inside.sh(change.before)
    trial = Trial.begin(ground)
    deployment = Deployment(ground)
    try:
        deployment.wait(ENDS)
    finally:
        deployment.end()
    # What the change did is not mended from outside: the host must do that alone.
    verdict = trial.judged(deployment, alone=True, repair=ground.configure, holds=change.holds)
    ground.inside.sh(change.after)
    if verdict.end != change.end:
        verdict = replace(verdict, wrong=(*verdict.wrong, f"it is to end {change.end}"))
    if verdict.outcome != (change.outcome or verdict.outcome):
        said = f"it is to be {change.outcome}, and not {verdict.outcome}"
        verdict = replace(verdict, wrong=(*verdict.wrong, said))
    return verdict.result(change.name, change.phase, time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of a deployment.

    Attributes:
        end: As of :class:`Result`.
        outcome: Likewise.
        told: Likewise.
        wrong: Likewise.
    """

    end: str
    outcome: str | None
    told: str
    wrong: tuple[str, ...]

    def result(self, fault: str, phase: str, seconds: float) -> Result:
        """Say of which fault in which phase it is."""
        return Result(fault, phase, self.end, self.outcome, self.told, self.wrong, seconds)


@dataclass(frozen=True, slots=True)
class Trial:
    """A host before a deployment, and what the deployment would have it be."""

    ground: Ground
    before: Seen
    systems: Systems

    @classmethod
    def begin(cls, ground: Ground) -> Trial:
        """Look at the host, and build what it is to run."""
        new = ground.build()
        before = ground.look()
        return cls(ground, before, Systems(before.running, new))

    def judged(
        self,
        deployment: Deployment,
        *,
        alone: bool = False,
        blind: bool = False,
        repair: Callable[[], None] = lambda: None,
        holds: str = "true",
    ) -> Verdict:
        """Judge the host, the report, and the next deployment.

        Args:
            deployment: It has ended.
            alone: The fault stays for as long as the host takes to come to rest.
            blind: The fault kept the deployer from knowing how the host ended.
            repair: What a person would do before the next deployment.
            holds: Shell on the host that fails where something else is not as before.
        """
        result = deployment.result
        shut = alone and result is not None and result["outcome"] == "unreached"
        now, wrong = self._come_to_rest(alone=alone, shut=shut)
        if self.ground.inside.sh(f"( {holds} ) > /dev/null || echo wrong").strip():
            wrong.append(f"it is not so: {holds}")
        if deployment.report is not None or not deployment.was_killed:
            wrong += judge.of_report(deployment, self.before, now, self.systems, blind=blind)
        until(lambda: not self.ground.look().locked, _UNLOCKS, "the lock is to end by itself")
        repair()
        notices, later = judge.of_next(self.ground, self.before)
        knew = result is not None and not str(result.get("host_state")).startswith("not known")
        end = self._end(now)
        if end == "old" and not knew and not any("rolled back" in text for text in notices):
            later.append(f"no notice that it rolled back: {notices}")
        return Verdict(
            end=end,
            outcome=None if result is None else str(result["outcome"]),
            told="this run" if knew else "the next run",
            wrong=(*wrong, *later),
        )

    def _come_to_rest(self, *, alone: bool, shut: bool) -> tuple[Seen, list[str]]:
        """Wait until nothing goes on there; what the host is then, and what is wrong with it."""
        if not alone:
            self.ground.mend()
        self.ground.thaw()
        wrong = []
        try:
            until(lambda: self.ground.look().quiet, _RESTS, "the host is to come to rest by itself")
        except AssertionError as error:
            wrong.append(str(error))
        now = self.ground.look()
        wrong += judge.of_host(self.before, now, self.systems)
        if shut:
            wrong += judge.of_shut_door(self.ground)
        self.ground.mend()
        return now, wrong + judge.of_login(self.ground)

    def _end(self, now: Seen) -> str:
        if now.systems == {self.systems.new}:
            return "new"
        return "untouched" if now.token == self.before.token else "old"
