"""A host as NixOS has it: programs in ``sw/bin`` alone, ``sudo`` a wrapper, sshd by a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab, until

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo
SYSTEM = ("running", "profile", "boot_default")
PATH = "/run/wrappers/bin:/run/current-system/sw/bin"
CORE = (
    *("coreutils", "findutils", "mawk", "libc-bin", "grep", "sed", "tar", "gzip", "bzip2"),
    *(
        "xz-utils",
        "diffutils",
        "curl",
        "libcap2-bin",
        "ncurses-bin",
        "procps",
        "login",
        "util-linux",
    ),
    *("mount", "bsdutils", "bash", "iproute2", "hostname", "openssh-client", "openssh-server"),
    *("passwd", "systemd", "nix-bin", "sudo", "dbus-bin", "dbus-daemon"),
)
"""Debian's packages for NixOS's ``environment.corePackages``, and for what its modules add."""

FIND = (
    f"dpkg -L {' '.join(CORE)} | sed -n 's#^\\(/usr\\)\\?/\\(s\\?bin/[^/]*\\)$#/usr/\\2#p' | "
    "sort -u; echo /usr/bin/awk /usr/bin/sh"
)
SETTINGS = f"""set -e
printf 'SetEnv PATH={PATH}\\n' > /etc/ssh/sshd_config.d/00-path.conf
printf 'Defaults !secure_path\\n' > /etc/sudoers.d/zz-path
cd /etc/systemd/system.conf.d
printf '[Manager]\\nDefaultEnvironment=PATH=/usr/lib/systemd\\n' > path.conf
cd ../system/generation-boot.service.d
printf '[Service]\\nEnvironment=PATH=/usr/bin:/bin\\n' > path.conf
chmod u-s /usr/bin/sudo
systemctl reload ssh
"""
FOLDERS = "mkdir -p /etc/systemd/system.conf.d /etc/systemd/system/generation-boot.service.d\n"
WRAPPER = """security.wrappers.sudo = {
  setuid = true; owner = "root"; group = "root"; source = "/usr/bin/sudo";
};
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, deployed with NixOS's programs and its wrapper, and from then on with its PATH."""
    bench = example_fleet(tmp_path_factory.mktemp("path"))
    with in_lab(bench, HOST):
        furnish(bench)
        yield bench


def furnish(bench: Bench) -> None:
    """Give the host NixOS's programs, commit that, and leave it with NixOS's PATH alone."""
    inventory = bench.root / "inventory/fleet.yaml"
    inventory.write_text(f"{inventory.read_text()}  guard:\n    confirm: 60s\n")
    found = bench.on(HOST, FIND)
    assert found.rc == 0, found
    links = "".join(f"ln -sf {file} $out/bin/; " for file in found.out.split())
    core = f"pkgs.runCommand \"core\" {{ }} ''mkdir -p $out/bin; {links}''"
    bench.module(HOST, f"environment.systemPackages = [ ({core}) ];\n{WRAPPER}")
    done = bench.command("git", "commit", "--quiet", "--all", "--message", "NixOS's programs")
    assert done.rc == 0, done
    first = bench.deploy(HOST, "--no-verify")
    assert first.rc == 0, first
    settings = bench.on(HOST, FOLDERS + SETTINGS)
    assert settings.rc == 0, settings
    bench.boot(HOST, "reboot")


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """The host, as it was committed."""
    lab.reset()
    done = lab.deploy(HOST, "--no-verify")
    assert done.rc == 0, done
    yield lab
    lab.reset()


def change(fleet: Bench, body: str) -> None:
    """Change the host beside what was committed of it."""
    fleet.write(f"hosts/{HOST}/more.nix", f"{{ pkgs, lib, ... }}: {{ {body} }}")
    path = fleet.root / f"hosts/{HOST}/default.nix"
    path.write_text(path.read_text().replace("./plain.nix ]", "./plain.nix ./more.nix ]"))


def host_of(done: Done) -> dict[str, Any]:
    """The host's part of a report."""
    host: dict[str, Any] = done.report["hosts"][HOST]
    return host


def systems(fleet: Bench) -> list[str]:
    """What the host runs, its profile, and what it boots."""
    state = fleet.state(HOST)
    return [state[key] for key in SYSTEM]


def ask(fleet: Bench, *arguments: str) -> str:
    """What a command says that goes well."""
    done = fleet.run(*arguments)
    assert done.rc == 0, done
    return done.out


def test_programs_are_found_in_the_systems_own_folder_alone(fleet: Bench) -> None:
    """As the deploy user and as root by ``sudo``, which is the wrapper; no unit has a PATH."""
    look = "echo $PATH; for one in sudo systemctl awk; do command -v $one; done"
    found = [
        "/run/wrappers/bin/sudo",
        *(f"{PATH.split(':')[1]}/{one}" for one in ("systemctl", "awk")),
    ]
    for command in (look, f"sudo sh -c '{look}'"):
        said = ask(fleet, "host", "exec", HOST, "--", "sh", "-c", command)
        assert [line.split()[-1] for line in said.splitlines() if "/run/" in line] == [PATH, *found]
    assert fleet.on(HOST, "test -u /usr/bin/sudo").rc != 0
    assert "PATH=/usr/lib/systemd" in fleet.on(HOST, "systemctl show-environment").out.split()


def test_it_is_deployed_checked_and_rolled_back(fleet: Bench) -> None:
    """Each question and each step of a deployment, live and by a boot, finds its programs."""
    before = systems(fleet)
    change(fleet, 'environment.etc."marker".text = "one";')
    done = fleet.deploy(HOST)
    assert done.outcomes == {HOST: "deployed"}, done
    assert host_of(done)["changed"]["closure"], done
    one = systems(fleet)
    assert one == [host_of(done)["out_path"]] * 3
    assert fleet.deploy(HOST).outcomes == {HOST: "unchanged"}
    checked = json.loads(ask(fleet, "host", "check", "--json", HOST))[HOST]
    assert checked["login"]["sudo"] is True
    assert [text for text in checked["cannot"] if not text.startswith("os-release")] == []
    assert one[0].partition("-")[2] in ask(fleet, "host", "generations", HOST)
    ask(fleet, "host", "hold", HOST, "--reason", "tried")
    assert "tried" in ask(fleet, "status", "--locks", HOST)
    ask(fleet, "host", "unhold", HOST)
    ask(fleet, "rollback", "--json", HOST)
    assert systems(fleet) == before
    again = fleet.deploy(HOST, "--no-verify", "--goal", "boot", "--reboot=always")
    assert again.outcomes == {HOST: "deployed"}, again
    assert systems(fleet) == one


def test_it_is_rolled_back_by_what_the_boot_starts(fleet: Bench) -> None:
    """A power cut in the middle of an activation: the guard's unit has systemd's PATH alone."""
    before = systems(fleet)
    change(fleet, 'system.activationScripts.slow.text = "touch /run/slow; sleep 300";')
    command = fleet.start("deploy", HOST, "--no-verify")
    try:
        until(lambda: fleet.on(HOST, "test -e /run/slow").rc == 0)
        fleet.boot(HOST, "kill", "start")
    finally:
        command.communicate(timeout=120)
    ended = "sed -n s/^state=//p /var/lib/orchestrator/attempt"
    until(lambda: fleet.on(HOST, ended).out.strip() == "returned")
    assert systems(fleet) == before


def test_a_wrapper_that_is_gone_is_made_again(fleet: Bench) -> None:
    """A system that takes ``sudo`` away is rolled back, and the deploy user is root by it again."""
    before = systems(fleet)
    change(fleet, 'system.activationScripts.shut.text = "rm /run/wrappers/bin/sudo";')
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert systems(fleet) == before
    assert ask(fleet, "host", "exec", HOST, "--", "sudo", "id", "-u").split()[-1] == "0"


SOCKET = "services.openssh.startWhenNeeded = true;"
RESTARTS = 'systemd.services."sshd@".environment.ANOTHER = "1";'


def by_socket(fleet: Bench) -> None:
    """Have each connection served by an sshd of its own, and nothing else listen."""
    change(fleet, SOCKET)
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "deployed"}, done
    assert systems(fleet) == [host_of(done)["out_path"]] * 3
    states = fleet.on(HOST, "systemctl is-active sshd.socket ssh.service").out.split()
    assert states == ["active", "inactive"]


def test_sshd_by_a_socket_is_deployed_to_and_left_again(fleet: Bench) -> None:
    """From a service to a socket and back: preflight, contact and proof come over the new way."""
    plain = systems(fleet)
    by_socket(fleet)
    socket = systems(fleet)
    checked = json.loads(ask(fleet, "host", "check", "--json", HOST))[HOST]
    assert [text for text in checked["cannot"] if not text.startswith("os-release")] == []
    fleet.boot(HOST, "reboot")
    assert systems(fleet) == socket
    ask(fleet, "rollback", "--json", HOST)
    assert systems(fleet) == plain
    states = fleet.on(HOST, "systemctl is-active sshd.socket ssh.service").out.split()
    assert states == ["inactive", "active"]


def test_a_connection_that_the_switch_ends_is_made_again(fleet: Bench) -> None:
    """NixOS restarts the sshd of each connection where its unit changed, the deployer's too."""
    by_socket(fleet)
    change(fleet, SOCKET + RESTARTS)
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "deployed"}, done
    assert systems(fleet) == [host_of(done)["out_path"]] * 3
    assert any(
        unit.startswith("sshd@") for unit in host_of(done)["changed"]["units"]["restarted"]
    ), done


def test_a_socket_that_is_gone_is_started_again(fleet: Bench) -> None:
    """Nobody gets in after such a switch: the host rolls back, and it listens as before."""
    by_socket(fleet)
    before = systems(fleet)
    change(fleet, SOCKET + "systemd.sockets.sshd.enable = lib.mkForce false;")
    done = fleet.deploy(HOST, "--no-verify")
    assert done.outcomes == {HOST: "rolled_back"}, done
    assert systems(fleet) == before
    assert fleet.on(HOST, "systemctl is-active sshd.socket").out.strip() == "active"
