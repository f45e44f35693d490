"""Bringing what waited: hosts to be deployed alike share a run, and garbage is told."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.core.event import Event, Notice
from orchestrator.core.host import BuildOn, BuildSite, Connect, Fleet, Host, WhenUnreachable
from orchestrator.core.plan import Goal
from orchestrator.core.run import DeployRequest, Report, Run
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import Flake
from orchestrator.offline import watch
from orchestrator.runs.pending import Pending, PendingSystems
from orchestrator.ssh.settings import SshSettings

NOW = datetime.now(UTC)
HOSTS = {
    "razer": Host("razer", "razer", Connect("razer"), tags=("portable",)),
    "samsung": Host("samsung", "samsung", Connect("samsung")),
    "there": Host("there", "there", Connect("there"), build=BuildSite(BuildOn.TARGET)),
}


class Runs:
    """A fleet whose runs are taken down and not made.

    Attributes:
        requests: What each run was asked for.
        told: What a person was told, with the host before it.
    """

    def __init__(self, state: Path) -> None:
        fleet = Fleet("f", "/f", "/f", HOSTS)
        self.setup = Setup(fleet, Flake.at("/f", "/f"), SshSettings(), state)
        self.pending = PendingSystems(state, print)
        self.requests: list[DeployRequest] = []
        self.told: list[str] = []
        self.interrupted = False

    async def deploy(self, _: Setup, request: DeployRequest, *__: object) -> Report:
        """Take a run down."""
        self.requests.append(request)
        run = Run(len(self.requests), "", "me@here", None, NOW)
        return Report(run, request.goal, False, {}, 0.0, interrupted=self.interrupted)

    def emit(self, event: Event) -> None:
        """Take a notice down."""
        assert isinstance(event, Notice)
        self.told.append(f"{event.host}: {event.text}")

    def catch_up(self, *selectors: str) -> tuple[Report, ...]:
        """Do what the command does."""
        entries = watch.waiting(self.setup, selectors, self.emit)
        return asyncio.run(watch.catch_up(self.setup, entries, self.emit))


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runs:
    """A fleet that nothing waits for; every derivation is in the store."""
    made = Runs(tmp_path)
    monkeypatch.setattr(watch, "deploy", made.deploy)
    monkeypatch.setattr(nix, "is_here", lambda _: True)
    return made


def put(runs: Runs, host: str, **fields: Any) -> Pending:
    """Have a system wait."""
    out = OutPath(f"/nix/store/{'n' * 32}-nixos-system-{host}")
    entry = Pending(
        host=host,
        system=Evaluated(DrvPath(f"{out}.drv"), out),
        run=3,
        who="me@here",
        revision="abc",
        reason="no route to host",
        since=NOW - timedelta(hours=1),
        expires=NOW + timedelta(days=7),
    )
    entry = replace(entry, **fields)
    runs.pending.put(entry)
    return entry


def test_one_run_brings_each_host_its_own_system(runs: Runs) -> None:
    """One catch-up run brings each host its own system, and defers whoever is unreachable."""
    razer, samsung = put(runs, "razer"), put(runs, "samsung")
    runs.catch_up()
    (request,) = runs.requests
    assert request.selectors == ("razer", "samsung")
    assert request.systems == {"razer": razer.system, "samsung": samsung.system}
    assert (request.catch_up, request.unreachable, request.revision) == (
        True,
        WhenUnreachable.DEFER,
        "abc",
    )


def test_each_way_of_deploying_has_a_run(runs: Runs) -> None:
    """A goal, a check that is skipped, no verification: as each was asked for."""
    put(runs, "razer", goal=Goal.BOOT)
    gaming = SpecialisePolicy.parse("gaming")
    put(runs, "samsung", skip_preflight=("clock",), verify=False, specialisation=gaming)
    assert len(runs.catch_up()) == 2
    boot, switch = runs.requests
    assert (boot.selectors, boot.goal, boot.verify) == (("razer",), Goal.BOOT, True)
    assert (switch.selectors, switch.skip_preflight) == (("samsung",), ("clock",))
    assert not switch.verify
    assert (boot.specialisation, switch.specialisation) == (None, gaming)


def test_an_interrupt_ends_all_of_them(runs: Runs) -> None:
    """An interrupt ends the delivery to all hosts: no second run begins."""
    put(runs, "razer", goal=Goal.BOOT)
    put(runs, "samsung")
    runs.interrupted = True
    assert [report.interrupted for report in runs.catch_up()] == [True]


def test_only_who_is_selected_is_caught_up_with(runs: Runs) -> None:
    """Only hosts that a selector names are delivered to; an unknown tag is an error."""
    put(runs, "razer")
    put(runs, "samsung")
    runs.catch_up("tag:portable")
    assert [request.selectors for request in runs.requests] == [("razer",)]
    with pytest.raises(UsageError):
        runs.catch_up("tag:unknown")


def test_nothing_waits_for_those_selected(runs: Runs) -> None:
    """No run is made, not even where something waits for a host that is no longer there."""
    put(runs, "gone")
    assert runs.catch_up() == ()
    assert runs.requests == []


def test_what_has_expired_is_told_and_not_brought(runs: Runs) -> None:
    """What has expired is reported, not delivered, and dropped."""
    put(runs, "razer", expires=NOW)
    assert runs.catch_up() == ()
    (told,) = runs.told
    assert told.startswith("razer: what began to wait for it 1 h ago, in run 3, has expired")
    assert runs.pending.all() == ()


def test_a_system_that_was_collected_is_built_again(runs: Runs) -> None:
    """A pending system that was collected is built again from its derivation, with a notice."""
    entry = put(runs, "razer")
    runs.catch_up()
    assert runs.requests[0].systems == {"razer": entry.system}
    assert runs.told == ["razer: what waited was collected as garbage: it is built again"]


def test_what_is_built_elsewhere_is_no_garbage_for_not_being_here(runs: Runs) -> None:
    """A pending system that is built elsewhere is delivered by its derivation, with no notice."""
    put(runs, "there")
    runs.catch_up()
    assert runs.requests[0].systems.keys() == {"there"}
    assert runs.told == []


def test_a_derivation_that_was_collected_too_is_evaluated_anew(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the derivation was collected too, the fleet of now is evaluated, with a warning."""
    monkeypatch.setattr(nix, "is_here", lambda drv: "samsung" in drv.path)
    put(runs, "razer")
    put(runs, "samsung")
    runs.catch_up()
    anew, given = runs.requests
    assert (anew.selectors, anew.systems, anew.catch_up) == (("razer",), {}, True)
    assert anew.revision is None
    assert anew.unreachable is WhenUnreachable.DEFER
    assert given.systems.keys() == {"samsung"}
    assert any("evaluated again" in told for told in runs.told)
