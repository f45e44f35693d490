"""Many equal machines by a real Nix: one evaluation, and a derivation that knows none of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import pytest
from nix_bench import Fleet

from orchestrator.changes.knowledge import KnownSystems
from orchestrator.changes.source import Source
from orchestrator.core.store import Evaluated
from orchestrator.host.setup import Setup
from orchestrator.inventory import fleet_json
from orchestrator.inventory.load import load
from orchestrator.inventory.select import select
from orchestrator.nix.asker import Quiet
from orchestrator.nix.evaluation import Evaluations
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.settings import SshSettings

KIOSK = """
hosts:
  kiosk:
    count: {count}
    address: kiosk-{{n}}.example
    template: server
    profiles: [server-admin]
    hardware: {{cpu: intel, gpu: intel}}
"""


def with_kiosks(fleet: Fleet, count: int) -> None:
    """Give the example fleet a class of equal machines."""
    (fleet.root / "inventory/kiosk.yaml").write_text(KIOSK.format(count=count))
    folder = fleet.root / "hosts/kiosk"
    folder.mkdir(exist_ok=True)
    hardware = (fleet.root / "hosts/p510/hardware-configuration.nix").read_text()
    (folder / "hardware-configuration.nix").write_text(hardware)
    (folder / "default.nix").write_text("{ imports = [ ./hardware-configuration.nix ]; }\n")
    fleet_json.refresh(fleet.root, load(fleet.root), frozen=False)


@dataclass(frozen=True, slots=True)
class Counting:
    """Gives what is evaluated, and counts how often somebody asks."""

    source: Source
    asked: list[str]

    async def flake(self, host: object) -> Flake:
        """Count, and give it."""
        self.asked.append(getattr(host, "name", ""))
        return await self.source.flake(host)  # type: ignore[arg-type]


def test_a_thousand_equal_machines_are_one_evaluation(fleet: Fleet, tmp_path: Path) -> None:
    """Nix is asked once for all of them, and each is told the same system."""
    with_kiosks(fleet, 1000)
    read = load(fleet.root).fleet
    flake = Flake.at(str(fleet.root), str(fleet.root), fleet.inputs)
    setup = Setup(read, flake, SshSettings(), tmp_path / "state")
    hosts, asked = select(read, ("kiosk",)), list[str]()

    async def all_of_them() -> list[Evaluated]:
        async with Source(flake) as source:
            known = KnownSystems(setup, hosts, source)
            made = Evaluations(Counting(source, asked), read.limits, fleet.root.parent, len(hosts))
            return await asyncio.gather(*(known.evaluate(Quiet(host), made, "") for host in hosts))

    found = asyncio.run(all_of_them())
    assert len(found) == 1000
    assert len(set(found)) == 1
    assert len(asked) == 1
    assert found[0].drv.path == fleet.systems()["kiosk"]


@pytest.mark.parametrize("count", [2, 5000])
def test_one_more_member_leaves_every_derivation(fleet: Fleet, count: int) -> None:
    """Neither the class's own system nor any other host's is another one, nor is ``fleet.json``."""
    with_kiosks(fleet, 1)
    before, said = fleet.systems(), (fleet.root / fleet_json.PATH).read_bytes()
    with_kiosks(fleet, count)
    assert fleet.systems() == before
    assert (fleet.root / fleet_json.PATH).read_bytes() == said


def test_the_shared_system_names_no_machine(fleet: Fleet) -> None:
    """The host name is left to run time, and the rest of the fleet is what it was before."""
    before = fleet.systems()
    with_kiosks(fleet, 3)
    now = fleet.systems()
    assert fleet.option("kiosk", "networking.hostName") == ""
    assert {name: now[name] for name in before} == before
