"""Runs of a fleet on this machine, as another terminal sees and orders them."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from orchestrator.core.errors import OrchestratorError, UsageError
from orchestrator.core.rollout_status import Order, RolloutStatus, Word
from orchestrator.runs.run_files import RunFiles
from orchestrator.runs.run_folders import RunFolders

ANSWER_SECONDS = 10.0
"""For a run to say that it has heard: it looks twice a second, and may be at something."""


class Runs:
    """The runs of one fleet.

    Args:
        state: The fleet's folder on this machine.
    """

    def __init__(self, state: Path) -> None:
        self._folder = state / "runs"

    def newest(self) -> int:
        """The newest run that tells where it is; plans have no rollout.

        Raises:
            UsageError: There is none.
        """
        for number in RunFolders(self._folder).numbers():
            if self._files(number).status() is not None:
                return number
        raise UsageError("there was no rollout of this fleet on this machine yet")

    def status(self, number: int) -> tuple[RolloutStatus, bool]:
        """Where a run is, and whether it lives.

        Raises:
            UsageError: There is no such run, or it does not tell.
        """
        files = self.files(number)
        alive = files.is_alive()
        status = files.status()
        if status is None:
            raise UsageError(f"run {number} tells nothing of a rollout", hint=_WHICH)
        return status, alive

    def order(self, number: int, word: Word, who: str) -> None:
        """Tell a run something, and wait until it has heard it.

        Raises:
            UsageError: There is no such run, or it does not live any more.
            OrchestratorError: It cannot be told, or does not answer.
        """
        files = self.files(number)
        if not files.is_alive():
            raise UsageError(
                f"run {number} does not go on any more: nothing can be told to it",
                hint=f"to go on with what it left: orchestrator resume {number}",
            )
        order = Order(secrets.token_hex(8), word, who)
        try:
            files.put_order(order)
        except OSError as error:
            raise OrchestratorError(f"run {number} cannot be told: {error}") from error
        until = time.monotonic() + ANSWER_SECONDS
        while not _has_heard(files, order):
            if not files.is_alive():
                raise UsageError(f"run {number} ended before it heard this", hint=_WHICH)
            if time.monotonic() > until:
                raise OrchestratorError(
                    f"run {number} has not answered within {ANSWER_SECONDS:.0f} s; it may yet",
                    hint=f"orchestrator rollout show {number}; its terminal takes Ctrl-C",
                )
            time.sleep(0.1)

    def files(self, number: int) -> RunFiles:
        """The files of a run.

        Raises:
            UsageError: There is no such run.
        """
        files = self._files(number)
        if not files.folder.is_dir():
            raise UsageError(f"there is no run {number} of this fleet here", hint=_WHICH)
        return files

    def _files(self, number: int) -> RunFiles:
        return RunFiles(self._folder / str(number))


_WHICH = "orchestrator history lists the runs that there are"


def _has_heard(files: RunFiles, order: Order) -> bool:
    status = files.status()
    return status is not None and status.answered == order.id
