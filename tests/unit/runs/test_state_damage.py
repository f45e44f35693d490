"""What this machine keeps of a fleet, damaged at random: whoever reads it gets on, or is told."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from run_examples import leave

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.outcome import Deployed
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import RolloutStatus, Standing, Wave, WaveStatus
from orchestrator.core.run import Before, DeployRequest, HostResult, Sample
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.deploy.copy.links import Links
from orchestrator.deploy.names import Machines
from orchestrator.offline.draw import draw_pending
from orchestrator.render.output import Output
from orchestrator.rollout.draw import draw_run
from orchestrator.runs.draw import draw_log, draw_runs
from orchestrator.runs.pending import Pending, PendingSystems
from orchestrator.runs.store import Runs

NOW = datetime(2024, 5, 6, tzinfo=UTC)
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
SAMPLE = Sample(NOW, None, 10, 10, 1.0, 0.1)
STRANGE = (
    *(b"null", b"true", b"[]", b"{}", b'"x"', b"-1", b"NaN", b"1e999", b"9" * 30),
    *(b'"0001-01-01T00:00:00+14:00"', b'"2024-05-06"'),
)
FILES = (
    *("history.db", "links.json", "machines/p620", "pending/p620.json"),
    *(f"runs/1/{name}" for name in ("events.jsonl.gz", "log.gz")),
    *(f"runs/2/{name}" for name in ("events.jsonl", "log", "progress.json")),
)
TIMES = 40


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with one of each."""
    state = tmp_path_factory.mktemp("damage") / "state"
    wave = Wave("all hosts", ("p620",))
    result = HostResult(Deployed("new", OUT, Goal.SWITCH), 1.0, Before(OUT, OUT, OUT))
    told = WaveStatus(wave.name, Standing.GOING, {"p620": "ready"})
    status = RolloutStatus(1, Standing.PAUSED, (told,), until=NOW, answered="1")
    for hosts in ({"p620": result}, None):
        leave(state, hosts, DeployRequest(waves=(wave,)), status)
    Runs(state).recent(9)
    system, expires = Evaluated(DrvPath(f"{OUT}.drv"), OUT), datetime.now(UTC) + timedelta(days=9)
    waits = Pending("p620", system, 1, "me@here", None, "away", NOW, expires, last_try=NOW)
    PendingSystems(state, print).put(waits)
    Machines(state / "machines").remember("p620", "a" * 32)
    links = Links(state / "links.json")
    links.add("p620", SAMPLE)
    links.save()
    return state


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Flip a bit, cut it off, overwrite some or all of it, or put a strange value into JSON."""
    at = chance.randrange(len(data))
    values = list(re.finditer(rb'(?<=:)("[^"]*"|[\d.]+|null|true|false)', data))
    ways = [
        data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :],
        data[:at],
        data[:at] + chance.randbytes(8) + data[at + 8 :],
        bytes(len(data)),
    ]
    for _ in range(4 if values else 0):
        value = chance.choice(values)
        ways.append(data[: value.start()] + chance.choice(STRANGE) + data[value.end() :])
    return chance.choice(ways)


def read_all(state: Path) -> None:
    """Read everything, and draw it."""
    words, runs = Output(StringIO()), Runs(state)
    pending = PendingSystems(state, lambda _: None)
    past = runs.recent(9)
    assert [one.number for one in past] == [2, 1]
    runs.last_reached("p620")
    runs.deployments()
    for number in (1, 2):
        run = runs.run(number)
        with contextlib.suppress(OrchestratorError):
            run.asked()
        record, _, _ = run.record(), run.status(), run.died("1-abcd")
        for as_json in (False, True):
            draw_log(run.log(), None, None, words, as_json=as_json)
            with contextlib.suppress(UsageError):
                draw_run(number, record, words, words, alive=False, as_json=as_json)
    entries = pending.all()
    pending.drop_expired(NOW)
    Machines(state / "machines").seen("p620")
    links = Links(state / "links.json")
    links.add("p620", SAMPLE)
    links.save()
    for as_json in (False, True):
        draw_runs(past, words, as_json=as_json)
        draw_pending(entries, words, words, as_json=as_json)
    leave(state)


@pytest.mark.parametrize("name", FILES)
def test_no_damage_crashes_who_reads_it(whole: Path, tmp_path: Path, name: str) -> None:
    """Of whatever kind; also where the index of the runs is made again."""
    chance = random.Random(name)  # noqa: S311
    for number in range(TIMES):
        state = Path(shutil.copytree(whole, tmp_path / str(number)))
        if name.startswith("runs/") and number % 2:
            (state / "history.db").unlink()
        content = damaged((state / name).read_bytes(), chance)
        (state / name).write_bytes(content)
        try:
            read_all(state)
        except Exception as crash:
            crash.add_note(f"{name}: {content[:2000]!r}")
            raise
