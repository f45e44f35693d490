"""Which system a host goes back to, and the steps that lead there."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec import structs

from orchestrator.core.errors import RefusedError
from orchestrator.core.generation import (
    BeforeLast,
    BeforeRun,
    Generation,
    HostSystems,
    ToGeneration,
    ToSystem,
)
from orchestrator.core.host import Connect, Host
from orchestrator.core.outcome import Unchanged
from orchestrator.core.plan import Goal, Step
from orchestrator.core.state import Attempt, AttemptState, BootSource, HostState
from orchestrator.core.store import Existing, OutPath, Specialised
from orchestrator.core.values import replace
from orchestrator.deploy.plan.rollback import plan_back, target_of

NOW = datetime(2024, 5, 6, tzinfo=UTC)
HOST = Host("p620", "p620", Connect("192.0.2.1"))


def _path(letter: str) -> OutPath:
    return OutPath(f"/nix/store/{letter * 32}-nixos-system-{letter}")


NEW, OLD, OLDER = _path("n"), _path("d"), _path("x")


def at(path: OutPath) -> HostState:
    """A host that is there with everything."""
    return HostState("m", path, path, path, path, BootSource.GRUB)


ATTEMPT = Attempt(
    token="12-abc",
    goal=Goal.SWITCH,
    target=NEW,
    before=at(OLD),
    run=12,
    who="me@here",
    revision=None,
    began=NOW,
    state=AttemptState.DONE,
)
KNOWN = HostSystems(
    state=replace(at(NEW), attempt=ATTEMPT),
    generations=(
        Generation(41, NOW, NEW),
        Generation(40, NOW, None),
        Generation(7, NOW, OLDER),
    ),
    committed=ATTEMPT,
)


def test_before_the_last_deployment() -> None:
    """`rollback` goes before the last deployment in the host's record, and names it."""
    assert target_of(BeforeLast(), HOST, KNOWN) == (OLD, "what it ran before run 12 by me@here")


def test_before_the_last_deployment_where_the_last_attempt_is_lost() -> None:
    """The record of the last one that was committed counts then."""
    known = replace(KNOWN, state=at(NEW))
    assert target_of(BeforeLast(), HOST, known)[0] == OLD


def test_a_deployment_that_was_taken_back_is_not_gone_behind() -> None:
    """The host runs what it ran before it already: nobody ends up two systems back unawares."""
    returned = replace(ATTEMPT, state=AttemptState.RETURNED, before=at(NEW), target=OLDER)
    known = replace(KNOWN, state=replace(at(NEW), attempt=returned))
    to, which = target_of(BeforeLast(), HOST, known)
    assert to == NEW
    assert which.endswith(f"which was rolled back; before run 12: --to {OLD}")
    assert isinstance(plan_back(HOST, to, at(NEW), now=NOW), Unchanged)
    numbered = replace(known, generations=(Generation(7, NOW, OLD),))
    assert target_of(BeforeLast(), HOST, numbered)[1].endswith("--to 7")
    unknown = replace(known, committed=None)
    assert target_of(BeforeLast(), HOST, unknown)[1].endswith("which was rolled back")


def test_before_what_was_tried_first_is_what_booted_then() -> None:
    """Goal test and then goal boot of one system: it ran already, and the old one still booted."""
    tried = replace(ATTEMPT, goal=Goal.BOOT, before=replace(at(OLD), running=NEW))
    known = replace(KNOWN, state=replace(at(NEW), attempt=tried), committed=tried)
    which = "what it booted before run 12 by me@here"
    assert target_of(BeforeLast(), HOST, known) == (OLD, which)
    assert target_of(BeforeRun(12, "me@here", {}), HOST, known)[0] == OLD


def test_a_generation_is_its_system() -> None:
    """A generation is found by its number, never by its place in a row."""
    assert target_of(ToGeneration(7), HOST, KNOWN) == (OLDER, "generation 7")


def test_a_path_is_itself() -> None:
    """A path is taken as the system to roll back to; the host says whether it has it."""
    assert target_of(ToSystem(OLD), HOST, KNOWN)[0] == OLD


def test_before_a_run_by_the_history() -> None:
    """Before a run, by the history, is what a host ran then, and later runs are mentioned."""
    way = BeforeRun(3, "me@here", {"p620": OLDER, "razer": OLD})
    to, which = target_of(way, HOST, KNOWN)
    assert to == OLDER
    assert which == "what it ran before run 3; since then run 12 by me@here deployed it"
    assert target_of(structs.replace(way, run=12), HOST, KNOWN)[1] == "what it ran before run 12"


def test_what_only_boots_since_led_away_from_what_booted() -> None:
    """Where the target's specialisation ran already, `boot` changed the boot default alone."""
    live = _path("g")
    before = replace(at(OLD), running=live)
    attempt = replace(ATTEMPT, goal=Goal.BOOT, before=before)
    known = replace(
        KNOWN,
        state=replace(at(NEW), running=live, attempt=attempt),
        specialisations={live: (Specialised(NEW, "gaming"),)},
    )
    for way in (BeforeLast(), BeforeRun(12, "me@here", {})):
        assert target_of(way, HOST, known)[0] == OLD
    other = replace(known, specialisations={live: (Specialised(OLD, "gaming"),)})
    assert target_of(BeforeLast(), HOST, other)[0] == live


def test_before_a_run_by_the_host() -> None:
    """Of a run that was cut off the host's own record says what it ran before."""
    to, which = target_of(BeforeRun(12, "me@here", {}), HOST, KNOWN)
    assert to == OLD
    assert which.endswith("as the host recorded it")


@pytest.mark.parametrize(
    "known",
    [
        HostSystems(at(NEW)),
        replace(KNOWN, state=replace(at(NEW), attempt=replace(ATTEMPT, before=at(NEW)))),
        replace(
            KNOWN,
            state=replace(at(NEW), attempt=replace(ATTEMPT, before=HostState("m", *[None] * 4))),
        ),
    ],
)
def test_nothing_to_go_back_to_by_the_host(known: HostSystems) -> None:
    """No record, one that changed nothing, one that does not tell: a person names a system."""
    with pytest.raises(RefusedError, match="no rollback target") as raised:
        target_of(BeforeLast(), HOST, known)
    assert "orchestrator host generations p620" in str(raised.value.hint)


@pytest.mark.parametrize("number", [8, 40])
def test_no_such_generation(number: int) -> None:
    """There is none of that number, or it is no path of the store."""
    with pytest.raises(RefusedError, match=f"there is no generation {number}"):
        target_of(ToGeneration(number), HOST, KNOWN)


@pytest.mark.parametrize("way", [BeforeRun(11, "me@here", {}), BeforeRun(12, "you@there", {})])
def test_a_run_that_nobody_knows_of_the_host(way: BeforeRun) -> None:
    """Another machine's run of the same number is another run."""
    with pytest.raises(RefusedError, match="neither the history nor the host"):
        target_of(way, HOST, KNOWN)


def test_nothing_is_built_or_copied() -> None:
    """The rest is as in every deployment: activated, proved, verified, committed."""
    plan = plan_back(HOST, OLD, at(NEW), now=NOW)
    assert not isinstance(plan, Unchanged)
    assert plan.target == Existing(OLD)
    assert (plan.goal, plan.return_to) == (Goal.SWITCH, NEW)
    assert plan.steps == (Step.ACTIVATE, Step.PROVE, Step.VERIFY, Step.COMMIT)


def test_what_was_collected_there_is_copied() -> None:
    """A system that the host has collected is copied; verification may be left out."""
    plan = plan_back(HOST, OLD, at(NEW), now=NOW, verify=False, copy=True)
    assert not isinstance(plan, Unchanged)
    assert plan.steps == (Step.COPY, Step.ACTIVATE, Step.PROVE, Step.COMMIT)


def test_the_newest_generation_of_a_system_counts() -> None:
    """A host that went back to a system may have two of it."""
    twice = replace(KNOWN, generations=(Generation(9, NOW, OLD), Generation(3, NOW, OLD)))
    assert (twice.number_of(OLD), twice.number_of(NEW)) == (9, None)


def test_before_a_specialisation_was_asked_for_is_the_system_itself() -> None:
    """`--specialisation NAME` of the system that runs: what it ran before is that system."""
    asked = replace(ATTEMPT, before=at(NEW), live=OLDER, specialisation="gaming")
    state = replace(at(NEW), running=OLDER, running_as=(Specialised(NEW, "gaming"),))
    known = replace(KNOWN, state=replace(state, attempt=asked), committed=asked)
    assert target_of(BeforeLast(), HOST, known)[0] == NEW
    assert not isinstance(plan_back(HOST, NEW, known.state, now=NOW), Unchanged)


def test_before_what_was_tried_as_a_specialisation_is_what_booted_then() -> None:
    """Goal test keeps a specialisation, goal boot follows: what is before that is what booted."""
    tried = replace(ATTEMPT, goal=Goal.BOOT, live=OLDER, before=replace(at(OLD), running=OLDER))
    known = replace(KNOWN, state=replace(at(NEW), attempt=tried), committed=tried)
    assert target_of(BeforeLast(), HOST, known)[0] == OLD


def test_a_specialisation_is_gone_back_to_as_one_of_its_system() -> None:
    """What ran is a path; the profile of then tells of which system it was one."""
    variants = (Specialised(NEW, "gaming"), Specialised(OLD, "gaming"))
    before = replace(at(OLD), running=OLDER)
    known = replace(
        KNOWN,
        state=replace(at(NEW), attempt=replace(ATTEMPT, before=before)),
        specialisations={OLDER: variants},
    )
    assert known.named(OLDER, known.before(OLDER)) == (OLD, "gaming")
    assert known.named(OLDER) == (NEW, "gaming")
    assert known.named(OLD) == (OLD, "")
    plan = plan_back(HOST, OLD, at(NEW), now=NOW, specialisation="gaming")
    assert not isinstance(plan, Unchanged)
    assert (plan.target.out, plan.specialisation) == (OLD, "gaming")
