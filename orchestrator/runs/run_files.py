"""The files by which a run and other terminals talk: in the run's folder, each replaced whole."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.core.json_text import parse_json
from orchestrator.core.rollout_status import Order, RolloutStatus, Standing, WaveStatus, Word

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
