"""A run's folder: its number, its files, what they say."""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from orchestrator.core.errors import OrchestratorError
from orchestrator.core.foreign import parse_json
from orchestrator.core.rollout import Order, RolloutStatus, Standing, WaveStatus, Word
from orchestrator.core.run import Before, PastResult, PastRun
from orchestrator.core.store import OutPath

FORMAT = 1


class RunFiles:
    """The files of one run.

    ``alive`` is locked for as long as its process lives, by flock(2): the kernel lets go of it
    whatever the process dies of. ``rollout.json`` is where it is. ``control`` is a word for it.

    Args:
        folder: The run's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextlib.contextmanager
    def living(self, token: str) -> Iterator[None]:
        """Show that this run is alive while the context is open.

        Args:
            token: Names it on hosts.

        Raises:
            OSError: That cannot be shown, such as on a full disk.
        """
        with (self.folder / "alive").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.write(token)
            file.flush()
            yield

    def is_alive(self) -> bool:
        """Whether the run's process lives, as far as can be told."""
        try:
            with (self.folder / "alive").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # such as none: it never lived, or could not show it
            return False
        return False

    def died(self, token: str) -> bool:
        """Whether this was the run of that token, and its process is no more."""
        with contextlib.suppress(OSError, ValueError):
            return not self.is_alive() and (self.folder / "alive").read_text() == token
        return False

    def write_status(self, status: RolloutStatus) -> None:
        """Replace what is told of the rollout.

        Raises:
            OSError: It cannot be written.
        """
        self.write("rollout.json", _status_json(status))

    def status(self) -> RolloutStatus | None:
        """Where the rollout is or was; ``None`` where nothing tells."""
        with contextlib.suppress(KeyError, TypeError, AttributeError, ValueError, OverflowError):
            return _status(self.read("rollout.json"))
        return None

    def put_order(self, order: Order) -> None:
        """Tell the run something; what it was told before and has not heard is gone.

        Raises:
            OSError: It cannot be written.
        """
        self.write("control", {"id": order.id, "word": order.word.value, "who": order.who})

    def order(self) -> Order | None:
        """What the run was told last."""
        with contextlib.suppress(KeyError, ValueError):
            found = self.read("control")
            return Order(str(found["id"]), Word(found["word"]), str(found["who"]))
        return None

    def write(self, name: str, content: dict[str, object]) -> None:
        """Replace a file, in one step.

        Raises:
            OSError: It cannot be written.
        """
        part = self.folder / f"{name}.part-{os.getpid()}"
        try:
            with open(part, "w", encoding="utf-8", opener=_private) as file:
                file.write(json.dumps(content, indent=1) + "\n")
            part.replace(self.folder / name)
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def read(self, name: str) -> dict[str, Any]:
        """Read a file.

        Returns:
            What it has; nothing where it is not there.

        Raises:
            ValueError: It is damaged, or of a newer format.
        """
        try:
            found = parse_json((self.folder / name).read_text(encoding="utf-8"))
        except OSError:
            return {}
        if not isinstance(found, dict):
            raise ValueError(f"{self.folder / name} is damaged")
        if found.get("format", FORMAT) != FORMAT:
            raise ValueError(f"{self.folder / name} is of a newer orchestrator")
        return found


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, mode=0o600)


def _status_json(status: RolloutStatus) -> dict[str, object]:
    return {
        "format": FORMAT,
        "run": status.run,
        "standing": status.standing.value,
        "why": status.why,
        "until": status.until.isoformat() if status.until else None,
        "answered": status.answered,
        "waves": [
            {"name": wave.name, "standing": wave.standing.value, "hosts": dict(wave.hosts)}
            for wave in status.waves
        ],
    }


def _status(found: dict[str, Any]) -> RolloutStatus:
    return RolloutStatus(
        run=int(found["run"]),
        standing=Standing(found["standing"]),
        waves=tuple(
            WaveStatus(str(wave["name"]), Standing(wave["standing"]), _hosts(wave["hosts"]))
            for wave in found["waves"]
        ),
        why=found["why"],
        until=_time(found["until"]) if found["until"] else None,
        answered=found["answered"],
    )


def _hosts(found: dict[str, Any]) -> dict[str, str]:
    if not all(isinstance(at, str) for at in found.values()):
        raise ValueError("a host is nowhere")
    return found


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return time


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
        hosts = _hosts_of(report)
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
        hosts = _hosts_of(self._report(number))
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


def _hosts_of(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
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
