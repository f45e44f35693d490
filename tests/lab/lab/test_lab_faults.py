"""Faults do what they say, and can be undone."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable

import pytest
from lab_bench import Bench

from orchestrator.lab.faults import FaultOptions
from orchestrator.lab.places import LabError, inside_network

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
    bench.ssh("alpha", "head -c 20000000 /dev/zero | base64")
    assert time.monotonic() - begin < 80  # 27 MB at that rate take 108 s on any machine


def test_full_disk(bench: Bench) -> None:
    """On a full disk the store takes no more; healing gives it back sound and writable."""
    write = "head -c 40000000 /dev/urandom > /tmp/big; nix-store --add /tmp/big 2>&1 || true"
    bench.lab.fault("alpha", "disk-full", FaultOptions(size="16m"))
    assert "No space left" in bench.ssh("alpha", write)
    bench.lab.fault("alpha", "heal")
    assert bench.ssh("alpha", write).startswith("/nix/store/")
    bench.ssh("alpha", "nix-store --verify --check-contents")


def test_a_disk_with_an_end(bench_factory: Callable[..., Bench]) -> None:
    """A host's own disk is full for all that it writes; what was written stays."""
    bench = bench_factory("gamma")
    bench.lab.up(["gamma"], disk_size="400M")
    bench.lab.fault("gamma", "disk-full", FaultOptions(size="1m"))
    bench.ssh("gamma", "echo kept > /nix/note")
    for folder in ("/nix", "/var", "/boot", "/etc"):
        write = f"head -c 5000000 /dev/zero 2>&1 > {folder}/big || true; rm -f {folder}/big"
        assert "No space left" in bench.ssh("gamma", f"({write}) 2>&1"), folder
    bench.lab.fault("gamma", "heal")
    bench.ssh("gamma", "head -c 5000000 /dev/zero > /var/big")
    assert bench.ssh("gamma", "cat /nix/note") == "kept"
    bench.lab.fault("gamma", "kill")
    bench.lab.fault("gamma", "start")
    assert bench.ssh("gamma", "cat /nix/note; stat -c %s /var/big") == "kept\n5000000"


def test_out_of_memory(bench: Bench) -> None:
    """What takes too much is killed, the host goes on; healing gives all memory back."""
    take = "head -c 60000000 /dev/zero | tail -c 50000000 | wc -c"
    bench.lab.fault("alpha", "memory-full", FaultOptions(size="24m"))
    assert bench.ssh("alpha", f"{take} 2>&1 || true") == "0"
    assert bench.ssh("alpha", "systemctl is-system-running || true") in ("running", "degraded")
    bench.lab.fault("alpha", "heal")
    assert bench.ssh("alpha", take) == "50000000"


def test_lossy_link(bench: Bench) -> None:
    """Packets are lost each way, about as many as told; healing loses none."""
    bench.lab.fault("alpha", "lossy", FaultOptions(loss=30))
    arrived = [_arrives(bench) for _ in range(200)]
    bench.lab.fault("alpha", "heal")
    # Both ways: 0.7 * 0.7. Six standard deviations to each side.
    assert 0.28 < sum(arrived) / len(arrived) < 0.70
    assert all(_arrives(bench) for _ in range(50))


def _arrives(bench: Bench) -> bool:
    """Send an echo request (RFC 792), and tell whether its reply comes back."""
    request = struct.pack("!BBHHH", 8, 0, 0xF7FE, 1, 0)
    address = (bench.lab.host("alpha").record.address, 0)
    icmp = (socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    with inside_network(bench.lab.network.require()), socket.socket(*icmp) as end:
        end.settimeout(0.05)
        end.sendto(request, address)
        try:
            end.recv(100)
        except TimeoutError:
            return False
    return True


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
