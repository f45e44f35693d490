"""Bringing labs up and down, in order and not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_bench import COMMAND, Bench

from orchestrator.lab.cgroup import Cgroup
from orchestrator.lab.network import find_active
from orchestrator.lab.places import LabError

pytestmark = pytest.mark.lab


def test_up_again_reuses_what_runs(bench_factory: Callable[..., Bench]) -> None:
    """A second up leaves running hosts alone and starts only those that are missing."""
    bench = bench_factory("alpha", "beta")
    bench.lab.up(["alpha"])
    boot = bench.ssh(
        "alpha",
        "cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestampMonotonic",
    )
    status = bench.lab.up(["alpha", "beta"])
    assert [host.state for host in status.hosts] == ["up", "up"]
    again = bench.ssh(
        "alpha",
        "cat /proc/sys/kernel/random/boot_id; systemctl show -P UserspaceTimestampMonotonic",
    )
    assert again == boot


def test_a_script_reads_which_hosts_are_up(bench_factory: Callable[..., Bench]) -> None:
    """`lab up --json` prints what `lab status --json` does, or why no host was started."""
    bench = bench_factory("alpha")
    up = subprocess.run(bench.command("up", "--json"), capture_output=True, text=True, timeout=280)
    assert up.returncode == 0, up.stderr
    status = subprocess.run(
        bench.command("status", "--json"), capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(up.stdout)
    assert found == {"ok": True, **json.loads(status.stdout)}
    assert found["hosts"]["alpha"]["state"] == "up"
    argv = bench.command("up", "nobody", "--json")
    none = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    error = {"message": "the fleet has no host nobody", "hint": "it has alpha"}
    assert (none.returncode, json.loads(none.stdout)) == (2, {"ok": False, "error": error})


def test_state_survives_down_and_not_fresh(bench_factory: Callable[..., Bench]) -> None:
    """What a host has on its disk is there after down and up, and gone after up --fresh."""
    bench = bench_factory("alpha")
    bench.lab.up(["alpha"])
    keys = bench.lab.places.known_hosts.read_text()
    bench.ssh("alpha", "echo kept > /root/note; nix-store --add /root/note > /root/path")
    bench.lab.down()
    bench.lab.up(["alpha"])
    assert bench.ssh("alpha", "cat $(cat /root/path)") == "kept"
    assert bench.lab.places.known_hosts.read_text() == keys
    bench.lab.up(["alpha"], fresh=True)
    assert bench.ssh("alpha", "ls /root") == ""


def test_down_leaves_nothing(bench_factory: Callable[..., Bench]) -> None:
    """After down there is no mount, interface, control group or process of the lab."""
    interfaces = Path("/proc/net/dev").read_text().count(":")
    bench = bench_factory("alpha", "beta")
    bench.lab.up(["alpha", "beta"])
    assert bench.traces()
    bench.lab.down()
    assert bench.traces() == []
    assert Path("/proc/net/dev").read_text().count(":") == interfaces
    bench.lab.down(purge=True)
    assert not bench.folder.exists()
    assert not bench.lab.places.lock.exists()


@pytest.mark.parametrize("moment", ["at once", "while hosts boot"])
def test_down_cleans_up_after_a_killed_up(bench_factory: Callable[..., Bench], moment: str) -> None:
    """An up that is killed leaves nothing that down does not remove, and up works again."""
    bench = bench_factory("alpha", "beta")
    up = subprocess.Popen(bench.command("up"), stderr=subprocess.PIPE, text=True)
    assert up.stderr is not None
    if moment == "at once":
        time.sleep(0.3)
    else:
        while "booting" not in up.stderr.readline():
            assert up.poll() is None
        time.sleep(0.2)
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    bench.lab.down()
    assert bench.traces() == []
    bench.lab.up(["alpha", "beta"])
    assert bench.ssh("beta", "hostname") == "beta"


def test_up_adopts_what_a_killed_up_left(bench_factory: Callable[..., Bench]) -> None:
    """An up that is killed while hosts boot can simply be repeated."""
    bench = bench_factory("alpha", "beta")
    up = subprocess.Popen(bench.command("up"), stderr=subprocess.PIPE, text=True)
    assert up.stderr is not None
    while "booting" not in up.stderr.readline():
        assert up.poll() is None
    os.kill(up.pid, signal.SIGKILL)
    up.wait()
    status = bench.lab.up(["alpha", "beta"])
    assert [host.state for host in status.hosts] == ["up", "up"]


def test_two_labs_side_by_side(bench_factory: Callable[..., Bench]) -> None:
    """Two labs with the same host names are apart; ending one leaves the other alone."""
    one, two = bench_factory("alpha"), bench_factory("alpha")
    one.lab.up(["alpha"])
    two.lab.up(["alpha"])
    machine_ids = [bench.ssh("alpha", "cat /etc/machine-id") for bench in (one, two)]
    assert machine_ids[0] != machine_ids[1]
    one.lab.down()
    assert two.ssh("alpha", "hostname") == "alpha"


def test_a_lab_that_is_gone_is_no_silent_way_to_the_real_hosts(
    bench_factory: Callable[..., Bench],
) -> None:
    """After a restart of the machine a command fails and says so; after down it goes on."""
    bench = bench_factory("alpha")
    root = bench.lab.fleet_root
    assert find_active(root) is None
    bench.lab.up(["alpha"])
    active = find_active(root)
    assert active is not None
    assert active.hosts == {"alpha": "10.77.0.2"}
    Cgroup(bench.lab.cgroup.path).remove()
    with pytest.raises(LabError, match="is gone"):
        find_active(root)
    bench.lab.down()
    assert find_active(root) is None


ENTER = """
import subprocess, sys
from pathlib import Path
from orchestrator.lab.network import enter, find_active
active = find_active(Path(sys.argv[1]))
enter(active)
subprocess.run(["nix", "store", "info"], check=True, capture_output=True)
installed = f"path:{active.nixpkgs}#packages.x86_64-linux.installed"
subprocess.run(["nix", "build", "--no-link", installed], check=True)
subprocess.run(["ssh", "-F", active.ssh_config, "alpha", "hostname"], check=True)
"""


def test_entering_gives_hosts_and_nix(bench_factory: Callable[..., Bench]) -> None:
    """A process that entered reaches hosts by name, and has a Nix that builds in a sandbox."""
    bench = bench_factory("alpha")
    bench.lab.up(["alpha"])
    argv = [str(COMMAND.with_name("python")), "-c", ENTER, str(bench.lab.fleet_root)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "alpha\n"


def test_who_is_not_root_is_told_and_nothing_is_done(
    bench_factory: Callable[..., Bench],
) -> None:
    """As another user `lab up` exits with 2, says what it needs and would do, and makes nothing."""
    bench = bench_factory("alpha")
    # Imported first: the other user may not be able to read this Python.
    script = (
        "import os, sys\n"
        "from orchestrator.core.errors import OrchestratorError\n"
        "from orchestrator.lab.cgroup import check_root\n"
        "os.setuid(65534)\n"
        "try: check_root()\n"
        "except OrchestratorError as e: print(e.message); sys.exit(e.exit_code)\n"
    )
    argv = [str(COMMAND.with_name("python")), "-c", script]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "needs root" in done.stdout
    assert "would" in done.stdout
    assert not bench.folder.exists()
