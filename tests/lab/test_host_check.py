"""``host check`` on real hosts: what it finds, what it leaves out, and that it changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab, until

pytestmark = pytest.mark.lab

ROOT, DEPLOY = "p620", "dex5550"
"""One that is logged in to as root, and one as a user who may use sudo."""

LOCK = "/run/switch-to-configuration.lock"
PLACES = "/boot /etc /home /nix/var /root /run /usr/local /var/lib"
APART = "-path /run/log -o -path /run/systemd -o -path /run/sudo"
LISTING = (
    f"find {PLACES} -xdev \\( {APART} \\) -prune -o "
    r"-printf '%p %y %m %T@ %C@ %s\n' | sort"
)
"""All but where sshd, sudo and systemd write down who logged in."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Two hosts, each deployed once."""
    bench = example_fleet(tmp_path_factory.mktemp("check"))
    with in_lab(bench, ROOT, DEPLOY):
        first = bench.deploy(ROOT, DEPLOY)
        assert first.rc == 0, first
        yield bench


def found(lab: Bench, host: str) -> dict[str, Any]:
    """What ``host check --json`` says of one host."""
    done = lab.run("host", "check", "--json", host)
    assert done.rc == 0, done
    one: dict[str, Any] = json.loads(done.out)[host]
    return one


def cannot(lab: Bench, host: str) -> list[str]:
    """What cannot be promised there, but for what is so on each host of the lab."""
    return [text for text in found(lab, host)["cannot"] if not text.startswith("os-release")]


@contextmanager
def on_host(lab: Bench, host: str, do: str, undo: str) -> Iterator[None]:
    """Have something on a host for a while."""
    done = lab.on(host, f"set -e; {do}")
    assert done.rc == 0, done
    try:
        yield
    finally:
        assert lab.on(host, undo).rc == 0


def test_it_says_what_status_says_and_by_which_file_and_key(lab: Bench) -> None:
    """The systems are those of ``status``; loader, entry, login and key are named beside them."""
    state = lab.state(DEPLOY)
    one = found(lab, DEPLOY)
    assert one["systems"] == {
        name: state[name] for name in ("running", "profile", "boot_default", "booted")
    }
    assert one["boot_loader"]["kind"] == state["boot_source"] == "systemd-boot"
    assert one["boot_loader"]["file"] == "/boot/loader/loader.conf"
    default = lab.on(DEPLOY, "sed -n 's/^default //p' /boot/loader/loader.conf").out.strip()
    assert one["boot_loader"]["entry"] == default
    assert one["login"] == {
        "user": "deploy",
        "key": lab.command("ssh-keygen", "-lf", identity(lab)).out.split()[1],
        "sudo": True,
        "become": "sudo",
        "sudo_password": False,
    }
    assert found(lab, ROOT)["login"]["sudo"] is False
    assert one["nix"]["version"] == lab.on(DEPLOY, "nix --version").out.strip()
    assert one["last_deploy"]["meaning"].startswith("exit 0: the system was activated")
    assert cannot(lab, DEPLOY) == []


def identity(lab: Bench) -> str:
    """The private key that the lab's hosts are reached with."""
    config = (lab.lab_folder / "ssh_config").read_text().splitlines()
    (file,) = {line.split()[1] for line in config if "IdentityFile" in line}
    return file


def test_it_changes_nothing_on_the_host(lab: Bench) -> None:
    """No file is made, written or touched, as root and through sudo."""
    for host in (ROOT, DEPLOY):
        found(lab, host)  # what a first login makes is there
        before = lab.on(host, LISTING).out.splitlines()
        assert len(before) > 500
        found(lab, host)
        assert set(lab.on(host, LISTING).out.splitlines()) ^ set(before) == set()


def test_the_report_has_no_key_no_id_and_no_other_host(lab: Bench) -> None:
    """What a bug report carries does not tell the machine, its people or its neighbours."""
    commands = (
        *("cat /etc/machine-id", "cat /proc/sys/kernel/random/boot_id"),
        "cut -d ' ' -f 2 /etc/ssh/ssh_host_ed25519_key.pub",
        "sed -n 's/^who=//p' /var/lib/orchestrator/record",
        "sed -n 's/^token=//p' /var/lib/orchestrator/record",
    )
    secrets = [lab.on(DEPLOY, command).out.strip() for command in commands]
    assert all(len(secret) > 5 for secret in secrets), secrets
    others = (ROOT, "razer", "samsung", "p510")
    for options in ((), ("--json",)):
        done = lab.run("host", "check", *options, DEPLOY)
        assert done.rc == 0, done
        assert DEPLOY in done.out
        assert [one for one in (*secrets, *others, lab.address(DEPLOY)) if one in done.out] == []


def test_a_host_without_a_boot_loader_is_told_what_that_means(lab: Bench) -> None:
    """Without the loader's files, as in a container, the boot default cannot be proved."""
    with on_host(lab, ROOT, "mv /boot/loader /boot/away", "mv /boot/away /boot/loader"):
        one = found(lab, ROOT)
        (said,) = cannot(lab, ROOT)
        plain = lab.run("host", "check", ROOT).out
    assert one["boot_loader"]["kind"] is None
    assert said.startswith("no boot loader file found: what boots next cannot be proved")
    assert f"cannot      {said}" in plain


def test_who_activates_a_system_is_named_without_arguments(lab: Bench) -> None:
    """A lock that root holds is seen; the arguments of the command that holds it are not told."""
    hold = f"systemd-run --quiet --unit=holds flock {LOCK} sh -c 'sleep 4329; : hush'"
    with on_host(lab, ROOT, hold, "systemctl stop holds.service"):
        until(lambda: found(lab, ROOT)["switch"]["running"] != [])
        done = lab.run("host", "check", ROOT)
    assert f"has locked {LOCK}" in done.out
    assert "hush" not in done.out
    assert "a system is being activated now: a deployment is refused" in done.out


def test_programs_that_answer_nonsense_are_told_and_not_repeated(lab: Bench) -> None:
    """Endless output and control characters are bounded, named, and never reach the terminal."""
    programs = (
        r"printf '#!/bin/sh\nyes xyzzy\n' > /usr/local/bin/nixos-version;"
        r"printf '#!/bin/sh\nprintf \"\\\\033[2Jxyzzy\\\\033]0;xyzzy\\\\007\"\n' "
        "> /usr/local/bin/bootctl; chmod +x /usr/local/bin/nixos-version /usr/local/bin/bootctl"
    )
    undo = "rm /usr/local/bin/nixos-version /usr/local/bin/bootctl"
    with on_host(lab, ROOT, programs, undo):
        done = lab.run("host", "check", ROOT)
    assert done.rc == 0, done
    assert "said and not understood: nixos, bootctl" in done.out
    assert "xyzzy" not in done.out
    assert "\x1b" not in done.out


def test_a_login_that_answers_something_else_is_one_clear_error(lab: Bench) -> None:
    """A forced command that prints text is an error with what to do; the other host is drawn."""
    config = "/etc/ssh/sshd_config.d/00-nonsense.conf"
    force = "mkdir -p /etc/ssh/sshd_config.d; grep -q sshd_config.d /etc/ssh/sshd_config"
    do = f"{force}; echo 'ForceCommand echo welcome' > {config}; systemctl reload ssh"
    with on_host(lab, ROOT, do, f"rm {config}; systemctl reload ssh"):
        done = lab.run("host", "check", ROOT, DEPLOY)
    assert done.rc == 1, done
    assert f"error: host '{ROOT}': the host did not say what it is (exit 0" in done.err
    assert "repeat by hand: ssh" in done.err
    assert f"{DEPLOY} (orchestrator" in done.out
    assert "Traceback" not in done.err


def test_the_exit_code_of_the_last_activation_is_explained(lab: Bench) -> None:
    """A unit that fails ends the activation with 4; its meaning and the unit are in the report."""
    lab.module(
        DEPLOY,
        'systemd.services.never = { script = "exit 1"; wantedBy = [ "multi-user.target" ]; };',
    )
    try:
        deployed: Done = lab.deploy(DEPLOY)
        one = found(lab, DEPLOY)
        said = cannot(lab, DEPLOY)
    finally:
        lab.reset()
    assert deployed.rc == 0, deployed
    assert one["last_deploy"]["activation"] == "4"
    assert "units that failed before count too" in one["last_deploy"]["meaning"]
    assert one["systemd"]["failed"] == ["never.service"]
    assert one["systemd"]["state"] == "degraded"
    assert any(text.startswith("failed already: never.service") for text in said)
