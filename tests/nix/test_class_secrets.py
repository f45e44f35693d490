"""Secrets of many equal machines: one configuration says which, and each opens its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from secret_fleet import ed25519_key

pytestmark = pytest.mark.usefixtures("nix")

MEMBERS = ("kiosk-1", "kiosk-2", "kiosk-3")
FLAKE = """
{
  outputs = _: {
    nixosConfigurations.kiosk.config = {
      fleet.memberSecrets.token = ./secrets/kiosk;
      age = {
        identityPaths = [ "/etc/ssh/ssh_host_ed25519_key" ];
        secrets = builtins.mapAttrs (name: file: {
          inherit name file;
          path = "/run/agenix/${name}"; mode = "0400"; owner = "0"; group = "0";
        }) { shared = ./secrets/shared.age; token = "/run/fleet-member/token.age"; };
      };
    };
  };
}
"""


class Kiosks:
    """Three equal machines that share a secret, and each have one of their own; a key of mine."""

    def __init__(self, folder: Path) -> None:
        self.home, self.root = folder, folder / "fleet"
        identity = pyrage.x25519.Identity.generate()
        self.me = str(identity.to_public())
        (folder / "key").write_text(f"{identity}\n")
        self.keys = {name: ed25519_key() for name in MEMBERS}
        (folder / ".ssh").mkdir(mode=0o700)
        known = folder / ".ssh/known_hosts"
        known.write_text("".join(f"{name} {key}\n" for name, key in self.keys.items()))
        (folder / ".ssh/config").write_text(f"UserKnownHostsFile {known}\n")
        self.write("inventory/hosts.yaml", "hosts: {kiosk: {count: 3}}\n")
        self.write("flake.nix", FLAKE)
        self.write(".gitattributes", "*.age binary\n")
        self.rules()
        self.git("init", "-q")
        for path in ("shared", *(f"kiosk/{name}/token" for name in MEMBERS)):
            made = self.type("create", f"secrets/{path}.age", stdin="a value")
            assert made.returncode == 0, made.stderr
        self.git("add", "-A")

    def rules(self, shared: tuple[str, ...] = MEMBERS, **own: str) -> None:
        """Write who may read what; ``own`` is whose key a member's own secret is for instead."""
        to = {"shared": [self.keys[name] for name in shared]}
        for name in MEMBERS:
            to[f"kiosk/{name}/token"] = [self.keys[own.get(name.replace("-", "_"), name)]]
        lines = [
            f'  "{path}.age".publicKeys = [ {" ".join(map(json.dumps, [self.me, *keys]))} ];'
            for path, keys in to.items()
        ]
        self.write("secrets/secrets.nix", "\n".join(["{", *lines, "}", ""]))

    def write(self, path: str, text: str) -> None:
        """Write a file."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def git(self, *words: str) -> None:
        """Run git."""
        subprocess.run(("git", *words), cwd=self.root, check=True, capture_output=True)

    def type(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Type a command of ``secrets``."""
        program = Path(sys.executable).with_name("orchestrator")
        return subprocess.run(
            (program, "secrets", *words),
            cwd=self.root,
            input=stdin,
            text=True,
            capture_output=True,
            timeout=180,
            check=False,
            env={
                **os.environ,
                "HOME": str(self.home),
                "XDG_STATE_HOME": str(self.home / "state"),
                "ORCHESTRATOR_SECRETS_IDENTITY": str(self.home / "key"),
            },
        )

    def found(self, *hosts: str) -> set[tuple[str, str, str | None]]:
        """Check all, or some hosts' secrets: the id, file and host of each error."""
        findings = json.loads(self.type("check", "--json", *hosts).stdout)
        errors = (one for one in findings if one["severity"] == "error")
        return {(one["id"], one["path"].removeprefix("secrets/"), one["host"]) for one in errors}


@pytest.fixture
def kiosks(tmp_path: Path) -> Kiosks:
    """A fleet of three, in which all is right."""
    made = Kiosks(tmp_path)
    assert made.found() == set()
    return made


def test_a_secret_that_a_class_shares_is_checked_for_each_member(kiosks: Kiosks) -> None:
    """One member whose key its rule does not name is named, and the others are right."""
    kiosks.rules(shared=MEMBERS[:2])
    assert kiosks.found() == {("CFG-HOST", "shared.age", "kiosk-3")}
    assert kiosks.found("kiosk-1", "kiosk-2") == set()


def test_a_members_own_secret_is_for_its_own_key(kiosks: Kiosks) -> None:
    """A file below its name that is for another member's key is an error of that member."""
    kiosks.rules(kiosk_2="kiosk-1")
    assert ("CFG-HOST", "kiosk/kiosk-2/token.age", "kiosk-2") in kiosks.found()
    assert kiosks.found("kiosk-3") == set()


def test_a_member_without_its_own_file_is_named(kiosks: Kiosks) -> None:
    """What is missing is one member's, also where what is known was kept from before."""
    (kiosks.root / "secrets/kiosk/kiosk-3/token.age").unlink()
    assert ("CFG-FILE", "kiosk/kiosk-3/token.age", "kiosk-3") in kiosks.found()
    assert kiosks.found("kiosk-1") == set()
