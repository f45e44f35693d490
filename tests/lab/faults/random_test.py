"""Random faults at random moments, from a seed that is said, for as long as is told."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.lab.faults.deployment import Deployment
from tests.lab.faults.ground import Ground
from tests.lab.faults.injections import INJECTIONS, Injection
from tests.lab.faults.phases import Scene, held_check
from tests.lab.faults.play import ENDS, Trial
from tests.lab.faults.suite import ground_of_its_own

_LATEST = 1.2
"""When a deployment is hit at the latest, in lengths of one that nothing hits."""


@dataclass(frozen=True, slots=True)
class Round:
    """One deployment and what hits it.

    Attributes:
        number: From 0.
        fault: Which.
        moment: From the deployment's start, in lengths of one that nothing hits.
    """

    number: int
    fault: Injection
    moment: float


def rounds(seed: int) -> Callable[[int], Round]:
    """Each round by its number: it depends on the seed and the number, and on nothing else."""

    def choose(number: int) -> Round:
        chance = random.Random(f"{seed}/{number}")  # noqa: S311
        fault = chance.choice(list(INJECTIONS.values()))
        return Round(number, fault, chance.uniform(0, _LATEST))

    return choose


def run(seed: int, seconds: float, say: Callable[[str], None], first: int = 0) -> int:
    """Go on until the time is up or something is wrong; 1 where something was."""
    say(f"seed {seed}, for {seconds / 60:.1f} minutes")
    end = time.monotonic() + seconds
    with ground_of_its_own() as ground:
        number, length = first, _length(ground)
        say(f"a deployment takes {length:.1f} s")
        while time.monotonic() < end:
            each = rounds(seed)(number)
            wrong = play(ground, each, length, say)
            if wrong:
                say("\n".join(f"  wrong: {line}" for line in wrong))
                say(f"to repeat it: just fault-test --random --seed {seed} --round {number}")
                return 1
            number += 1
    say(f"{number - first} rounds, nothing wrong")
    return 0


def _length(ground: Ground) -> float:
    """Seconds that a deployment takes here which nothing hits."""
    ground.configure(check=held_check(ground))
    ground.build()
    begun = time.monotonic()
    done = ground.bench.deploy()
    assert done.rc == 0, done
    return time.monotonic() - begun


def play(ground: Ground, each: Round, length: float, say: Callable[[str], None]) -> tuple[str, ...]:
    """Play one round, and say what is wrong."""
    moment = each.moment * length
    ground.configure(check=held_check(ground))
    trial = Trial.begin(ground)
    deployment = Deployment(ground)
    scene = Scene(ground, deployment)
    try:
        time.sleep(moment)
        each.fault.strike(scene)
        if each.fault.passes is not None:
            each.fault.passes(scene)
        deployment.wait(ENDS)
    finally:
        deployment.end()
    verdict = trial.judged(
        deployment,
        alone=each.fault.passes is None,
        blind=each.fault.blinds or each.fault.kills,
    )
    where = f"round {each.number}: {each.fault.name} after {moment:.2f} s"
    say(f"{where}: {verdict.end}, {verdict.outcome or 'killed'}, told by {verdict.told}")
    return verdict.wrong
