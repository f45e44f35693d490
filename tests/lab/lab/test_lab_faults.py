"""Faults do what they say, and can be undone."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from lab_bench import Bench

from orchestrator.lab.errors import LabError
from orchestrator.lab.faults import FaultOptions

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def bench(bench_factory: Callable[..., Bench]) -> Bench:
    """A lab of two hosts; tests break alpha and leave it whole."""
    made = bench_factory("alpha", "beta")
    made.lab.up(["alpha", "beta"])
    return made


def state(bench: Bench, name: str) -> str:
    """Return a host's state."""
    return next(host.state for host in bench.lab.status().hosts if host.name == name)


def test_partition_cuts_one_host_off(bench: Bench) -> None:
    """A partitioned host is silent, its sibling is not; healing brings it back as it was."""
    bench.ssh("alpha", "touch /run/before")
    bench.lab.fault("alpha", "partition")
    assert (state(bench, "alpha"), state(bench, "beta")) == ("silent", "up")
    bench.lab.fault("alpha", "heal")
    assert bench.lab.wait("alpha", 5)
    bench.ssh("alpha", "test -e /run/before")


def test_power_cut_boots_the_boot_default(bench: Bench) -> None:
    """After a power cut the host comes back with the generation that the boot loader names."""
    bench.ssh("alpha", "touch /run/before; ln -sfn /tmp /run/current-system")
    bench.lab.fault("alpha", "kill")
    assert state(bench, "alpha") == "off"
    bench.lab.fault("alpha", "start")
    bench.ssh("alpha", "test ! -e /run/before")
    running = bench.ssh("alpha", "readlink -f /run/current-system")
    assert f"init={running}/init" in bench.ssh("alpha", "cat /boot/loader/entries/*.conf")


def test_a_frozen_host_hangs_and_goes_on(bench: Bench) -> None:
    """A frozen host accepts nothing; thawed, it goes on where it was."""
    bench.ssh("alpha", "touch /run/before")
    bench.lab.fault("alpha", "freeze")
    assert state(bench, "alpha") == "frozen"
    assert not bench.lab.wait("alpha", 0.5)
    bench.lab.fault("alpha", "thaw")
    assert bench.lab.wait("alpha", 5)
    bench.ssh("alpha", "test -e /run/before")


def test_reboot_keeps_the_disk(bench: Bench) -> None:
    """A reboot ends what runs and keeps what is on the disk."""
    bench.ssh("alpha", "touch /run/before /root/note")
    bench.lab.fault("alpha", "reboot")
    assert bench.ssh("alpha", "ls /run/before /root/note 2>&- || true") == "/root/note"


def test_slow_link(bench: Bench) -> None:
    """A slow link takes its time in both directions; healing lifts the limit."""
    bench.lab.fault("alpha", "slow", FaultOptions(rate="2mbit"))
    begin = time.monotonic()
    bench.ssh(
        "alpha",
        "head -c 500000 /dev/zero | base64 -w 0 | wc -c; head -c 400000 /dev/urandom | base64",
    )
    slow = time.monotonic() - begin
    bench.lab.fault("alpha", "heal")
    assert slow > 1
    begin = time.monotonic()
    bench.ssh("alpha", "head -c 400000 /dev/urandom | base64")
    assert time.monotonic() - begin < slow / 2


def test_full_disk(bench: Bench) -> None:
    """On a full disk the store takes no more; healing gives it back sound and writable."""
    write = "head -c 40000000 /dev/urandom > /tmp/big; nix-store --add /tmp/big 2>&1 || true"
    bench.lab.fault("alpha", "disk-full", FaultOptions(size="16m"))
    assert "No space left" in bench.ssh("alpha", write)
    bench.lab.fault("alpha", "heal")
    assert bench.ssh("alpha", write).startswith("/nix/store/")
    bench.ssh("alpha", "nix-store --verify --check-contents")


def test_stop_and_an_off_host(bench: Bench) -> None:
    """A stopped host is off; a fault that needs it running says so; start brings it back."""
    bench.lab.fault("alpha", "stop")
    with pytest.raises(LabError, match="is off"):
        bench.lab.fault("alpha", "freeze")
    bench.lab.fault("alpha", "start")


def test_an_unknown_fault_lists_those_that_exist(bench: Bench) -> None:
    """A misspelt fault names the faults there are."""
    with pytest.raises(LabError) as raised:
        bench.lab.fault("alpha", "frieze")
    assert "freeze" in str(raised.value.hint)
