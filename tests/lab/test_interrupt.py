"""Ctrl-C in each phase: true words, no orphans, and the next run simply works."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fleet_bench import Bench, Done, interrupt, until

pytestmark = pytest.mark.lab

HOST = "dex5550"
SYSTEM = ("running", "profile", "boot_default")
SLOW = {
    "ask": 'environment.etc."slow".text = "ask";',
    "evaluate": (
        'environment.etc."slow".text = '
        "toString (builtins.foldl' (a: b: a + b) 0 (builtins.genList (x: x) 40000000));"
    ),
    "build": (
        'environment.etc."slow".source = pkgs.runCommand "slow" { } "sleep 60; echo > $out";'
    ),
    "copy": (
        'environment.etc."slow".source = '
        'pkgs.runCommand "slow" { } "head -c 40000000 /dev/urandom > $out";'
    ),
    "activate": 'system.activationScripts.slow.text = "sleep 4";',
    "verify": 'environment.etc."slow".text = "verify";',
}
FAULT = {"ask": "partition", "copy": "slow"}
SLOW_CHECK = "import time\n\n\ndef test_slow(host):\n    time.sleep(60)\n"


def start_until(fleet: Bench, phase: str) -> subprocess.Popen[str]:
    """Start a deployment and return when the host has entered a phase."""
    process = fleet.start("deploy", "--json", HOST)
    wait_for(process, lambda event: event.get("phase") == phase)
    return process


def wait_for(process: subprocess.Popen[str], found: Callable[[dict[str, Any]], bool]) -> None:
    """Read events until the one that is waited for."""
    assert process.stdout is not None
    for line in process.stdout:
        if found(json.loads(line)):
            return
    raise AssertionError(f"it never came: {process.communicate()}")


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """All that a process started, by the kernel's word."""
    found, queue = [], [process.pid]
    while queue:
        for file in Path(f"/proc/{queue.pop()}/task").glob("*/children"):
            more = [int(pid) for pid in file.read_text().split()]
            found += more
            queue += more
    return found


def deployed_after(fleet: Bench) -> Done:
    """Deploy what the fleet's own files say."""
    fleet.reset()
    return fleet.deploy(HOST)


@pytest.mark.parametrize("phase", list(SLOW))
def test_ctrl_c_leaves_a_known_host_and_no_orphan(fleet: Bench, phase: str) -> None:
    """The host runs what it ran, the exit code is 130, no child is left, the next run succeeds."""
    before = fleet.state(HOST)
    fleet.module(HOST, SLOW[phase])
    if phase == "verify":
        fleet.write(f"hosts/{HOST}/test_slow.py", SLOW_CHECK)
    with fault(fleet, FAULT.get(phase)):
        process = start_until(fleet, phase)
        if phase in ("build", "copy", "verify"):
            until(lambda: len(children_of(process)) > 0)
        children = children_of(process)
        done = interrupt(process)

    assert done.rc == 130, done
    report = json.loads(done.out.splitlines()[-1])
    assert report["interrupted"]
    outcome = report["hosts"][HOST]["outcome"]
    assert outcome == ("rolled_back" if phase in ("activate", "verify") else "skipped")
    assert "stopping" in done.err + done.out
    until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))

    now = fleet.state(HOST)
    assert [now[key] for key in SYSTEM] == [before[key] for key in SYSTEM]
    units = fleet.on(HOST, "systemctl list-units --plain --no-legend 'orchestrator-*'")
    assert units.out == ""
    assert deployed_after(fleet).rc == 0


@contextlib.contextmanager
def fault(fleet: Bench, kind: str | None) -> Iterator[None]:
    """Have a fault in the host's line for a while."""
    if kind is not None:
        assert fleet.run("lab", "fault", HOST, kind).rc == 0
    yield
    if kind is not None:
        assert fleet.run("lab", "fault", HOST, "heal").rc == 0


def test_ctrl_c_during_the_commit_lets_it_end(fleet: Bench) -> None:
    """What was verified is committed, proved and told; the exit code says who stopped."""
    fleet.module(HOST, 'environment.etc."marker".text = "committed";')
    hold = "flock /nix/var/nix/profiles/system.lock sleep 3"
    assert fleet.on(HOST, f"systemd-run --quiet --unit=holder {hold}").rc == 0
    process = start_until(fleet, "commit")
    done = interrupt(process)
    assert done.rc == 130, done
    host = json.loads(done.out.splitlines()[-1])["hosts"][HOST]
    assert host["outcome"] == "deployed"
    state = fleet.state(HOST)
    assert [state[key] for key in SYSTEM] == [host["out_path"]] * 3


def test_a_second_ctrl_c_says_what_still_runs_there(fleet: Bench) -> None:
    """Twice: it leaves at once, says what the guard does alone, and the next run succeeds."""
    fleet.module(HOST, 'system.activationScripts.slow.text = "sleep 8";')
    process = start_until(fleet, "activate")
    until(lambda: "orchestrator-" in fleet.on(HOST, "systemctl list-units 'orchestrator-*'").out)
    process.send_signal(signal.SIGINT)
    # Two signals at once would be one: the kernel keeps no count.
    wait_for(process, lambda event: "stopping" in event.get("text", ""))
    done = interrupt(process)
    assert done.rc == 130, done
    host = json.loads(done.out.splitlines()[-1])["hosts"][HOST]
    assert host["outcome"] == "failed"
    assert "its guard " in host["host_state"]
    assert "/run/orchestrator/attempt" in host["command"]
    # Its lock was released: nobody waits for that, nor for the guard. But for a moment the way back
    # restarts sshd.
    until(lambda: fleet.run("host", "ping", HOST).rc == 0)
    assert deployed_after(fleet).rc == 0
    units = fleet.on(HOST, "systemctl list-units --plain --no-legend 'orchestrator-*'")
    assert units.out == ""
