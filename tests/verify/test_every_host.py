"""What every host of the fleet must show after a deployment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SECRETS = Path(__file__).parents[2] / "secrets"


def configured(fleet_host: dict[str, Any]) -> str:
    """What its configuration is called: many equal machines have that of their class."""
    return str(fleet_host["class"] or fleet_host["name"])


def test_host_is_the_one_it_should_be(host: Any, fleet_host: dict[str, Any]) -> None:
    """The machine behind the address bears the inventory's name."""
    assert host.check_output("uname -n") == fleet_host["name"]


def test_running_system_is_built_for_this_host(host: Any, fleet_host: dict[str, Any]) -> None:
    """The running system is a NixOS system in the store that was built under this host's name."""
    system = host.check_output("readlink -f /run/current-system")
    assert system.startswith("/nix/store/")
    assert f"-nixos-system-{configured(fleet_host)}-" in system


def test_running_system_is_complete(host: Any) -> None:
    """Nix knows the running system, and one can switch to it again."""
    system = host.check_output("readlink -f /run/current-system")
    validity = host.run("nix-store --check-validity %s", system)
    assert validity.rc == 0, validity.stderr
    assert host.file(f"{system}/bin/switch-to-configuration").mode & 0o111
    assert host.file(f"{system}/nixos-version").content_string.strip()


def test_configuration_is_the_inventorys(host: Any, fleet_host: dict[str, Any]) -> None:
    """The system was built for this host as the inventory says it is now."""
    built = json.loads(host.file("/etc/fleet/host.json").content_string)
    assert built["name"] == configured(fleet_host)
    for key in ("template", "profiles", "features", "roles", "hardware"):
        assert built[key] == fleet_host[key], key
    assert sorted(built["users"]) == sorted(fleet_host["users"])
    # Of many equal machines, one may have tags of its own beside the system's.
    own = set(fleet_host["tags"]) - set(built["tags"])
    assert set(built["tags"]) <= set(fleet_host["tags"])
    assert not own or fleet_host["class"]


def test_architecture_is_the_inventorys(host: Any, fleet_host: dict[str, Any]) -> None:
    """The machine is of the kind that its system is built for."""
    assert f"{host.check_output('uname -m')}-linux" == fleet_host["system"]


def test_sshd_runs(host: Any) -> None:
    """The next deployment finds a way in."""
    # NixOS calls the unit sshd, Debian ssh; either may be started by its socket.
    units = ("sshd.service", "sshd.socket", "ssh.service", "ssh.socket")
    state = host.run("systemctl is-active " + " ".join(units)).stdout.split()
    assert "active" in state, dict(zip(units, state, strict=False))


def test_nix_can_take_the_next_system(host: Any) -> None:
    """Nix's daemon answers, or is started by whoever asks."""
    assert host.service("nix-daemon.socket").is_running


def test_users_exist(host: Any, fleet_host: dict[str, Any]) -> None:
    """Every user that the inventory gives the host has an account."""
    if not fleet_host["users"]:
        pytest.skip("the inventory gives this host no user")
    missing = [name for name in fleet_host["users"] if not host.user(name).exists]
    assert not missing, f"no account for {', '.join(missing)}"


def test_homes_are_activated(host: Any, fleet_host: dict[str, Any]) -> None:
    """The home of every user that has profiles was brought to the running system's."""
    units = [f"home-manager-{name}.service" for name in fleet_host["users"]]
    there = [unit for unit in units if host.file(f"/etc/systemd/system/{unit}").exists]
    if not there:
        pytest.skip("no user of this host has profiles")
    failed = [unit for unit in there if not host.service(unit).is_running]
    assert not failed, f"see: journalctl -u {failed[0]}"


def test_passwords_are_those_of_the_secrets(host: Any, fleet_host: dict[str, Any]) -> None:
    """A user's hash is what was decrypted on the host, where root alone can read it."""
    names = [name for name in fleet_host["users"] if (SECRETS / f"{name}-password.age").exists()]
    if not names:
        pytest.skip("no user of this host has a password in secrets/")
    for name in names:
        file = host.file(f"/run/agenix/{name}-password")
        assert (file.user, file.group, file.mode) == ("root", "root", 0o400), name
        # Compared on the host: the hash stays there.
        same = host.run(
            f'hash=$(getent shadow {name} | cut -d : -f 2); test -n "$hash" && '
            f'test "$hash" = "$(cat /run/agenix/{name}-password)"'
        )
        assert same.rc == 0, f"the password of {name} is another one"


def test_store_is_not_full(host: Any) -> None:
    """There is room for the next system: more than 1 % of the blocks."""
    used = host.check_output("df -P /nix | tail -n 1").split()[4]
    assert int(used.rstrip("%")) < 99
