"""The group ``pending`` as it is typed; no host is asked."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from orchestrator.cli.main import orchestrator
from orchestrator.core.errors import OrchestratorError
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.host.setup import state_folder
from orchestrator.inventory.load import load
from orchestrator.runs.pending import Pending, PendingSystems

ROOT = Path(__file__).parents[3]
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example fleet's state folder, in a place of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("ORCHESTRATOR_FLEET", str(ROOT))
    monkeypatch.chdir(ROOT)
    return state_folder(load(ROOT).fleet)


def put(state: Path, host: str, days: int) -> Path:
    """Have a system wait until so many days from now, and give its file."""
    now = datetime.now(UTC)
    system = Evaluated(DrvPath(f"{OUT}.drv"), OUT)
    since, expires = now - timedelta(days=9), now + timedelta(days=days)
    PendingSystems(state, print).put(
        Pending(host, system, 7, "me@here", None, "no route to host", since, expires)
    )
    return state / "pending" / f"{host}.json"


def typed(*words: str) -> Result:
    """Type a command."""
    return CliRunner().invoke(orchestrator, words)


def test_what_waits_is_listed(state: Path) -> None:
    """`pending` lists what waits as a table for people, and as JSON."""
    put(state, "razer", 3)
    assert "9 d ago" in typed("pending", "list").stdout
    assert json.loads(typed("pending", "list", "--json").stdout)["razer"]["run"] == 7


def test_what_has_expired_is_dropped_and_told(state: Path) -> None:
    """`pending` drops what has expired, and says so on stderr."""
    file = put(state, "razer", -1)
    done = typed("pending", "list", "--json")
    assert json.loads(done.stdout) == {}
    assert "razer: what began to wait for it 9 d ago, in run 7, has expired" in done.stderr
    assert not file.exists()


def test_a_damaged_file_stops_no_command(state: Path) -> None:
    """A damaged pending file is named on standard error, and the others are listed."""
    put(state, "razer", 3)
    put(state, "samsung", 3).write_text("{")
    done = typed("pending", "list", "--json")
    assert list(json.loads(done.stdout)) == ["razer"]
    assert "samsung is damaged" in done.stderr


def test_one_is_dropped_by_hand(state: Path) -> None:
    """Told once; the second time there is nothing to drop."""
    file = put(state, "razer", 3)
    assert typed("pending", "drop", "razer").exit_code == 0
    assert not file.exists()
    with pytest.raises(OrchestratorError, match="nothing is pending for 'razer'"):
        orchestrator.main(["pending", "drop", "razer"], standalone_mode=False)


def test_what_was_dropped_is_said_to_a_script(state: Path) -> None:
    """As `pending list` has it; where nothing was pending, the error, with its exit code."""
    put(state, "razer", 3)
    listed = json.loads(typed("pending", "list", "--json").stdout)["razer"]
    done = typed("pending", "drop", "razer", "--json")
    assert json.loads(done.stdout) == {"ok": True, "host": "razer", "dropped": listed}
    assert (listed["out_path"], listed["run"]) == (OUT.path, 7)
    done = typed("pending", "drop", "razer", "--json")
    assert done.exit_code != 0
    assert json.loads(done.stdout) == {
        "ok": False,
        "error": {
            "message": "nothing is pending for 'razer'",
            "hint": "what does: orchestrator pending list",
        },
    }


def test_nothing_to_catch_up_with_makes_no_run(state: Path) -> None:
    """Exit code 0, and no number is used up."""
    done = CliRunner().invoke(
        orchestrator, ["pending", "deliver", "--no-lab"], standalone_mode=False
    )
    assert done.return_value == 0
    assert "nothing is pending" in done.stderr
    assert not (state / "runs").exists()


def test_what_cannot_be_read_is_no_success(state: Path) -> None:
    """Nobody reads that nothing is pending where a file of it cannot be read; it is named once."""
    (state / "pending").mkdir(parents=True)
    (state / "pending/p510.json").mkdir()
    words = ["pending", "deliver", "--no-lab"]
    done = CliRunner().invoke(orchestrator, words, standalone_mode=False)
    assert done.return_value == 1
    assert "nothing is pending" not in done.stderr
    assert done.stderr.count("what waits for p510 cannot be read") == 1


@pytest.mark.parametrize("time", ["0s", "0.5s", "-1m", "1w", "soon"])
def test_a_time_that_is_none(time: str) -> None:
    """A duration of at least a second: it would ask without end else."""
    done = typed("pending", "deliver", "--watch", "--interval", time)
    assert done.exit_code == 2
    assert "--interval" in done.stderr
    assert "expected" in done.stderr


@pytest.mark.parametrize("goal", ["test", "push", "dry-activate", "build"])
def test_what_cannot_wait_is_not_deferred(goal: str) -> None:
    """Only what is switched to or booted waits."""
    done = typed("deploy", "--unreachable", "defer", "--goal", goal)
    assert done.exit_code == 2
    assert "for those who watch" in done.stderr
