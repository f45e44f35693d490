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

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.event import RunFinished, RunStarted
from orchestrator.core.outcome import Deployed
from orchestrator.core.plan import Goal
from orchestrator.core.rollout import Order, RolloutStatus, Standing, Wave, WaveStatus, Word
from orchestrator.core.run import Before, DeployRequest, HostResult, Report, Run, Sample
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.deploy.copy.links import Links
from orchestrator.deploy.names import Machines
from orchestrator.offline.draw import draw_pending
from orchestrator.render.output import Output
from orchestrator.render.runlog import RunLog
from orchestrator.rollout.draw import draw_rollout
from orchestrator.runs import request_file
from orchestrator.runs.draw import draw_history
from orchestrator.runs.files import RunFiles
from orchestrator.runs.history import History
from orchestrator.runs.pending import Pending, PendingSystems

NOW = datetime(2024, 5, 6, tzinfo=UTC)
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
SAMPLE = Sample(NOW, None, 10, 10, 1.0, 0.1)
STRANGE = (
    *(b"null", b"true", b"[]", b"{}", b'"x"', b"-1", b"NaN", b"1e999", b"9" * 30),
    *(b'"0001-01-01T00:00:00+14:00"', b'"2024-05-06"'),
)
FILES = (
    *("history.db", "links.json", "machines/p620", "pending/p620.json"),
    *(f"runs/1/{name}" for name in ("rollout.json", "control", "request.json", "alive")),
    *("runs/1/events.jsonl", "runs/1/report.json"),
)
TIMES = 40


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder with one of each."""
    state = tmp_path_factory.mktemp("damage") / "state"
    history = History(state / "history.db")
    folder = history.begin("me@here", "abc", "switch", NOW).folder
    run = Run(1, str(folder), "me@here", "abc", NOW, "switch")
    result = HostResult(Deployed("new", OUT, Goal.SWITCH), 1.0, Before(OUT, OUT, OUT))
    report = Report(run, Goal.SWITCH, False, {"p620": result}, 1.0)
    with contextlib.closing(RunLog(lambda: NOW)) as log:
        log.handle(RunStarted(run, Goal.SWITCH, ("p620",)))
        log.handle(RunFinished(report))
    history.finish(report)
    files, wave = RunFiles(folder), Wave("all hosts", ("p620",))
    told = WaveStatus(wave.name, Standing.GOING, {"p620": "ready"})
    files.write_status(RolloutStatus(1, Standing.PAUSED, (told,), until=NOW, answered="1"))
    files.put_order(Order("1", Word.PAUSE, "me@sofa"))
    request_file.keep(run, DeployRequest(), (wave,))
    with files.living("1-abcd"):
        pass
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
    values = list(re.finditer(rb'(?<=: )("[^"]*"|[\d.]+|null|true|false)', data))
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
    words, history, files = Output(StringIO()), History(state / "history.db"), RunFiles
    run, pending = files(state / "runs" / "1"), PendingSystems(state, lambda _: None)
    past = history.recent(9)
    history.results(1)
    history.last_reached("p620")
    with contextlib.suppress(OrchestratorError):
        history.run(1)
    with contextlib.suppress(OrchestratorError):
        request_file.kept(run.folder)
    status, _, _ = run.status(), run.order(), run.died("1-abcd")
    entries = pending.all()
    pending.drop_expired(NOW)
    Machines(state / "machines").seen("p620")
    links = Links(state / "links.json")
    links.add("p620", SAMPLE)
    links.save()
    for as_json in (False, True):
        draw_history(past.runs, past.notice, words, words, as_json=as_json)
        draw_pending(entries, words, words, as_json=as_json)
        if status is not None:
            draw_rollout(status, words, words, alive=True, as_json=as_json)
    history.begin("me@here", None, "switch", NOW)


@pytest.mark.parametrize("name", FILES)
def test_no_damage_crashes_who_reads_it(whole: Path, tmp_path: Path, name: str) -> None:
    """Of whatever kind; also where the folders of runs must stand for the database."""
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
