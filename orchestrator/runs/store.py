"""All runs of a fleet on this machine: the one way to what they left, and to begin another one."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.core.errors import OrchestratorError, UsageError, cause_of
from orchestrator.core.run import DeployRequest, PastRun, Run
from orchestrator.core.store import OutPath
from orchestrator.core.units import whole_number
from orchestrator.runs.folder import RunFolder
from orchestrator.runs.journal import Journal

if TYPE_CHECKING:
    from orchestrator.runs.index import Index

FOLDER, DATABASE = "runs", "history.db"
"""In a fleet's state folder."""

_REMOVED = ".removed-"
_LIST = "orchestrator run list"


class Removed(Struct, frozen=True):
    """What was made of a run that was to be removed.

    Attributes:
        size: Bytes that its files had.
        why_not: Why it is there still; ``None`` where it is gone.
    """

    number: int
    size: int
    why_not: str | None = None


class Runs:
    """The runs of one fleet. Any number of processes may use it at the same time.

    Args:
        state: The fleet's state folder.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / FOLDER
        self._database = state / DATABASE

    def begin(self, who: str, revision: str | None, request: DeployRequest) -> Journal:
        """Begin a run: it gets a number that no other one has, and a folder.

        Args:
            who: ``user@machine``.
            revision: The fleet's git revision.
            request: What is asked for, with its waves.

        Returns:
            What the run writes down; to be closed at its end.

        Raises:
            OrchestratorError: There is no place for the run's folder.
        """
        title = request.title or request.goal.value
        if request.plan_only:
            title = f"plan {title}"
        with self._alone():
            number, folder, notices = self._claim()
            run = Run(number, str(folder), who, revision, datetime.now(UTC), title)
            token = f"{number}-{secrets.token_hex(4)}"
            return Journal(run, request, token, notices=notices)

    def numbers(self) -> list[int]:
        """The runs that there are, newest first."""
        with contextlib.suppress(OSError):
            found = {path.name: whole_number(path.name) for path in self._folder.iterdir()}
            # Not 007, which would be a second name of 7.
            numbers = (number for name, number in found.items() if str(number) == name)
            return sorted((number for number in numbers if number is not None), reverse=True)
        return []

    def require(self) -> None:
        """Refuse to speak of runs where their folder cannot be read.

        Raises:
            OrchestratorError: It cannot.
        """
        try:
            os.scandir(self._folder).close()
        except FileNotFoundError:
            return
        except OSError as error:
            raise OrchestratorError(
                f"{self._folder} cannot be read: {error.strerror}",
                hint="the folder of a fleet's runs is below XDG_STATE_HOME",
            ) from error

    def folder(self, number: int) -> RunFolder:
        """What a run left; it need not be there."""
        return RunFolder(self._folder, number)

    def run(self, number: int) -> RunFolder:
        """What a run left.

        Raises:
            UsageError: There is no such run.
        """
        found = self.folder(number)
        if not found.is_there:
            raise UsageError(
                f"there is no run {number} of this fleet on this machine",
                hint=f"{_LIST} lists those that there are",
            )
        return found

    def recent(self, count: int) -> list[PastRun]:
        """The newest runs, newest first."""
        return self._index().recent(count)

    def last_reached(self, host: str) -> datetime | None:
        """When the last run began that ended with the host at its target; ``None``: unknown."""
        return self._index().last_reached(host)

    def has_deployed(self, host: str, system: OutPath) -> bool:
        """Whether a run from here brought a host to a system that was evaluated for it.

        What a host was before a run, or rolled back to, is the host's own word, and does not count.
        """
        return self._index().has_deployed(host, system.path)

    def deployments(self) -> dict[str, list[int]]:
        """The runs that deployed each host, newest first."""
        return self._index().deployments()

    def remove(self, number: int) -> Removed:
        """Remove a run, unless it is alive."""
        folder = self.folder(number)
        with self._alone():
            size, gone = folder.size(), self._folder / f"{_REMOVED}{number}"
            if folder.is_alive:
                return Removed(number, size, "it goes on")
            try:
                if not folder.is_there:
                    raise NotADirectoryError(f"{folder.path} is a link, or no folder")
                # From here on it is no run any more, though this process be killed.
                folder.path.rename(gone)
                shutil.rmtree(gone)
            except OSError as error:
                return Removed(number, size, cause_of(error))
        return Removed(number, size)

    def sweep(self) -> None:
        """Remove what is left of runs whose removal was cut off."""
        with self._alone(), contextlib.suppress(OSError):
            for rest in self._folder.glob(f"{_REMOVED}*"):
                shutil.rmtree(rest, ignore_errors=True)

    def _index(self) -> Index:
        # SQLite takes long to import; a deployment of hosts that answer does without.
        from orchestrator.runs.index import Index

        return Index(self._database, lambda: [self.folder(number) for number in self.numbers()])

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Be the only one that makes or removes runs, where the file system knows locks."""
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                lock = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                stack.callback(os.close, lock)
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _claim(self) -> tuple[int, Path, tuple[str, ...]]:
        """Make the folder of the next run; among temporary files where it cannot be made here."""
        number = max(self.numbers(), default=0) + 1
        try:
            while True:
                with contextlib.suppress(FileExistsError):
                    folder = self._folder / str(number)
                    folder.mkdir(mode=0o700)
                    return number, folder, ()
                number += 1
        except OSError as error:
            folder = _elsewhere(number, error)
            return number, folder, (f"the run's folder is {folder}: {cause_of(error)}",)


def _elsewhere(number: int, error: OSError) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix=f"orchestrator-run-{number}-"))
    except OSError as other:
        raise OrchestratorError(
            f"the run's folder cannot be made: {cause_of(error)}; "
            f"nor among temporary files: {cause_of(other)}",
            hint="nothing was changed; make room, or set XDG_STATE_HOME to where there is some",
        ) from other
