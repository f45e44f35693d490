"""The folders of runs on this machine: they give the numbers, and tell of runs by themselves."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.json_text import parse_json
from orchestrator.core.run import Before, PastResult, PastRun
from orchestrator.core.store import OutPath
from orchestrator.runs.run_files import RunFiles

_MODE = 0o700


class RunFolders:
    """``runs/NUMBER`` below a fleet's state folder.

    Args:
        folder: It need not be there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def numbers(self) -> list[int]:
        """The runs that left a folder, newest first."""
        with contextlib.suppress(OSError):
            names = (path.name for path in self._folder.iterdir())
            return sorted((int(name) for name in names if name.isdecimal()), reverse=True)
        return []

    def last(self) -> int:
        """The highest number that was ever given, as far as folders tell."""
        return max(self.numbers(), default=0)

    def claim(self, number: int) -> Path:
        """Make a run's folder: of two that want a number, one gets it.

        Raises:
            FileExistsError: The number was given before.
            OSError: The folder cannot be made.
        """
        folder = self._folder / str(number)
        self._folder.mkdir(parents=True, exist_ok=True, mode=_MODE)
        folder.mkdir(mode=_MODE)
        return folder

    def claim_next(self) -> tuple[int, Path]:
        """Make the folder of the next run; among temporary files where it cannot be made here.

        Raises:
            OrchestratorError: There is no place for it at all.
        """
        number = self.last() + 1
        try:
            while True:
                with contextlib.suppress(FileExistsError):
                    return number, self.claim(number)
                number += 1
        except OSError as error:
            return number, _elsewhere(number, error)

    def read(self, number: int) -> PastRun:
        """Tell of a run what its folder tells; what it does not is empty."""
        began, report = self._began(number), self._report(number)
        hosts = _hosts(report)
        return PastRun(
            number=number,
            started=str(began.get("started") or self._made(number)),
            who=str(began.get("who") or ""),
            revision=began.get("revision"),
            goal=str(began.get("title") or began.get("goal") or ""),
            seconds=_number(report.get("seconds")),
            exit_code=code if isinstance(code := report.get("exit_code"), int) else None,
            hosts=tuple(sorted((name, str(host.get("outcome"))) for name, host in hosts.items())),
            kept=False,
            alive="exit_code" not in report and RunFiles(self._folder / str(number)).is_alive(),
        )

    def results(self, number: int) -> dict[str, PastResult]:
        """What became of each host in a run, as its report tells."""
        hosts = _hosts(self._report(number))
        return {name: _result(host) for name, host in hosts.items()}

    def _began(self, number: int) -> dict[str, Any]:
        """The run's first event."""
        file = self._folder / str(number) / "events.jsonl"
        with contextlib.suppress(OSError, ValueError), file.open(encoding="utf-8") as lines:
            return _fields(parse_json(lines.readline()))
        return {}

    def _report(self, number: int) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            text = (self._folder / str(number) / "report.json").read_text(encoding="utf-8")
            return _fields(parse_json(text))
        return {}

    def _made(self, number: int) -> str:
        with contextlib.suppress(OSError):
            seconds = (self._folder / str(number)).stat().st_mtime
            return datetime.fromtimestamp(seconds, UTC).isoformat()
        return datetime.fromtimestamp(0, UTC).isoformat()


def _elsewhere(number: int, error: OSError) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=f"orchestrator-run-{number}-"))
    except OSError as other:
        raise OrchestratorError(
            f"the run's folder cannot be made: {error}; nor among temporary files: {other}",
            hint="nothing was changed; make room, or set XDG_STATE_HOME to where there is some",
        ) from other


def _fields(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _hosts(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: _fields(host) for name, host in _fields(report.get("hosts")).items()}


def _result(host: Mapping[str, Any]) -> PastResult:
    before = _fields(host.get("before"))
    paths = [store_path(before.get(key)) for key in ("running", "profile", "boot_default")]
    return PastResult(
        outcome=str(host.get("outcome")),
        out_path=store_path(host.get("out_path")),
        before=Before(*paths) if any(paths) else None,
    )


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and math.isfinite(value) else None


def store_path(text: object) -> OutPath | None:
    """Read a path that was kept; ``None`` where it is none, or damaged."""
    with contextlib.suppress(ValueError):
        return OutPath.parse(str(text))
    return None
