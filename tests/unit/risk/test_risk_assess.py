"""Each system is evaluated once, kept for later, and compared with what runs."""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from surfaces import BARE, OPEN, PLAIN

from orchestrator.core.catalogue import Feature
from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.risk import Floor, Risk
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix.asker import Quiet
from orchestrator.nix.configuration import Configuration
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.once import Once
from orchestrator.nix.verbs import Flake, NoNetworkError, OutOfMemoryError
from orchestrator.risk import evaluate, kept
from orchestrator.risk.assess import assess, assessment, floors
from orchestrator.risk.evaluate import parse
from orchestrator.risk.kept import Kept, System, keep, recall
from orchestrator.risk.model import Surface
from orchestrator.ssh.settings import SshSettings

HOST = Host("p510", "p510", Connect("p510"), features=("films", "plain"))


def system(letter: str, name: str = "") -> System:
    """A system, or a specialisation of it."""
    return System(OutPath(f"/nix/store/{letter * 32}-nixos-system-p510"), name)


@dataclass
class Nix:
    """Counts what it is asked."""

    surface: Surface
    asked: int = 0
    once: Once = field(default_factory=Once)

    async def ask(self, _: object, __: Callable[..., Awaitable[Any]]) -> Surface:
        """Evaluate: it takes a while."""
        self.asked += 1
        await asyncio.sleep(0.01)
        return self.surface

    @property
    def evaluations(self) -> Evaluations:
        """What is handed to who asks."""
        return cast(Evaluations, self)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """A fleet of one host."""
    fleet = Fleet("f", str(tmp_path), str(tmp_path), {"p510": HOST})
    return Setup(fleet, Flake.at("/f", "/f"), SshSettings(), tmp_path / "state")


def test_a_system_is_evaluated_once(setup: Setup) -> None:
    """Hosts that share a system wait for one evaluation of it, and later runs recall it."""

    async def work(nix: Nix) -> int:
        shared = [assessment(setup, nix.evaluations, Quiet(HOST), system("a")) for _ in range(9)]
        assert len({one.score for one in await asyncio.gather(*shared)}) == 1
        return nix.asked

    surface = replace(PLAIN, firewall=OPEN)
    assert [asyncio.run(work(Nix(surface))) for _ in range(2)] == [1, 0]


def test_what_runs_is_compared_where_it_was_assessed_before(setup: Setup) -> None:
    """Else it is said that it is not known: nothing is guessed."""
    old, new = Nix(replace(PLAIN, firewall=OPEN)), Nix(replace(PLAIN, services={"web": BARE}))

    async def work() -> None:
        asker = Quiet(HOST)
        first = await assess(setup, old.evaluations, asker, system("a"), system("b"))
        assert (first.before, first.points) == (None, 5)
        second = await assess(setup, new.evaluations, asker, system("c"), system("a"))
        assert str(second) == (
            "risk minimal → low: web runs as root without hardening; "
            "no more: opens 8096/tcp to everybody"
        )
        variant = await assess(setup, new.evaluations, asker, system("c"), system("a", "gaming"))
        assert variant.before is None

    asyncio.run(work())


def test_what_features_declare_today_counts_for_what_is_to_run(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The configuration is not evaluated again for it; what runs keeps what was declared then."""
    nix = Nix(PLAIN)
    declared: list[Floor] = []
    monkeypatch.setattr("orchestrator.risk.assess.floors", lambda *_: tuple(declared))

    async def work() -> None:
        assert (await assessment(setup, nix.evaluations, Quiet(HOST), system("a"))).level.rank == 0
        declared.append(Floor("films", Risk.HIGH))
        change = await assess(setup, nix.evaluations, Quiet(HOST), system("b"), system("a"))
        assert (change.before, change.after) == (Risk.MINIMAL, Risk.HIGH)
        again = await assessment(setup, nix.evaluations, Quiet(HOST), system("a"))
        assert again.level is Risk.HIGH

    asyncio.run(work())
    assert nix.asked == 2


def test_features_of_a_host_that_declare_a_risk_are_its_floors() -> None:
    """Those of the catalogue that the host has, and that say how risky they are."""
    films = Feature("films", risk=Risk.HIGH, because="strangers' files are opened")
    declared = {"films": films, "plain": Feature("plain"), "other": replace(films, name="other")}
    fleet = Fleet("f", "/f", "/f", {}, features=declared)
    assert floors(fleet, HOST) == (Floor("films", Risk.HIGH, "strangers' files are opened"),)
    assert floors(Fleet("f", "/f", "/f", {}), HOST) == ()


def test_what_is_kept_is_given_for_that_system_only(tmp_path: Path) -> None:
    """A whole surface comes back as it was; another system, or a variant of it, is not known."""
    surface = replace(PLAIN, firewall=OPEN, services={"web": BARE, "odd": None})
    keep(tmp_path, Kept(system("a"), surface, (Floor("films", Risk.LOW, "why"),)))
    found = recall(tmp_path, system("a"))
    assert found == Kept(system("a"), surface, (Floor("films", Risk.LOW, "why"),))
    assert recall(tmp_path, system("b")) is None
    assert recall(tmp_path, system("a", "gaming")) is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"null", b"\xff", b'{"version": 9}'])
def test_what_is_damaged_was_not_kept(tmp_path: Path, damage: bytes) -> None:
    """A damaged file counts as none, so that Nix is asked again."""
    keep(tmp_path, Kept(system("a"), PLAIN))
    (tmp_path / kept.FOLDER / system("a").file).write_bytes(damage)
    assert recall(tmp_path, system("a")) is None


def test_what_cannot_be_kept_fails_nothing(tmp_path: Path) -> None:
    """The state folder may be read-only, full, or no folder at all."""
    (tmp_path / kept.FOLDER).touch()
    keep(tmp_path, Kept(system("a"), PLAIN))
    assert recall(tmp_path, system("a")) is None


def test_what_is_too_large_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration of no end fills no disk: it is evaluated again."""
    monkeypatch.setattr(kept, "LARGEST", 100)
    keep(tmp_path, Kept(system("a"), PLAIN))
    assert recall(tmp_path, system("a")) is None


def test_so_many_systems_are_kept_and_those_that_were_asked_for_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that nobody asked for goes first, however new others are."""
    monkeypatch.setattr(kept, "MOST", 2)
    for age, letter in ((1, "a"), (2, "b")):
        keep(tmp_path, Kept(system(letter), PLAIN))
        os.utime(tmp_path / kept.FOLDER / system(letter).file, (age, age))
    assert recall(tmp_path, system("a")) is not None
    keep(tmp_path, Kept(system("c"), PLAIN))
    assert recall(tmp_path, system("b")) is None
    assert recall(tmp_path, system("a")) is not None
    assert recall(tmp_path, system("c")) is not None


def test_an_answer_is_read_part_by_part() -> None:
    """A part of another type than NixOS has is not known, and the others are; none is made up."""
    found = parse(b'{"ssh": {"enable": true}, "login": {"console": 7}, "groups": {"wheel": ["a"]}}')
    assert found.ssh is not None
    assert found.ssh.enable
    assert found.login is None
    assert found.groups == {"wheel": ("a",)}
    assert found.firewall is None


def test_an_entry_that_is_otherwise_hides_no_other() -> None:
    """A service of another type than is read is not known alone: the others have their terms."""
    bare = {"unit": "whole"}
    said = {"services": {"odd": {**bare, "user": ["root"]}, "web": bare}, "groups": {"wheel": 7}}
    found = parse(json.dumps(said).encode())
    assert found.services == {"odd": None, "web": BARE}
    assert found.groups is None


@pytest.mark.parametrize("said", [b"", b"[]", b"null", b"{", b"\xff"])
def test_no_answer_is_an_error(said: bytes) -> None:
    """What is no set of parts is never taken for a host that opens nothing."""
    with pytest.raises(StepError, match="not understood"):
        parse(said)


class Answers:
    """Stands in for Nix: parts that stop it, and an answer of the others.

    Attributes:
        stopping: Parts; where one of them is asked for, nothing is answered.
        asked: The functions that were applied.
    """

    def __init__(self, *stopping: str, error: type[StepError] = StepError) -> None:
        self.stopping = stopping
        self.error = error
        self.asked: list[str] = []

    async def ask(self, function: str, _: str) -> bytes:
        """Answer a question for the whole, or for one part."""
        self.asked.append(function)
        wanted = function.rpartition(") ")[2].removesuffix("; }")
        alone = function.startswith("config: ")
        for part in self.stopping:
            if not alone or wanted.endswith(part):
                raise self.error(f"{part} is broken")
        return b'{"ssh": {"enable": true}, "login": {}}'

    def evaluate(self, patch: pytest.MonkeyPatch) -> Surface:
        """Ask it as a run does."""
        patch.setattr(Configuration, "ask", self.ask)
        return asyncio.run(evaluate.evaluate(Configuration(Flake.at("/f", "/f"), "p510", "p510")))


def test_one_question_is_enough_where_all_evaluates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every part of a configuration comes of one evaluation, where each can be had."""
    nix = Answers()
    assert nix.evaluate(monkeypatch).ssh is not None
    assert len(nix.asked) == 1


def test_parts_are_asked_alone_where_one_stops_nix(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that stops it is not known, with the reason; the others are."""
    nix = Answers("services")
    found = nix.evaluate(monkeypatch)
    assert found.ssh is not None
    assert found.login is not None
    assert found.services is None
    assert found.failures == {"services": "services is broken"}
    assert len(nix.asked) == 1 + len(evaluate.PARTS)


def test_where_no_part_evaluates_it_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration of which nothing is known is not a host that opens nothing."""
    with pytest.raises(StepError, match="firewall is broken"):
        Answers(*evaluate.PARTS).evaluate(monkeypatch)


@pytest.mark.parametrize("error", [NoNetworkError, OutOfMemoryError])
def test_what_is_no_parts_fault_is_not_tried_part_by_part(
    monkeypatch: pytest.MonkeyPatch, error: type[StepError]
) -> None:
    """Without network or memory each part would fail likewise."""
    nix = Answers("services", error=error)
    with pytest.raises(error):
        nix.evaluate(monkeypatch)
    assert len(nix.asked) == 1


@pytest.mark.parametrize("error", [NoNetworkError, OutOfMemoryError, StepError])
def test_a_part_that_was_not_tried_to_its_end_is_asked_again_next_time(
    monkeypatch: pytest.MonkeyPatch, error: type[StepError]
) -> None:
    """Without network, memory or time left nothing is known of a part, and nothing is kept so."""

    async def ask(_: Configuration, function: str, __: str) -> bytes:
        if not function.startswith("config: "):
            raise StepError("one part stops it")
        raise error("not tried to its end")

    monkeypatch.setattr(Configuration, "ask", ask)
    until = -math.inf if error is StepError else math.inf
    question = evaluate.evaluate(Configuration(Flake.at("/f", "/f"), "p510", "p510", until))
    with pytest.raises(error, match="not tried to its end"):
        asyncio.run(question)
