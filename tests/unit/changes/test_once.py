"""Hosts that share an attribute of a flake share its evaluation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from orchestrator.changes.once import Once
from orchestrator.core.errors import StepError
from orchestrator.core.host import Connect, Host
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.nix.evaluation import Asker, Evaluations, Quiet
from orchestrator.nix.flake import Flake

FLAKE = Flake.at("/fleet", "/fleet")
OUT = OutPath(f"/nix/store/{'a' * 32}-nixos-system")


@dataclass(slots=True)
class Counted(Evaluations):
    """Evaluates nothing, and counts who asked; ``end`` says what comes of the first ones."""

    end: Callable[[int], Evaluated | StepError]
    asked: list[str] = field(default_factory=list)
    waits: asyncio.Event | None = None

    async def evaluate(self, asker: Asker, why: str = "") -> Evaluated:
        """Count, and give the end that was prepared."""
        assert why == "why"
        self.asked.append(asker.host.name)
        if self.waits is not None:
            await self.waits.wait()
        await asyncio.sleep(0)
        match self.end(len(self.asked)):
            case StepError() as error:
                raise error
            case evaluated:
                return evaluated


def members(count: int) -> list[Quiet]:
    """Hosts of one attribute."""
    return [Quiet(Host(f"k-{n}", "k", Connect("k"), of="k")) for n in range(count)]


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluated:
    """A system whose derivation is in the store for as long as its file is there."""
    drv = DrvPath(f"/nix/store/{'b' * 32}-system.drv")
    (tmp_path / drv.path.rpartition("/")[2]).touch()

    def is_here(path: DrvPath) -> bool:
        return (tmp_path / path.path.rpartition("/")[2]).exists()

    monkeypatch.setattr("orchestrator.changes.once.is_here", is_here)
    return Evaluated(drv, OUT)


async def _all(once: Once, counted: Counted, askers: list[Quiet]) -> list[object]:
    asked = (once.evaluate(FLAKE, asker, counted, "why") for asker in askers)
    return await asyncio.gather(*asked, return_exceptions=True)


def test_equal_hosts_are_evaluated_once(there: Evaluated) -> None:
    """The first one that asks is evaluated, and all are told what came of it."""
    counted = Counted(lambda _: there)
    found = asyncio.run(_all(Once(), counted, members(50)))
    assert found == [there] * 50
    assert counted.asked == ["k-0"]


def test_another_attribute_or_flake_is_an_evaluation_of_its_own(there: Evaluated) -> None:
    """Only what is one configuration in every respect is shared."""
    counted, once, (one,) = Counted(lambda _: there), Once(), members(1)

    async def each() -> None:
        for asker, flake in (
            (one, FLAKE),
            (Quiet(replace(one.host, attr="other")), FLAKE),
            (one, replace(FLAKE, overrides=(("nixpkgs", "path:/n"),))),
            (one, FLAKE),
        ):
            await once.evaluate(flake, asker, counted, "why")

    asyncio.run(each())
    assert len(counted.asked) == 3


def test_what_does_not_evaluate_fails_for_every_equal_host() -> None:
    """Each is told the same error, in a copy that it may note its own step in."""
    counted = Counted(lambda _: StepError("it is broken", hint="mend it"))
    found = asyncio.run(_all(Once(), counted, members(3)))
    assert [str(error) for error in found] == ["it is broken"] * 3
    assert len({id(error) for error in found}) == 3
    assert counted.asked == ["k-0"]


def test_the_next_host_evaluates_where_the_first_is_cut_off(there: Evaluated) -> None:
    """An interrupted host takes no evaluation away from those that wait with it."""

    async def cut_off() -> tuple[object, list[str]]:
        counted, once = Counted(lambda _: there, waits=asyncio.Event()), Once()
        first, second = members(2)
        one = asyncio.create_task(once.evaluate(FLAKE, first, counted, "why"))
        other = asyncio.create_task(once.evaluate(FLAKE, second, counted, "why"))
        await asyncio.sleep(0)
        one.cancel()
        assert counted.waits is not None
        counted.waits.set()
        with pytest.raises(asyncio.CancelledError):
            await one
        return await other, counted.asked

    found, asked = asyncio.run(cut_off())
    assert found == there
    assert asked == ["k-0", "k-1"]


def test_a_derivation_that_was_collected_is_evaluated_again(
    there: Evaluated, tmp_path: Path
) -> None:
    """What is no longer in the store is told to no later host."""
    counted, once = Counted(lambda _: there), Once()

    async def twice() -> None:
        first, second, third = members(3)
        await once.evaluate(FLAKE, first, counted, "why")
        await once.evaluate(FLAKE, second, counted, "why")
        (tmp_path / there.drv.path.rpartition("/")[2]).unlink()
        await once.evaluate(FLAKE, third, counted, "why")

    asyncio.run(twice())
    assert counted.asked == ["k-0", "k-2"]
