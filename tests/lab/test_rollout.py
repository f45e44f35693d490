"""Rollouts on real hosts: waves, budgets, words from other terminals, going on after a kill."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fleet_bench import HOSTS, Bench, Done, until

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

FAILING = "def test_is_healthy(host):\n    assert host.file('/etc/healthy').exists\n"
STAGES = """\
rollout:
  pause: 0
  stages:
    lab: {hosts: dex5550}
    laptops: {hosts: "template:laptop", batch: 1}
"""


@pytest.fixture
def changed(fleet: Bench) -> Bench:
    """Five hosts that are to be changed, each in the same small way."""
    for host in HOSTS:
        fleet.module(host, '  environment.etc."rollout".text = "new";')
    return fleet


def fails(fleet: Bench, host: str) -> None:
    """Have a host's verification fail."""
    fleet.write(f"hosts/{host}/test_healthy.py", FAILING)


def running(fleet: Bench) -> dict[str, str]:
    """What each host runs."""
    done = fleet.run("status", "--json")
    assert done.rc == 0, done
    return {host: state["running"] for host, state in json.loads(done.out).items()}


def waves(done: Done) -> list[str]:
    """The waves that began and the hosts that ended, in that order."""
    said = {"wave-started": "name", "host-finished": "host"}
    return [event[said[event["type"]]] for event in done.events if event["type"] in said]


def shown(fleet: Bench) -> dict[str, Any]:
    """Where the newest run is."""
    return json.loads(fleet.run("run", "show", "--json").out)


@contextmanager
def paused(fleet: Bench) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run whose canary is deployed, and which would go on in an hour; and its number."""
    before = shown(fleet)["run"]
    process = fleet.start("deploy", "--json", "--canary", "p620", "--pause", "1h")
    try:
        until(lambda: shown(fleet)["run"] > before and shown(fleet)["until"] is not None, 120)
        yield process, str(shown(fleet)["run"])
    finally:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str]) -> Done:
    """Wait for a run's end."""
    out, err = process.communicate(timeout=120)
    return Done(process.returncode, out, err)


def test_a_canary_that_fails_stops_all_others(changed: Bench) -> None:
    """A failed canary is rolled back and stops all others; healed, all are deployed."""
    before = running(changed)
    fails(changed, "razer")
    done = changed.deploy("--canary", "razer")
    assert done.rc == 1, done
    stopped = {host: "rolled_back" if host == "razer" else "skipped" for host in HOSTS}
    assert done.outcomes == stopped, done
    assert "razer (verify) rolled back" in done.report["hosts"]["p620"]["reason"]
    assert running(changed) == before

    (changed.root / "hosts/razer/test_healthy.py").unlink()
    again = changed.run("run", "retry", "--json")
    assert again.outcomes == dict.fromkeys(HOSTS, "deployed"), again
    nothing = changed.run("run", "retry")
    assert nothing.rc == 0, nothing
    assert "no failed hosts to retry" in nothing.err


def test_a_wave_that_fails_is_taken_back(changed: Bench) -> None:
    """The one before it stays, the one after it does not begin; each is told as it is."""
    before = running(changed)
    fails(changed, "p510")
    done = changed.deploy("--batch", "2", "--max-failures", "1", "--on-failure", "roll-back-wave")
    assert done.rc == 1, done
    assert done.outcomes == {
        "p620": "deployed",
        "razer": "deployed",
        "samsung": "rolled_back",
        "p510": "rolled_back",
        "dex5550": "skipped",
    }, done
    assert done.report["hosts"]["samsung"]["step"] == "rollout"
    now = running(changed)
    assert {host for host in HOSTS if now[host] != before[host]} == {"p620", "razer"}
    for host in ("samsung", "p510"):
        state = changed.state(host)
        assert state["profile"] == state["boot_default"] == before[host]

    (changed.root / "hosts/p510/test_healthy.py").unlink()
    taken = changed.run("run", "retry", "--json")
    assert set(taken.outcomes.items()) == {(h, "deployed") for h in ("samsung", "p510", "dex5550")}


def test_a_rollout_hears_words_from_another_terminal(changed: Bench) -> None:
    """Paused it stays so, resumed it goes on; and a run that has ended hears nothing.

    A host that waits may boot meanwhile, and all connections to it are gone.
    """
    with paused(changed) as (process, run):
        held = changed.run("run", "pause", run)
        assert held.rc == 0, held
        second = changed.run("run", "retry", run)
        assert second.rc == 2, second
        assert "is still at work" in second.err
        where = shown(changed)
        assert where["alive"]
        assert where["standing"] == "paused"
        assert [wave["standing"] for wave in where["waves"]] == ["ended", "waiting"]
        changed.boot("razer", "reboot")
        on = changed.run("run", "resume", run, "--json")
        assert on.rc == 0, on
        assert json.loads(on.out) == {"ok": True, "run": int(run), "order": "resume"}
        done = ended(process)
    assert done.outcomes == dict.fromkeys(HOSTS, "deployed"), done
    late = changed.run("run", "abort", run)
    assert late.rc == 2, late
    assert "has ended" in late.err


def test_an_aborted_rollout_begins_no_other_host(changed: Bench) -> None:
    """An aborted rollout begins no other host, and what was deployed stays deployed."""
    before = running(changed)
    with paused(changed) as (process, run):
        stopped = changed.run("run", "abort", run)
        assert stopped.rc == 0, stopped
        done = ended(process)
    assert done.rc == 1, done
    assert done.outcomes == {"p620": "deployed", **dict.fromkeys(HOSTS[1:], "skipped")}, done
    now = running(changed)
    assert [host for host in HOSTS if now[host] != before[host]] == ["p620"]


def test_a_run_that_was_killed_goes_on_where_it_was(changed: Bench) -> None:
    """A killed rollout is resumed in the same waves, and what it had done is not done again."""
    with paused(changed) as (process, run):
        process.kill()
        process.wait()
        where = changed.run("run", "show", run)
        assert "it was cut off" in where.err
        done = changed.run("run", "resume", run, "--json")
    assert done.rc == 0, done
    assert done.outcomes == {"p620": "unchanged", **dict.fromkeys(HOSTS[1:], "deployed")}, done
    assert [wave["name"] for wave in done.report["waves"]] == ["canary", "all hosts"]
    assert waves(done).index("p620") < waves(done).index("all hosts")
    assert changed.run("status", "--locks").rc == 0


def test_stages_go_in_the_inventorys_order(changed: Bench) -> None:
    """A plan tells them, a deployment goes them; hosts of none come last."""
    changed.write("inventory/rollout.yaml", STAGES)
    planned = changed.run("plan")
    assert planned.rc == 0, planned
    assert [line for line in planned.out.splitlines() if line.startswith("wave ")] == [
        "wave 1 of 4: lab: dex5550",
        "wave 2 of 4: laptops 1 of 2: razer",
        "wave 3 of 4: laptops 2 of 2: samsung",
        "wave 4 of 4: the rest: p620, p510",
    ]
    done = changed.deploy()
    assert done.rc == 0, done
    assert waves(done)[:7] == [
        *("lab", "dex5550", "laptops 1 of 2", "razer", "laptops 2 of 2", "samsung", "the rest"),
    ]
    assert sorted(waves(done)[7:]) == ["p510", "p620"]
