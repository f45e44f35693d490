"""Several ``secrets.nix`` in one fleet, one by host, as a person types commands over them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from secret_fleet import ed25519_key

from orchestrator.secrets.files.files import NAME, parse

pytestmark = pytest.mark.usefixtures("nix")


FLAKE = """
{
  outputs = _: let
    of = host: files: {
      config.age = {
        identityPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
        secrets = builtins.mapAttrs (name: file: {
          inherit name file;
          path = "/run/agenix/${name}"; mode = "0400"; owner = "0"; group = "0";
        }) files;
      };
    };
  in {
    nixosConfigurations.p620 = of "p620" {
      wifi = ./hosts/p620/secrets/wifi.age; shared = ./secrets/shared.age;
    };
    nixosConfigurations.razer = of "razer" {
      wifi = ./hosts/razer/secrets/wifi.age; shared = ./secrets/shared.age;
    };
  };
}
"""
OF_HOSTS = ("hosts/p620/secrets/", "hosts/razer/secrets/")
FILES = {"secrets/shared.age", *(f"{folder}wifi.age" for folder in OF_HOSTS)}


class FleetOfTwo:
    """Two hosts, each with a ``secrets.nix`` of its own, and a shared one; a key of mine."""

    def __init__(self, folder: Path) -> None:
        self.home, self.root = folder, folder / "fleet"
        identity = pyrage.x25519.Identity.generate()
        self.me = str(identity.to_public())
        (folder / "key").write_text(f"{identity}\n")
        hosts = {name: ed25519_key() for name in ("p620", "razer")}
        self.keys = {"secrets/": [self.me, *hosts.values()]}
        self.keys |= {f"hosts/{name}/secrets/": [self.me, key] for name, key in hosts.items()}
        (folder / ".ssh").mkdir(mode=0o700)
        known = folder / ".ssh/known_hosts"
        known.write_text("".join(f"{name} {key}\n" for name, key in hosts.items()))
        (folder / ".ssh/config").write_text(f"UserKnownHostsFile {known}\n")
        self.write("inventory/hosts.yaml", "hosts: {p620: , razer: }\n")
        self.write("flake.nix", FLAKE)
        self.write(".gitattributes", "*.age binary\n")
        self.rules("secrets/", "shared")
        self.rules(OF_HOSTS[0], "wifi")
        self.rules(OF_HOSTS[1], "wifi")
        self.git("init", "-q")
        for path in FILES:
            made = self.type("create", path, stdin="a value")
            assert made.returncode == 0, made.stderr
        self.git("add", "-A")

    def rules(self, folder: str, *names: str, more: str = "") -> None:
        """Write a ``secrets.nix`` for some secrets beside it."""
        keys = " ".join(f'"{key}"' for key in self.keys[folder])
        said = "\n".join(f'  "{name}.age".publicKeys = [ {keys} ];' for name in names)
        self.write(f"{folder}secrets.nix", f"{{\n{said}\n{more}}}\n")

    def write(self, name: str, text: str) -> None:
        """Write a file of the fleet."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def git(self, *words: str) -> None:
        """Run git here."""
        subprocess.run(("git", *words), cwd=self.root, check=True, capture_output=True)

    def type(self, *words: str, stdin: str = "", at: str = ".") -> subprocess.CompletedProcess[str]:
        """Type ``orchestrator secrets …`` in a folder of the fleet."""
        takes_key = words[0] in ("create", "edit", "show", "rekey")
        key = ("--identity", str(self.home / "key")) if takes_key else ()
        return subprocess.run(
            (sys.executable, "-m", "orchestrator", "secrets", *words, *key),
            cwd=self.root / at,
            env={**os.environ, "HOME": str(self.home)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def locked(self, folder: str) -> set[str]:
        """The secrets that a folder's ``secrets.lock.json`` speaks of."""
        return set(parse((self.root / folder / NAME).read_bytes()))

    def stopped(self, host: str) -> list[str]:
        """The ids of errors that stop a deployment of a host, by all that is known before."""
        command = (sys.executable, "-c", BEFORE, str(self.root), host)
        env = {**os.environ, "HOME": str(self.home)}
        return subprocess.check_output(command, env=env, text=True).split()


BEFORE = """
import asyncio, sys
from pathlib import Path
from orchestrator.cli.opening import open_setup
from orchestrator.cli.options import Target
from orchestrator.secrets.on_host import RunSecrets
from orchestrator.secrets.plan.hosts import before_the_copy
from orchestrator.secrets.uses import secrets_of_hosts
setup = open_setup(Target(Path(sys.argv[1])))
host = setup.fleet.hosts[sys.argv[2]]
async def work():
    found = (await secrets_of_hosts(setup, [host]))[host.name]
    return list(before_the_copy(await RunSecrets(setup).evidence(), found, ()))
for one in asyncio.run(work()):
    if one.severity.value == "error" and one.id != "HOST-IDPATH":
        print(one.id)
"""


@pytest.fixture
def two(tmp_path: Path) -> FleetOfTwo:
    """Two hosts with rules of their own, and shared ones."""
    return FleetOfTwo(tmp_path)


def test_rules_of_each_host_and_shared_ones_are_read_as_one(two: FleetOfTwo) -> None:
    """Several files are one for checks, for lists, and before a deployment."""
    assert [two.locked(folder) for folder in ("secrets/", *OF_HOSTS)] == [
        *({"secrets/shared.age"}, {f"{OF_HOSTS[0]}wifi.age"}, {f"{OF_HOSTS[1]}wifi.age"})
    ]
    done = two.type("check", "--strict")
    assert (done.returncode, done.stdout) == (0, "secrets: 3 checked, nothing is wrong\n")
    done = two.type("check", "razer", "--strict")
    assert (done.returncode, done.stdout) == (0, "secrets: 2 checked, nothing is wrong\n")
    status = json.loads(two.type("status", "--json").stdout)
    assert {one["path"] for one in status} == FILES
    assert two.stopped("p620") == two.stopped("razer") == []


def test_a_hosts_broken_rules_stop_that_host_alone(two: FleetOfTwo) -> None:
    """Rules that do not evaluate are named; of no file is it said that it has no rule."""
    two.rules(OF_HOSTS[0], "wifi", more="a typo")
    done = two.type("check")
    assert done.returncode == 1
    assert f"RULES-EVAL {OF_HOSTS[0]}secrets.nix: does not evaluate: " in done.stdout
    assert "CFG-NORULE" not in done.stdout
    assert "FILE-UNDECLARED" not in done.stdout
    assert (two.stopped("p620"), two.stopped("razer")) == (["RULES-EVAL"], [])
    done = two.type("status")
    assert done.returncode == 1
    assert f"{OF_HOSTS[0]}secrets.nix does not evaluate: " in done.stderr


def test_a_file_with_a_rule_in_each_of_two_files_is_found(two: FleetOfTwo) -> None:
    """A warning that names both; nothing is encrypted by either of them."""
    two.keys["secrets/p620/"] = two.keys[OF_HOSTS[0]]
    two.rules("secrets/p620/", "x")
    two.rules("secrets/", "shared", "p620/x")
    assert (
        two.type("create", "secrets/p620/x.age", "--rules", "secrets/secrets.nix").returncode == 2
    )
    done = two.type("create", "x", "--rules", "secrets/p620/secrets.nix", stdin="a value")
    assert done.returncode == 0, done.stderr
    two.git("add", "-A")
    both = (
        "secrets/p620/x.age: it has a rule in each of secrets/p620/secrets.nix, secrets/secrets.nix"
    )
    assert f"warning: RULES-DUP {both}" in two.type("check", "--no-configurations").stdout
    for words in (("edit", "secrets/p620/x.age"), ("rekey", "--all")):
        done = two.type(*words, stdin="another")
        assert done.returncode == 2
        assert "has a rule in each of" in done.stderr
        assert "--rules FILE" in done.stderr


def test_secrets_of_several_rules_are_changed_each_by_its_own(two: FleetOfTwo) -> None:
    """A path or the folder says which; a rekey is one change; a new rule goes to the nearest."""
    done = two.type("show", "wifi")
    assert done.returncode == 2
    assert all(f"{folder}wifi.age" in done.stderr for folder in OF_HOSTS)
    assert two.type("edit", "wifi", stdin="p620's", at=OF_HOSTS[0]).returncode == 0
    shown = [two.type("show", f"{folder}wifi").stdout for folder in OF_HOSTS]
    assert shown == ["p620's", "a value"]
    for folder in ("secrets/", OF_HOSTS[1]):
        two.keys[folder].append(ed25519_key())
        two.rules(folder, "shared" if folder == "secrets/" else "wifi")
    done = two.type("rekey", "--json")
    assert set(json.loads(done.stdout)["done"]) == FILES - {f"{OF_HOSTS[0]}wifi.age"}
    done = two.type("create", "new", "--like", f"{OF_HOSTS[1]}wifi", stdin="a value")
    assert done.returncode == 2
    assert "--rules FILE" in done.stderr
    like = ("--like", f"{OF_HOSTS[1]}wifi")
    assert two.type("create", "new", *like, stdin="v", at=OF_HOSTS[1]).returncode == 0
    two.git("add", "-A")
    assert two.locked(OF_HOSTS[1]) == {f"{OF_HOSTS[1]}{name}.age" for name in ("wifi", "new")}
    done = two.type("check", "--no-configurations", "--strict")
    assert (done.returncode, done.stdout) == (0, "secrets: 4 checked, nothing is wrong\n")


def test_rules_at_another_place_are_named_by_the_inventory(two: FleetOfTwo) -> None:
    """Until then the finding says where they may be, and how to name them."""
    two.write("lib/none.nix", "{ }")
    moved = "hosts/razer/secrets/nested/deep/"
    two.keys[moved] = two.keys[OF_HOSTS[1]]
    two.rules(moved, "wifi")
    (two.root / OF_HOSTS[1] / "wifi.age").rename(two.root / moved / "wifi.age")
    (two.root / OF_HOSTS[1] / "secrets.nix").unlink()
    two.write("flake.nix", FLAKE.replace(f"./{OF_HOSTS[1]}", f"./{moved}"))
    two.git("add", "-A")
    done = two.type("check")
    assert done.returncode == 1
    assert f"CFG-NORULE {moved}wifi.age" in done.stdout
    assert f"if {moved}secrets.nix has it: `secrets: {{rules: [FILE, …]}}`" in done.stdout
    named = ", ".join(f"{folder}secrets.nix" for folder in ("secrets/", OF_HOSTS[0], moved))
    two.write("inventory/secrets.yaml", f"secrets: {{rules: [{named}]}}\n")
    done = two.type("check")
    assert (done.returncode, done.stdout.splitlines()[-1][:19]) == (0, "secrets: 3 checked,")
