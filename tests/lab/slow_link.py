"""A slow link to one lab host: a relay, and an ``ssh_config`` that goes through it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from fleet_bench import REPOSITORY, Bench


@contextmanager
def slow_link(fleet: Bench, host: str, *, delay: float, mbit: float) -> Iterator[None]:
    """Have a host's link delay (milliseconds each way) and limit (megabits a second)."""
    config = fleet.lab_folder / "ssh_config"
    before = config.read_text()
    address = fleet.address(host)
    relay = subprocess.Popen(
        (
            *("nsenter", f"--net=/proc/{_keeper(fleet)}/ns/net", "--"),
            *(sys.executable, "-m", "tests.bench.relay", address, "22"),
            *("--delay", str(delay), "--mbit", str(mbit)),
        ),
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert relay.stdout is not None
        port = int(relay.stdout.readline())
        config.write_text(
            f"Host {address}\n  HostName 127.0.0.1\n  Port {port}\n  HostKeyAlias {address}\n\n"
            + before
        )
        yield
    finally:
        config.write_text(before)
        relay.terminate()
        relay.wait()


def _keeper(fleet: Bench) -> int:
    """The process whose network is the lab's."""
    find = (
        "import sys; from pathlib import Path; from orchestrator.lab.network import find_active;"
        "print(find_active(Path(sys.argv[1])).keeper)"
    )
    found = fleet.command(sys.executable, "-c", find, str(fleet.root))
    assert found.rc == 0, found
    return json.loads(found.out)
