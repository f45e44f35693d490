"""What a lab host is."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_bench import Bench

from orchestrator.core.values import replace
from orchestrator.lab import seed
from orchestrator.lab.places import LabError

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def bench(bench_factory: Callable[..., Bench]) -> Bench:
    """A lab of two hosts that is up."""
    made = bench_factory("alpha", "beta")
    made.lab.up(["alpha", "beta"])
    return made


def test_ssh_answers_as_root_and_as_deploy(bench: Bench) -> None:
    """Both users log in with the lab's key under strict host keys; deploy has sudo."""
    assert bench.ssh("alpha", "hostname && id -un") == "alpha\nroot"
    assert bench.ssh("beta", "sudo -n id -un", user="deploy") == "root"


def test_deploy_is_no_trusted_user_of_nix(bench: Bench) -> None:
    """The deploy user may talk to the Nix daemon and is not trusted by it."""
    info = bench.ssh("alpha", "nix store info --json", user="deploy")
    assert '"trusted":0' in info.replace(" ", "").replace("false", "0")


def test_machine_ids_are_distinct_and_known(bench: Bench) -> None:
    """Each host has the machine-id that the lab tells, and no two are alike."""
    hosts = {host.name: host.machine_id for host in bench.lab.status().hosts}
    assert len(set(hosts.values())) == 2
    for name, machine_id in hosts.items():
        assert bench.ssh(name, "cat /etc/machine-id") == machine_id


def test_systemd_is_up_and_nothing_failed(bench: Bench) -> None:
    """PID 1 is systemd, and no unit of the bare host fails."""
    assert bench.ssh("alpha", "cat /proc/1/comm") == "systemd"
    assert bench.ssh("alpha", "systemctl is-system-running --wait") == "running"


def test_a_host_starts_as_installed(bench: Bench) -> None:
    """Running system, booted system, profile and boot default agree on generation 1."""
    running = bench.ssh("alpha", "readlink -f /run/current-system")
    assert running.startswith("/nix/store/")
    assert bench.ssh("alpha", "readlink -f /run/booted-system") == running
    assert bench.ssh("alpha", "readlink /nix/var/nix/profiles/system") == "system-1-link"
    assert bench.ssh("alpha", "readlink -f /nix/var/nix/profiles/system") == running
    entry = bench.ssh("alpha", "sed -n 's/^default //p' /boot/loader/loader.conf")
    assert entry == "nixos-generation-1.conf"
    assert f"init={running}/init" in bench.ssh("alpha", f"cat /boot/loader/entries/{entry}")


def test_the_store_is_sound(bench: Bench) -> None:
    """The host's Nix finds every seeded path valid, and its garbage collector keeps them."""
    bench.ssh("beta", "nix-store --verify --check-contents")
    running = bench.ssh("beta", "readlink -f /run/current-system")
    bench.ssh("beta", "nix-store --gc")
    assert bench.ssh("beta", f"nix-store --check-validity {running} && echo valid") == "valid"


def open_key(root: Path, name: str, *options: str) -> str:
    """Put a private key into a fleet for a host of its lab; its public half."""
    path = root / seed.OPEN / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    argv = ("ssh-keygen", "-q", "-f", str(path), *(options or ("-t", "ed25519", "-N", "")))
    subprocess.run(argv, check=True)
    return " ".join(path.with_name(f"{name}.pub").read_text().split()[:2])


def test_a_new_host_has_the_key_that_is_in_the_open(bench_factory: Callable[..., Bench]) -> None:
    """An older host keeps its own, which is said with the way to renew it; others get new ones."""
    said: list[str] = []
    bench = bench_factory("gamma", "delta")
    lab = replace(bench.lab, on_progress=said.append)
    lab.up(["gamma"])
    wanted = open_key(lab.fleet_root, "gamma")
    lab.up(["gamma"])
    assert [text for text in said if "lab up --fresh gamma" in text]
    assert wanted not in bench.ssh("gamma", "cat /etc/ssh/ssh_host_ed25519_key.pub")

    said.clear()
    lab.up(["gamma", "delta"], fresh=True)
    assert not [text for text in said if "host key" in text]
    assert bench.ssh("gamma", "cat /etc/ssh/ssh_host_ed25519_key.pub") == wanted
    assert bench.ssh("delta", "cat /etc/ssh/ssh_host_ed25519_key.pub") != wanted


def test_what_is_no_host_key_is_refused(tmp_path: Path) -> None:
    """Another kind, one with a passphrase, no key, a link out of the fleet: the file is named."""
    assert seed.in_the_open(tmp_path, "none") is None
    open_key(tmp_path, "rsa", "-t", "rsa", "-b", "2048", "-N", "")
    open_key(tmp_path, "closed", "-t", "ed25519", "-N", "a passphrase")
    (tmp_path / seed.OPEN / "text").write_text("no key\n")
    open_key(tmp_path.parent, "own")
    (tmp_path / seed.OPEN / "link").symlink_to(tmp_path.parent / seed.OPEN / "own")
    for name in ("rsa", "closed", "text", "link"):
        with pytest.raises(LabError, match=f"{seed.OPEN}/{name} ") as caught:
            seed.in_the_open(tmp_path, name)
        assert caught.value.hint is not None
