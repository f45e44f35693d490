"""``orchestrator secrets check`` on a fleet with agenix and sops-nix, evaluated by real Nix.

The module below declares sops-nix's options as https://github.com/Mic92/sops-nix does in
``modules/sops/default.nix``, as far as files and keys go.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from nix_bench import STANDIN
from secret_fleet import ed25519_key, encrypt
from test_secret_commands import type_in

from orchestrator.secrets.age import keys

pytestmark = pytest.mark.usefixtures("nix")

MADE = Path(__file__).parents[1] / "unit/secrets/sops"
WEB1 = "age1m024ktg7zndjt2qq9qpyfry505qjd2adj9gdz4myv2l8s8gzcsxs030aqp"
ADMIN = "age1lf9kh23wkf0hnn0rqw2zw6ly4p4ms3p2tzgs5plx4epp2rk60umsvtpkzu"

SOPS = """
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  cfg = config.sops;
  option = type: default: mkOption { inherit type default; };
  secret = types.submodule ({ name, ... }: {
    options = {
      key = option types.str (
        if cfg.defaultSopsKey != null then cfg.defaultSopsKey else name);
      format = option (types.enum [ "yaml" "json" "binary" "dotenv" "ini" ]) cfg.defaultSopsFormat;
      sopsFile = option types.path cfg.defaultSopsFile;
    };
  });
in {
  options.sops = {
    secrets = option (types.attrsOf secret) { };
    defaultSopsFile = mkOption { type = types.path; };
    defaultSopsFormat = option types.str "yaml";
    defaultSopsKey = option (types.nullOr types.str) null;
    environment = option (types.attrsOf (types.either types.str types.path)) { };
    age.keyFile = option (types.nullOr types.str) null;
    age.generateKey = option types.bool false;
    age.sshKeyPaths = option (types.listOf types.path) [ "/etc/ssh/ssh_host_ed25519_key" ];
    gnupg.home = option (types.nullOr types.str) null;
    gnupg.sshKeyPaths = option (types.listOf types.path) [ "/etc/ssh/ssh_host_rsa_key" ];
  };
  options.age = option types.anything { };
}
"""
FLAKE = """
{
  outputs = _: let
    lib = import ./lib;
    host = one: lib.evalModules { modules = [ ./sops.nix one ]; };
  in {
    nixosConfigurations.web1 = host {
      age.identityPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
      age.secrets.wifi = {
        file = ./secrets/wifi.age; path = "/run/agenix/wifi";
        mode = "0400"; owner = "0"; group = "0";
      };
      sops.defaultSopsFile = ./secrets/web.yaml;
      sops.secrets."api/token" = { };
      sops.secrets.json = { sopsFile = ./secrets/web.json; format = "json"; key = "api/token"; };
      sops.secrets.disk = { sopsFile = "/persist/disk.yaml"; };
    };
    nixosConfigurations.db1 = host ./db1.nix;
  };
}
"""
DB1 = """
{
  sops.defaultSopsFile = ./secrets/web.yaml;
  sops.secrets.port.key = "api/port";
}
"""


class Fleet:
    """Two hosts: web1 uses agenix and sops-nix, db1 sops-nix alone, a file that is not for it."""

    def __init__(self, home: Path) -> None:
        self.root, self.web1, self.db1 = home / "fleet", ed25519_key(), ed25519_key()
        mine = keys.as_x25519(keys.parse(self.web1)).text
        self.write("inventory/hosts.yaml", "hosts:\n  web1: {}\n  db1: {}\n")
        for name, text in (("flake.nix", FLAKE), ("sops.nix", SOPS), ("db1.nix", DB1)):
            self.write(name, text)
        for name in ("web.yaml", "web.json"):
            self.write(f"secrets/{name}", (MADE / name).read_text().replace(WEB1, mine))
        keys_of_rule = f"age: ['{ADMIN}', '{mine}']"
        self.write(
            ".sops.yaml", f"creation_rules:\n  - path_regex: secrets/web\n    {keys_of_rule}"
        )
        (self.root / "secrets/wifi.age").write_bytes(encrypt([self.web1]))
        self.write("secrets/secrets.nix", f'{{ "wifi.age".publicKeys = [ "{self.web1}" ]; }}\n')
        self.write(".gitattributes", "*.age binary\n")
        shutil.copytree(STANDIN / "lib", self.root / "lib")
        (home / ".ssh").mkdir()
        (home / ".ssh/known_hosts").write_text(f"web1 {self.web1}\ndb1 {self.db1}\n")
        known = f"UserKnownHostsFile {home}/.ssh/known_hosts\n"
        (home / ".ssh/config").write_text(known)
        subprocess.run(("git", "init", "-q"), cwd=self.root, check=True)
        self.add()

    def write(self, name: str, text: str) -> None:
        """Write a file of the fleet."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def add(self) -> None:
        """Have git track all."""
        subprocess.run(("git", "add", "-A"), cwd=self.root, check=True)

    def findings(self, *words: str) -> set[tuple[str, str, str | None]]:
        """Id, file and host of what `secrets check` finds."""
        done = type_in(self.root, "secrets", "check", *words, "--json")
        assert done.stderr == "", done.stderr
        return {(one["id"], one["path"], one["host"]) for one in json.loads(done.stdout)}


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """A fleet with both."""
    return Fleet(tmp_path)


OUTSIDE = ("SOPS-UNPROVEN", "/persist/disk.yaml", "web1")


def test_a_fleet_with_agenix_and_sops_is_checked_by_what_nix_says(fleet: Fleet) -> None:
    """Each host's files, keys in them and readers; what lies on the host's disk is not claimed."""
    assert fleet.findings("web1") == {OUTSIDE}
    assert fleet.findings() == {
        OUTSIDE,
        ("SOPS-HOST", "secrets/web.yaml", "db1"),
        ("SOPS-NAME", "secrets/web.yaml", "db1"),
    }
    done = type_in(fleet.root, "secrets", "check", "web1")
    assert done.returncode == 0
    first, second = done.stdout.splitlines()
    assert first.startswith("secrets: 1 checked, 2 files of sops checked, nothing is wrong")
    assert "values, MACs, and keys of PGP and clouds are not" in second


def test_what_is_not_known_of_a_host_is_not_claimed_and_what_nix_lacks_is(fleet: Fleet) -> None:
    """A host's key file makes its readers unproved; a file that Nix does not see is an error."""
    fleet.write("db1.nix", DB1.replace("{", '{ sops.age.keyFile = "/var/lib/key.txt";', 1))
    fleet.write("secrets/new.yaml", (fleet.root / "secrets/web.yaml").read_text())
    assert fleet.findings("db1") == {
        ("SOPS-UNPROVEN", "secrets/web.yaml", "db1"),
        ("SOPS-NAME", "secrets/web.yaml", "db1"),
    }
    fleet.write("db1.nix", DB1.replace("web.yaml", "new.yaml").replace("port", "token"))
    no_rule = ("SOPS-NORULE", "secrets/new.yaml", None)
    assert fleet.findings("db1") == {("SOPS-FILE", "secrets/new.yaml", "db1"), no_rule}
    fleet.add()
    assert fleet.findings("db1") == {("SOPS-HOST", "secrets/new.yaml", "db1"), no_rule}


def test_a_fleet_with_sops_alone_needs_no_rules_of_agenix(fleet: Fleet) -> None:
    """Without a secrets.nix its .sops.yaml is enough, for `check` too; without both: refused."""
    (fleet.root / "secrets/secrets.nix").unlink()
    fleet.write("flake.nix", FLAKE.replace("wifi", "gone").replace("age.secrets.gone", "age.x"))
    fleet.write("db1.nix", "{ }")
    fleet.add()
    done = type_in(fleet.root, "secrets", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("secrets: 2 files of sops checked, nothing is wrong")
    done = type_in(fleet.root, "secrets", "check", "db1", "--no-configurations")
    assert (done.returncode, "no secret is known to be for db1" in done.stderr) == (2, True)
    done = type_in(fleet.root, "check", "--secrets")
    assert (done.returncode, "2 files of sops checked" in done.stderr) == (0, True)
    (fleet.root / ".sops.yaml").unlink()
    done = type_in(fleet.root, "secrets", "check")
    assert (done.returncode, "there is no" in done.stderr) == (2, True)
