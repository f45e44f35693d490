"""A secret's value in what a host's system is made from is found, with a key that opens it."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyrage
import pytest
from nix_bench import Fleet

from orchestrator.changes.knowledge import fingerprints_of, snapshot_of
from orchestrator.changes.plan import Fingerprint
from orchestrator.core.host import Connect, Host
from orchestrator.core.host import Fleet as FleetModel
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.host.setup import Setup
from orchestrator.lab.seed import generate
from orchestrator.nix.closure import Recipe
from orchestrator.nix.context import context
from orchestrator.nix.verbs import Flake
from orchestrator.secrets.check import systems_of_hosts
from orchestrator.ssh.settings import SshSettings

pytestmark = pytest.mark.usefixtures("nix")
ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")

# Of its own in each run: a store keeps what an earlier one built.
VALUE = f'{secrets.token_hex(8)} "horse" battery'

# Put together by Nix, or only when it is built: no tracked file has it.
LEAKING = """
{ pkgs, ... }:
let value = "FIRST \\"horse\\"" + " battery";
in {
  environment.etc.text.source = pkgs.writeText "leaked-text" "password=${value}";
  environment.etc.source.source = builtins.toFile "leaked-source" "password=${value}";
  environment.etc.built.source = pkgs.runCommand "leaked-built" { }
    "mkdir $out; for one in battery; do echo 'FIRST \\"horse\\"' $one > $out/conf; done";
}
""".replace("FIRST", VALUE.split()[0])
EVALUATED = ["leaked-source", "leaked-text.drv"]
BUILT = ["leaked-built/conf", "leaked-text"]


@pytest.fixture
def made(fleet: Fleet) -> Fleet:
    """A fleet on the stand-in with one secret, for one key that lies beside it."""
    pair, root = generate(), fleet.root
    (root.parent / "key").write_text(pair.private)
    key = " ".join(pair.public.split()[:2])
    (root / "secrets.nix").write_text(f'{{ "a.age".publicKeys = [ "{key} root@p620" ]; }}')
    recipient = pyrage.ssh.Recipient.from_str(pair.public)
    (root / "a.age").write_bytes(pyrage.encrypt(f"{VALUE}\n".encode(), [recipient]))
    fleet.pin()
    subprocess.run(("git", "init", "--quiet", str(root)), check=True)
    return fleet


def check(fleet: Fleet, *words: str) -> list[dict[str, Any]]:
    """What is found of p620 with the key; the value is never told."""
    subprocess.run(("git", "-C", str(fleet.root), "add", "--all"), check=True)
    home = str(fleet.root.parent)
    done = subprocess.run(
        (ORCHESTRATOR, "secrets", "check", "p620", "--identity", f"{home}/key", "--json", *words),
        cwd=fleet.root,
        env={**os.environ, "HOME": home, "XDG_CACHE_HOME": home, "XDG_STATE_HOME": home},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.startswith("["), done.stderr
    assert VALUE.split()[0] not in done.stdout + done.stderr
    return [one for one in json.loads(done.stdout) if one["id"] == "LEAK-KNOWN"]


def build(fleet: Fleet) -> None:
    """Build p620's system."""
    system = "nixosConfigurations.p620.config.system.build.toplevel"
    done = fleet.nix("build", "--no-link", f"git+file://{fleet.root}#{system}")
    assert done.returncode == 0, done.stderr


def names(found: list[dict[str, Any]]) -> list[str]:
    """The paths without what Nix puts before their names."""
    return sorted(one["path"].removeprefix("/nix/store/")[33:] for one in found)


def test_a_value_in_a_system(made: Fleet) -> None:
    """In derivations, in sources, in what was built of them; not before, and not unasked."""
    assert check(made) == []
    made.module("p620", LEAKING)
    assert check(made, "--no-configurations") == []
    assert names(check(made)) == EVALUATED
    build(made)
    found = check(made)
    assert names(found) == sorted(EVALUATED + BUILT)
    assert all("the value of a.age stands in it" in one["message"] for one in found)


GONE = DrvPath("/nix/store/00000000000000000000000000000000-nixos-system-p620.drv")


def test_a_system_that_is_known_and_gone_is_evaluated_again(made: Fleet) -> None:
    """Garbage may have been collected: nothing to search would look like nothing found."""
    subprocess.run(("git", "-C", str(made.root), "add", "--all"), check=True)
    root, host = str(made.root), Host("p620", "p620", Connect("p620"))
    flake = Flake.at(root, root, made.inputs)
    state = made.root.parent / "state"
    setup = Setup(FleetModel("f", root, root, {"p620": host}), flake, SshSettings(), state)

    async def system_where_known_is(drv: DrvPath) -> DrvPath:
        tree, known = await snapshot_of(flake), Evaluated(drv, OutPath(drv.path[:-4]))
        now = datetime.now(UTC)
        one = Fingerprint("p620", context(flake), tree, None, 1, known, 1, now, "in a test")
        fingerprints_of(state).keep([one])
        found = (await systems_of_hosts(setup, (host,)))["p620"]
        assert isinstance(found, DrvPath), found
        return found

    system = asyncio.run(system_where_known_is(GONE))
    assert system != GONE
    (needed, *_) = Recipe.parse(system.path, Path(system.path).read_bytes()).inputs
    assert asyncio.run(system_where_known_is(DrvPath(needed))) == DrvPath(needed)
