"""What real evaluations declare, for a host to be held against: on the stand-in."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from nix_bench import Fleet, Modules

from orchestrator import security
from orchestrator.nix.configuration import Configuration
from orchestrator.nix.flake import Flake
from orchestrator.risk.model import Password
from orchestrator.security.evaluate import evaluate
from orchestrator.security.model import Account, Declared, Wrapper

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGEga2V5IG9mIEFubmEsIHdobyBpcyBkZWNsYXJlZCE="
HERE = Path(security.__file__).parent
MODULE = f"""{{ lib, pkgs, ... }}:
{{
  networking.firewall.allowedTCPPorts = [ 8096 ];
  networking.firewall.interfaces.eth1.allowedUDPPortRanges = [ {{ from = 1; to = 9; }} ];
  users.mutableUsers = false;
  users.users.anna = {{
    isNormalUser = true;
    extraGroups = [ "wheel" ];
    hashedPassword = "$6$not$one";
    openssh.authorizedKeys.keys = [ "{KEY} anna" ];
  }};
  users.users.open = {{ isNormalUser = true; hashedPassword = ""; }};
  users.groups.crew.members = [ "anna" ];
  security.wrappers.tool = {{
    owner = "root"; group = "root"; setuid = true; source = "${{pkgs.busybox}}/bin/busybox";
  }};
  virtualisation.podman.enable = true;
  services.cron.enable = true;
  specialisation.other.configuration.services.cron.enable = lib.mkForce false;
}}
"""


def declared(fleet: Fleet, specialisation: str = "") -> Declared:
    """Ask what p510 declares."""
    flake = Flake.at(f"path:{fleet.root}", str(fleet.root), fleet.inputs)
    question = evaluate(Configuration(flake, "p510", "p510"), specialisation)
    return asyncio.run(question)


def test_each_part_of_a_configuration_is_declared(fleet: Fleet) -> None:
    """Accounts with their keys and groups, ports, wrappers, engines; and no hash of a password."""
    fleet.module("p510", MODULE)
    found = declared(fleet)
    assert found.accounts is not None
    anna = Account(None, True, ("wheel",), Password.SET, (f"{KEY} anna",))
    assert found.accounts["anna"] == anna
    assert found.accounts["open"].password is Password.EMPTY
    assert found.accounts["root"].uid == 0
    assert found.groups is not None
    assert found.groups["crew"] == ("anna",)
    assert found.mutable is False
    assert found.firewall is not None
    assert 8096 in found.firewall.everybody.tcp
    assert found.firewall.interfaces["eth1"].udp_ranges == ((1, 9),)
    assert found.wrappers is not None
    assert found.wrappers["tool"] == Wrapper(setuid=True, setgid=False, capabilities="")
    assert found.engines is not None
    assert "podman" in found.engines
    assert (found.cron, found.entries) == (True, ())
    assert "not$one" not in repr(found)
    assert declared(fleet, "other").cron is False


def test_keys_in_files_are_read_and_built_ones_are_said_not_to_be(
    modules: Modules, tmp_path: Path
) -> None:
    """A file of keys in the flake counts; a program's output that has keys is said to be unread."""
    question = (HERE / "declared.nix").read_text()
    file = str(tmp_path / "keys")
    Path(file).write_text("# hers\nssh-ed25519 AAAA x\n")
    config = """{ users.users.%s.openssh.authorizedKeys.keyFiles = [ %s ]; }"""
    ask = f'(({question}) "" {config}).accounts'
    found = modules.value(ask % ("anna", f"(/. + {json.dumps(file)})"))
    assert found["anna"]["keys"] == ["# hers", "ssh-ed25519 AAAA x"]
    assert found["anna"]["unread"] is False
    found = modules.value(ask % ("eve", json.dumps(file)))
    assert (found["eve"]["keys"], found["eve"]["unread"]) == ([], True)


def test_a_part_that_does_not_evaluate_leaves_the_others(fleet: Fleet) -> None:
    """What throws is not known, and everything else is."""
    fleet.module("p510", '{ ... }: { networking.firewall.allowedTCPPorts = throw "no"; }')
    found = declared(fleet)
    assert found.firewall is None
    assert found.accounts
