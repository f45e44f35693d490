"""A flake that was there before us, deployed with a three-line inventory and no rewrite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_bench import Bench, committed, in_lab

pytestmark = pytest.mark.lab

FLAKE = """\
{
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  outputs = { nixpkgs, ... }: {
    nixosConfigurations.web1 = nixpkgs.lib.nixosSystem {
      system = "x86_64-linux";
      modules = [ ./web1.nix ];
    };
  };
}
"""
MODULE = """\
{ pkgs, ... }: {
  networking.hostName = "web1";
  system.stateVersion = "25.05";
  services.openssh.enable = true;
  environment.etc."web/page".text = "an old flake";
  systemd.services.web = {
    wantedBy = [ "multi-user.target" ];
    serviceConfig.ExecStart = "${pkgs.busybox}/bin/busybox httpd -f -p 80 -h /etc/web";
  };
}
"""
INVENTORY = """\
hosts:
  web1:
    address: 10.77.0.2
"""


@pytest.fixture
def flake(tmp_path: Path) -> Iterator[Bench]:
    """Somebody's flake, and a lab of its one host."""
    root = tmp_path / "somebody's flake, with spaces"
    (root / "inventory").mkdir(parents=True)
    (root / "flake.nix").write_text(FLAKE)
    (root / "web1.nix").write_text(MODULE)
    (root / "inventory/hosts.yaml").write_text(INVENTORY)
    bench = committed(Bench(root, tmp_path / "home"))
    with in_lab(bench):
        yield bench


def test_it_is_deployed_with_three_lines(flake: Bench) -> None:
    """Name and address are enough; nothing is written into the flake; again: unchanged."""
    done = flake.deploy()
    assert done.outcomes == {"web1": "deployed"}, done
    assert "no suite" in done.err + done.out
    assert flake.on("web1", "cat /etc/web/page").out == "an old flake"
    assert flake.on("web1", "systemctl is-active web").out.strip() == "active"
    assert flake.deploy().outcomes == {"web1": "unchanged"}
    assert flake.command("git", "status", "--porcelain").out == ""


def test_an_edit_is_a_change_though_it_is_not_committed(flake: Bench) -> None:
    """A dirty tree is deployed as it is, and its record says that it was dirty."""
    assert flake.deploy().rc == 0
    flake.write("web1.nix", MODULE.replace("an old flake", "edited"))
    done = flake.deploy()
    assert done.outcomes == {"web1": "deployed"}
    assert flake.state("web1")["record"]["revision"].endswith("-dirty")
