"""A host that sends without end: it fails with a sentence, and the others are deployed."""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from fleet_bench import ORCHESTRATOR, Bench, Done, example_fleet, in_lab, log_of

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

GOOD, BAD = "p620", "dex5550"
MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[2:], check=False)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
open(sys.argv[1], "w").write(str(peak))
sys.exit(done.returncode)
"""
MOST = 400
"""MiB that the largest process of a run of two hosts may ever take: Nix itself takes 150."""

_numbers = itertools.count()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Two hosts, up and deployed once."""
    bench = example_fleet(tmp_path_factory.mktemp("floods"))
    with in_lab(bench, GOOD, BAD):
        first = bench.deploy(GOOD, BAD)
        assert first.rc == 0, first
        yield bench


@pytest.fixture
def fleet(lab: Bench) -> Iterator[Bench]:
    """Both hosts, to be changed by the next deployment."""
    lab.reset()
    for host in (GOOD, BAD):
        lab.module(host, f'environment.etc."marker".text = "{next(_numbers)}";')
    yield lab
    lab.reset()


def measured(fleet: Bench, *arguments: str) -> tuple[Done, int]:
    """Deploy, and tell the most memory in MiB that any process of it took."""
    peak = fleet.home / "peak"
    argv = (sys.executable, "-c", MEASURE, str(peak), str(ORCHESTRATOR), "deploy", "--json")
    done = fleet.command(*argv, *arguments, seconds=280)
    return done, int(peak.read_text())


def hosts(done: Done) -> dict[str, Any]:
    """What the report says of each host."""
    found: dict[str, Any] = done.report["hosts"]
    return found


@contextlib.contextmanager
def forced(fleet: Bench, command: str) -> Iterator[None]:
    """Have sshd of the bad host answer the deployer by one command, whatever is asked."""
    config = "/etc/ssh/sshd_config"
    done = fleet.on(
        BAD,
        f"cp {config} /run/sshd_config && systemctl reload ssh && "
        f"printf 'Match User deploy\nForceCommand {command}\n' >> {config} && systemctl reload ssh",
    )
    assert done.rc == 0, done
    try:
        yield
    finally:
        assert fleet.on(BAD, f"cp /run/sshd_config {config} && systemctl reload ssh").rc == 0


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("cat /dev/zero", "the host sent more than 16 MiB"),
        ("yes", "the host sent more than 200000 lines"),
        ("cat /dev/zero >&2", "the host sent more than 16 MiB"),
    ],
)
def test_a_host_that_answers_without_end(fleet: Bench, command: str, said: str) -> None:
    """Of two hosts only the one that answers without end fails, and memory stays small."""
    with forced(fleet, command):
        done, peak = measured(fleet, GOOD, BAD)
        status = fleet.run("status", "--json", GOOD, BAD)
    assert done.outcomes == {GOOD: "deployed", BAD: "failed"}, done
    assert said in hosts(done)[BAD]["message"]
    assert hosts(done)[BAD]["command"].endswith("true | head -c 1000")
    assert "Traceback" not in done.err + status.err
    assert "running" in json.loads(status.out)[GOOD]
    assert said in json.dumps(json.loads(status.out)[BAD])
    assert peak < MOST


def test_an_activation_that_prints_much(fleet: Bench) -> None:
    """The host is deployed: what it printed is read a megabyte at a time."""
    fleet.module(
        BAD, 'system.activationScripts.talks.text = "head -c 22000000 /dev/urandom | base64";'
    )
    done, peak = measured(fleet, GOOD, BAD)
    assert done.outcomes == {GOOD: "deployed", BAD: "deployed"}, done
    assert peak < MOST
    assert len(log_of(done.report["folder"], BAD)) < 64 << 20


def test_a_check_whose_command_answers_without_end(fleet: Bench) -> None:
    """Verification fails and the host is rolled back; the other one is deployed."""
    suite = "tests/verify/test_every_host.py"
    floods = (
        "\n\ndef test_floods(host, fleet_host):\n"
        f"    if fleet_host['name'] == '{BAD}':\n"
        "        assert host.run('cat /dev/zero').rc == 0\n"
    )
    fleet.write(suite, (fleet.root / suite).read_text() + floods)
    done, peak = measured(fleet, GOOD, BAD)
    assert done.outcomes == {GOOD: "deployed", BAD: "rolled_back"}, done
    assert "more than 16 MiB" in json.dumps(hosts(done)[BAD])
    assert peak < MOST
