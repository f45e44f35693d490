"""The fleet's flake on the stand-in: who changes, and who does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from nix_bench import HOSTS, Fleet


def changed(fleet: Fleet, before: dict[str, str]) -> set[str]:
    """Return the hosts whose derivation is another one now."""
    now = fleet.systems()
    return {name for name in now if now[name] != before[name]}


def test_every_host_evaluates(fleet: Fleet) -> None:
    """All five evaluate: purely, without a lock file, to five different systems."""
    systems = fleet.systems()
    assert systems.keys() == HOSTS
    assert len(set(systems.values())) == len(HOSTS)
    assert all(path.endswith(".drv") and name in path for name, path in systems.items())
    assert not (fleet.root / "flake.lock").exists()
    assert fleet.systems() == systems


CHANGES = {
    "a template": (
        ("templates/laptop.nix", '"laptop\\n"', '"a laptop\\n"'),
        {"razer", "samsung"},
    ),
    "a carried option of a template": (
        ("templates/laptop.nix", "canTouchEfiVariables = mkDefault true", "timeout = 3"),
        {"razer", "samsung"},
    ),
    "another template": (
        ("templates/server.nix", "SystemMaxUse=1G", "SystemMaxUse=2G"),
        {"p510", "dex5550"},
    ),
    "a host": (("hosts/p510/default.nix", "open = false", "open = true"), {"p510"}),
    "a profile": (
        ("templates/profiles/desktop-user.nix", "pkgs.firefox", "pkgs.htop"),
        {"p620", "razer", "samsung"},
    ),
    "a carried option of a feature": (
        ("templates/features/containers.nix", "mkDefault true", "mkDefault false"),
        {"p620", "p510", "razer", "samsung"},
    ),
    "what follows from hardware": (
        ("templates/hardware.nix", '"kvm-amd"', '"kvm-amd" "k10temp"'),
        {"p620"},
    ),
    "what every host has": (
        ("templates/base.nix", "pkgs.vim", "pkgs.htop"),
        set(HOSTS),
    ),
    "a comment": (("templates/base.nix", "# A full /boot", "# Full: a full /boot"), set()),
    "a description of an option": (
        ("templates/base.nix", "The host's name in the inventory.", "Its name."),
        set(),
    ),
    "a comment in the inventory": (
        ("inventory/hosts.yaml", "\n", "\n# A comment.\n"),
        set(),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_changes_exactly_whom_it_should(fleet: Fleet, what: str) -> None:
    """A host's derivation is another one where what it is made of changed, and only there."""
    (name, before, after), who = CHANGES[what]
    systems = fleet.systems()
    fleet.replace(name, before, after)
    assert changed(fleet, systems) == who


def test_documentation_changes_nobody(fleet: Fleet) -> None:
    """A README may say what it likes."""
    systems = fleet.systems()
    for readme in ("README.md", "templates/README.md", "hosts/README.md", "inventory/README.md"):
        (fleet.root / readme).write_text("other words\n")
    assert changed(fleet, systems) == set()


def test_the_inventory_changes_whom_it_names(fleet: Fleet) -> None:
    """A fact of one host in fleet.json is that host's; the fleet's name and a new key nobody's."""
    systems = fleet.systems()
    path = fleet.root / "inventory/fleet.json"
    facts = json.loads(path.read_text())
    facts["name"] = "renamed"
    facts["description"] = "new"
    path.write_text(json.dumps(facts))
    assert changed(fleet, systems) == set()
    facts["hosts"]["samsung"]["tags"].append("blue")
    path.write_text(json.dumps(facts))
    assert changed(fleet, systems) == {"samsung"}


def test_one_host_takes_a_moment(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One host's evaluation calls fewer than 100,000 functions, a moment on any machine."""
    statistics = tmp_path / "statistics.json"
    monkeypatch.setenv("NIX_SHOW_STATS", "1")
    monkeypatch.setenv("NIX_SHOW_STATS_PATH", str(statistics))
    done = fleet.nix(
        *("path-info", "--derivation"),
        f"path:{fleet.root}#nixosConfigurations.p620.config.system.build.toplevel",
    )
    assert done.returncode == 0, done.stderr
    calls = json.loads(statistics.read_text())["nrFunctionCalls"]
    assert 10_000 < calls < 100_000  # 31,000; that took 0.3 s


SERVERS = {"p510", "dex5550"}


def test_a_secrets_new_value_changes_those_who_use_it(fleet: Fleet) -> None:
    """A file that is re-encrypted alters its hosts; who may read it, and the keys, nobody."""
    systems = fleet.systems()
    for name, who in (("status-token", SERVERS), ("admin-password", set(HOSTS))):
        path = fleet.root / f"secrets/{name}.age"
        before = path.read_bytes()
        path.write_bytes(before + b"new")
        assert changed(fleet, systems) == who
        path.write_bytes(before)
    for name in ("secrets.nix", "README.md", "open-keys/admin"):
        (fleet.root / "secrets" / name).write_text("{ }\n")
    assert changed(fleet, systems) == set()


def test_each_host_uses_the_secrets_that_its_key_is_in_the_rules_of(fleet: Fleet) -> None:
    """What a configuration decrypts and what secrets.nix lets its host read are the same files."""
    done = fleet.nix("eval", "--json", "--file", str(fleet.root / "secrets/secrets.nix"))
    assert done.returncode == 0, done.stderr
    rules = {name: rule["publicKeys"] for name, rule in json.loads(done.stdout).items()}
    for host in HOSTS:
        key = (fleet.root / f"secrets/open-keys/{host}.pub").read_text().strip()
        names = fleet.evaluate(
            f"nixosConfigurations.{host}.config.age.secrets", "--apply", "builtins.attrNames"
        )
        used = {f"{name}.age" for name in json.loads(names.stdout)}
        assert used == {name for name, keys in rules.items() if key in keys}, host
        assert used


def test_a_password_is_a_file_on_the_host(fleet: Fleet) -> None:
    """A password's path is all that a configuration knows; without a secret there is none."""
    path = fleet.option("razer", "users.users.admin.hashedPasswordFile")
    assert path == "/run/agenix/admin-password"
    assert fleet.option("razer", "users.mutableUsers") is False
    (fleet.root / "secrets/admin-password.age").unlink()
    assert fleet.option("razer", "users.users.admin.hashedPasswordFile") is None
    assert fleet.option("razer", "users.mutableUsers") is True
