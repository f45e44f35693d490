"""What preflight finds on a real host: each fault is a real one, and is undone afterwards."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab, until

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"  # the deploy user's, with sudo
DB_SCHEMA = "/nix/var/nix/db/schema"
LOCK = "/run/nixos/switch-to-configuration.lock"

_numbers = itertools.count()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One host, up and deployed once."""
    bench = example_fleet(tmp_path_factory.mktemp("preflight"))
    with in_lab(bench, HOST):
        first = bench.deploy(HOST)
        assert first.rc == 0, first
        yield bench


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """The host, to be changed by the next deployment."""
    lab.reset()
    change(lab)
    yield lab
    lab.reset()


def change(fleet: Bench) -> None:
    """Give the host something to be deployed."""
    fleet.module(HOST, f'environment.etc."marker".text = "{next(_numbers)}";')


@contextmanager
def on_host(fleet: Bench, do: str, undo: str) -> Iterator[None]:
    """Have a fault on the host for a while."""
    done = fleet.on(HOST, f"set -e; {do}")
    assert done.rc == 0, done
    try:
        yield
    finally:
        done = fleet.on(HOST, undo)
        assert done.rc == 0, done


def systems(fleet: Bench) -> tuple[str, ...]:
    """What the host runs, its profile, and what it boots."""
    state = fleet.state(HOST)
    return state["running"], state["profile"], state["boot_default"]


def refused(fleet: Bench, *arguments: str) -> dict[str, Any]:
    """Deploy, which refuses: nothing is copied, nothing changed."""
    before = systems(fleet)
    done = fleet.deploy(HOST, *arguments)
    host: dict[str, Any] = done.report["hosts"][HOST]
    assert (done.rc, host["outcome"], host["refused"]) == (4, "failed", True), done
    assert "copy" not in {event.get("phase") for event in done.events}, done
    assert systems(fleet) == before
    return host


def deployed(fleet: Bench, *arguments: str) -> dict[str, Any]:
    """Deploy, which works."""
    done = fleet.deploy(HOST, *arguments)
    assert done.rc == 0, done
    host: dict[str, Any] = done.report["hosts"][HOST]
    assert host["outcome"] == "deployed", done
    return host


def record(fleet: Bench, key: str) -> str:
    """What the host's record says."""
    return fleet.on(HOST, f"sed -n 's/^{key}=//p' /var/lib/orchestrator/record").out.strip()


def seen(fleet: Bench) -> str:
    """The machine that the deployer remembers."""
    (file,) = (fleet.home / "state").glob(f"orchestrator/fleets/*/machines/{HOST}")
    return file.read_text().strip()


def test_a_sound_host_is_deployed_without_a_word(fleet: Bench) -> None:
    """Nothing is wanting: no warning, and the machine is remembered."""
    host = deployed(fleet)
    assert not any("preflight" in text for text in host["warnings"]), host
    assert record(fleet, "skipped") == ""
    assert seen(fleet) == fleet.on(HOST, "cat /etc/machine-id").out.strip()


def test_a_store_that_is_full(fleet: Bench) -> None:
    """Figures, a remedy, and a command by hand; once there is room, the same deployment works."""
    assert fleet.run("lab", "fault", HOST, "disk-full", "--size", "64m").rc == 0
    try:
        host = refused(fleet)
        assert host["checks"] == ["store-space"]
        assert "512 MiB must be left over" in host["message"]
        assert "nix-store --gc" in host["command"]
        assert "--skip-preflight store-space" in host["hint"]
        plan = fleet.run("plan", HOST)
        assert "preflight would refuse" in plan.err + plan.out, plan
    finally:
        assert fleet.run("lab", "fault", HOST, "heal").rc == 0
    deployed(fleet)


def test_a_store_that_holds_no_more_files(fleet: Bench) -> None:
    """Room is there, and inodes are not: they are what is counted then."""
    top = "/run/few-inodes"
    with on_host(
        fleet,
        f"systemctl stop nix-daemon.socket nix-daemon.service; mkdir -p {top};"
        f"mount -t tmpfs -o size=2g,nr_inodes=500 tmpfs {top}; mkdir {top}/upper {top}/work;"
        f"mount -t overlay -o lowerdir=/nix,upperdir={top}/upper,workdir={top}/work overlay /nix",
        f"umount --lazy /nix; umount --lazy {top}; systemctl start nix-daemon.socket",
    ):
        host = refused(fleet)
        assert host["checks"] == ["inodes"], host


def test_a_boot_folder_without_room(fleet: Bench) -> None:
    """A full /boot would be found out when the boot loader is written: so it is asked before."""
    with on_host(
        fleet,
        "mkdir -p /run/esp; mount -t tmpfs -o size=768k tmpfs /run/esp; cp -a /boot/. /run/esp;"
        "head -c 700000 /dev/zero > /run/esp/filled; mount --bind /run/esp /boot",
        "umount /boot /run/esp",
    ):
        host = refused(fleet)
        assert host["checks"] == ["boot-space"], host
        assert "in /boot" in host["message"]
        # What boots next is not changed: there need not be room for it.
        assert fleet.deploy(HOST, "--goal", "test").rc == 0
    deployed(fleet)


def test_a_boot_folder_that_is_read_only(fleet: Bench) -> None:
    """A boot folder that the kernel has made read-only is refused, and its mount is named."""
    with on_host(fleet, "mount -o remount,bind,ro /boot", "mount -o remount,bind,rw /boot"):
        host = refused(fleet)
        assert host["checks"] == ["read-only"]
        assert "/boot (" in host["message"]


@contextmanager
def clock_ahead(fleet: Bench, seconds: int) -> Iterator[None]:
    """Have the host say another time.

    Its clock is this machine's and cannot be set apart: what is not real is the command ``date``.
    """
    fake = f'#!/bin/sh\\nexec /usr/bin/date --date="{seconds} seconds" "$@"\\n'
    with on_host(
        fleet,
        f"printf {shlex.quote(fake)} > /usr/local/bin/date; chmod +x /usr/local/bin/date",
        "rm /usr/local/bin/date",
    ):
        yield


def test_a_clock_that_is_wrong_and_a_check_that_is_skipped(fleet: Bench) -> None:
    """A wrong clock refuses a deployment; skipped, it is a warning that is recorded."""
    with clock_ahead(fleet, 3600):
        host = refused(fleet)
        assert host["checks"] == ["clock"]
        assert "ahead of this machine's; 300 s are allowed" in host["message"]
        host = deployed(fleet, "--skip-preflight", "clock")
        assert any("clock was skipped" in text for text in host["warnings"]), host
        assert record(fleet, "skipped") == "clock"
        assert fleet.state(HOST)["record"]["skipped"] == ["clock"]
        change(fleet)
        emergency = fleet.run("deploy", "--emergency", "now", "--json", HOST)
        assert emergency.outcomes == {HOST: "deployed"}, emergency
        assert "its clock is" in str(emergency.report)


def test_all_that_is_wanting_is_told_at_once(fleet: Bench) -> None:
    """Nobody mends one thing to learn of the next."""
    with (
        clock_ahead(fleet, -3600),
        on_host(fleet, "mount -o remount,bind,ro /boot", "mount -o remount,bind,rw /boot"),
    ):
        host = refused(fleet)
    assert host["checks"] == ["read-only", "clock"], host
    assert "--skip-preflight read-only --skip-preflight clock" in host["hint"]


def test_another_activation(fleet: Bench) -> None:
    """A lock that somebody else's activation holds; with its end the deployment works."""
    hold = f"exec 9> {LOCK}; flock 9; sleep 60"
    with on_host(
        fleet,
        f"systemd-run --quiet --collect --unit=holder sh -c {shlex.quote(hold)}; sleep 0.5",
        "systemctl stop holder",
    ):
        host = refused(fleet)
        assert host["checks"] == ["activation"]
        assert f"has locked {LOCK}" in host["message"]
    with on_host(
        fleet,
        "systemd-run --quiet --collect --unit=nixos-upgrade sleep 60",
        "systemctl stop nixos-upgrade",
    ):
        assert "nixos-upgrade.service is at work" in refused(fleet)["message"]
    deployed(fleet)


SOMEBODY = "systemd-run --quiet --collect --uid=nobody --unit=somebody"


@pytest.mark.parametrize(
    "does",
    [
        pytest.param(f"exec 9< {LOCK}; sleep 120", id="opens the lock's file"),
        pytest.param(
            f"mkdir -p '/var/tmp/x -> '{LOCK.rpartition('/')[0]}; cd /var/tmp;"
            f"exec 9> '/var/tmp/x -> {LOCK}'; sleep 120",
            id="has a file open that is named like a link to it",
        ),
        pytest.param(
            'exec bash -c \'exec -a "$0" sleep 120 9< '
            f"{LOCK}' \"$(printf 'evil\\vstore=0 0 1 1\\nvolatile_id=yes\\nuser=7\\n')\"",
            id="has a command line of facts",
        ),
        pytest.param(
            f"exec 9< {LOCK}; exec su - root -c true < /dev/tty0", id="has root's program open it"
        ),
    ],
)
def test_whoever_is_not_root_holds_nothing_up(fleet: Bench, does: str) -> None:
    """Anybody on the host may open files and name processes: the deployment goes on."""
    started = f"{SOMEBODY} bash -c {shlex.quote(does)}; sleep 0.5"
    with on_host(fleet, f"touch {LOCK}; {started}", "systemctl stop somebody; rm -rf /var/tmp/x*"):
        host = deployed(fleet)
    assert not any("preflight" in text for text in host["warnings"]), host


def test_a_lock_that_somebody_shares_is_not_refused_beforehand(fleet: Bench) -> None:
    """A shared lock by who is not root is no activation: what to do of it is the guard's affair."""
    shares = f"{SOMEBODY} flock --shared {LOCK} sleep 120; sleep 0.5"
    with on_host(fleet, f"rm -f {LOCK}; touch {LOCK}; {shares}", "systemctl stop somebody"):
        plan = fleet.run("plan", HOST)
    assert plan.rc == 0, plan
    assert "would refuse" not in plan.out + plan.err


KEEPS = r"""
use Fcntl;
open(F, "<", "/nix/var/nix/db/db.sqlite-shm") or die;
my $lock = pack("s s x4 q q i x4", F_RDLCK, 0, %d, 1, 0);
fcntl(F, F_SETLKW, $lock) or die;
sleep 600;
"""


@pytest.mark.parametrize(("byte", "keeps"), [(120, True), (128, False)])
def test_who_keeps_nix_waiting_is_named(fleet: Bench, byte: int, keeps: bool) -> None:
    """Anybody may lock Nix's database for reading; one that only has it open keeps nobody."""
    program = f"printf %s {shlex.quote(KEEPS % byte)} > /tmp/keeps; chmod 644 /tmp/keeps"
    started = f"{program}; {SOMEBODY} perl /tmp/keeps; sleep 0.5"
    with on_host(fleet, started, "systemctl stop somebody; rm /tmp/keeps"):
        if not keeps:
            deployed(fleet)
            return
        pid = fleet.on(HOST, "systemctl show --property MainPID --value somebody").out.strip()
        host = refused(fleet)
        assert host["checks"] == ["nix"]
        assert (
            f"process {pid} (/usr/bin/perl /tmp/keeps) of user nobody keeps a lock on "
            "/nix/var/nix/db/db.sqlite-shm" in host["message"]
        ), host


def test_what_holds_up_a_reboot(fleet: Bench) -> None:
    """What inhibits a reboot refuses only deployments that would end in one."""
    inhibit = "systemd-inhibit --what=shutdown --who=raid --why='it is rebuilt' sleep 120"
    with on_host(
        fleet,
        "systemctl --quiet unmask systemd-logind; systemctl start systemd-logind;"
        f"systemd-run --quiet --collect --unit=inhibits {inhibit}",
        "systemctl stop inhibits systemd-logind; systemctl --quiet mask systemd-logind",
    ):
        until(lambda: "raid" in fleet.on(HOST, "systemd-inhibit --list").out)
        host = refused(fleet, "--reboot=always")
        assert host["checks"] == ["inhibitors"]
        assert "raid holds up a reboot: it is rebuilt" in host["message"]
        deployed(fleet)


@contextmanager
def another_machine(fleet: Bench, before: str, other: str) -> Iterator[None]:
    """Give the host another machine-id.

    The lab names it to the fleet, as an inventory may: that is another check, and follows here.
    """
    lab = fleet.lab_folder / "lab.json"
    text = lab.read_text()
    with on_host(fleet, f"echo {other} > /etc/machine-id", f"echo {before} > /etc/machine-id"):
        try:
            lab.write_text(text.replace(before, other))
            yield
        finally:
            lab.write_text(text)


def test_another_machine_under_the_same_name(fleet: Bench) -> None:
    """Reinstalled with the same host key, or a clone: a person says which, and it is remembered."""
    before, other = seen(fleet), "0123456789abcdef0123456789abcdef"
    with another_machine(fleet, before, other):
        host = refused(fleet)
        assert host["checks"] == ["identity"]
        assert other in host["message"]
        assert before in host["message"]
        deployed(fleet, "--skip-preflight", "identity")
        assert seen(fleet) == other
    change(fleet)
    deployed(fleet, "--skip-preflight", "identity")


def test_a_nix_that_does_not_work(fleet: Bench) -> None:
    """A database of a newer Nix: nothing could be received there."""
    with on_host(
        fleet,
        f"cp -a {DB_SCHEMA} /run/schema; echo 99 > {DB_SCHEMA}",
        f"cp -a /run/schema {DB_SCHEMA}",
    ):
        host = refused(fleet)
        assert "nix" in host["checks"]
        assert "schema" in host["message"], host
    deployed(fleet)


def test_a_sudo_that_asks(fleet: Bench) -> None:
    """A sudo that asks for a password refuses before anything else is asked of the host."""
    rule = "/etc/sudoers.d/zz-asks"
    with on_host(
        fleet, f"echo 'deploy ALL=(ALL) PASSWD: ALL' > {rule}; chmod 440 {rule}", f"rm {rule}"
    ):
        done = fleet.deploy(HOST)
        host = done.report["hosts"][HOST]
        assert (done.rc, host["refused"], host["checks"]) == (4, True, ["sudo"]), done
    deployed(fleet)


def component(fleet: Bench, version: str) -> None:
    """Give the host a component that must not change while it runs."""
    fleet.module(HOST, f'system.switch.inhibitors.dbus-implementation = "{version}";')


def test_what_must_not_change_live_waits_for_the_next_boot(fleet: Bench) -> None:
    """A switch that NixOS would refuse is registered for boot, told, and made by a reboot."""
    component(fleet, "dbus")
    assert deployed(fleet)["goal"] == "switch"
    ran = fleet.state(HOST)["running"]
    component(fleet, "broker")

    tried = fleet.deploy(HOST, "--goal", "test")
    assert tried.report["hosts"][HOST]["refused"], tried
    assert "dbus-implementation: dbus -> broker" in tried.report["hosts"][HOST]["message"]

    host = deployed(fleet)
    assert host["goal"] == "boot"
    assert host["reboot_required"][0] == "dbus-implementation: dbus -> broker"
    assert any("reboot required: dbus-implementation" in text for text in host["warnings"])
    state = fleet.state(HOST)
    assert state["running"] == ran
    assert state["profile"] == state["boot_default"] == host["out_path"]

    booted = deployed(fleet, "--reboot")
    assert booted["reboot_required"] == []
    assert fleet.state(HOST)["running"] == host["out_path"]
    again: Done = fleet.deploy(HOST)
    assert again.outcomes == {HOST: "unchanged"}
