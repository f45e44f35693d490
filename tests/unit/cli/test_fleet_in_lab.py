"""While a lab is up: no host is the machine that one sits on, and inputs are the lab's."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.cli.opening import in_lab, stand_ins
from orchestrator.core.host import Connect, Fleet, Host


def test_in_a_lab_no_host_is_this_machine() -> None:
    """A host that the inventory says is this machine is the lab's host, or none that is up."""
    hosts = {
        name: Host(name, name, Connect(name), machine_id=this)
        for name, this in (("p620", "a" * 32), ("razer", "b" * 32), ("p510", None))
    }
    found = in_lab(
        Fleet("example", "/fleet", "/fleet", hosts), {"p620": "c" * 32, "p510": "d" * 32}
    )
    assert {name: host.machine_id for name, host in found.hosts.items()} == {
        "p620": "c" * 32,
        "razer": None,
        "p510": "d" * 32,
    }


@pytest.mark.parametrize(
    ("flake", "others"),
    [
        ("{ inputs.nixpkgs.url = 1; }", ()),
        ("{ inputs.agenix.url = 1; }", (("agenix", "path:/lab/nixpkgs"),)),
        (
            '{ inputs.home-manager = { inputs.nixpkgs.follows = "nixpkgs"; }; }',
            (("home-manager", "path:/lab/nixpkgs/home-manager"),),
        ),
    ],
)
def test_in_a_lab_inputs_that_have_a_stand_in_are_that(
    tmp_path: Path, flake: str, others: tuple[tuple[str, str], ...]
) -> None:
    """The lab's nixpkgs counts always; its agenix and Home Manager where the flake names them."""
    (tmp_path / "flake.nix").write_text(flake)
    found = stand_ins(Fleet("example", "/fleet", str(tmp_path), {}), Path("/lab/nixpkgs"))
    assert found == (("nixpkgs", "path:/lab/nixpkgs"), *others)


def test_in_a_lab_a_flake_elsewhere_has_the_labs_nixpkgs(tmp_path: Path) -> None:
    """A flake that is no folder of this machine is not read, and gets nixpkgs' stand-in alone."""
    fleet = Fleet("example", "/fleet", "github:example/machines", {})
    assert stand_ins(fleet, tmp_path) == (("nixpkgs", f"path:{tmp_path}"),)
