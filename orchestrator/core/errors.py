"""The errors that a person is meant to read.

Everything that can be foreseen to go wrong is an ``OrchestratorError``: it has a message, what to
do next, and the exit code that ``docs/exit-codes.md`` promises. Anything else that is raised is a
bug and keeps its traceback.
"""

from __future__ import annotations

import traceback
from typing import ClassVar


class OrchestratorError(Exception):
    """A foreseen failure: what happened, and what to do next.

    Args:
        message: One sentence that names the host or file, the step and the cause.
        hint: What to do next; a command to repeat by hand where there is one.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def cause_of(error: Exception, *, named: bool = False) -> str:
    """Say why something failed in the operating system's words: ``No such file or directory``.

    Python's own text has a number before them; errors of others say it themselves.

    Args:
        error: What was raised.
        named: Add the file's name, where it is known: the message around it does not say it.
    """
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    file = getattr(error, "filename", None)
    return f"{words} ({file})" if named and file else words


class UsageError(OrchestratorError):
    """What was typed, or what the inventory says, cannot be carried out."""

    exit_code: ClassVar[int] = 2


_MESSAGE = 4000
_STDERR = 1 << 16
"""Characters of what may come from a host; of what a command said the end counts."""


def _cut(text: str) -> str:
    return text if len(text) <= _MESSAGE else f"{text[:_MESSAGE]}…"


class StepError(OrchestratorError):
    """A step on one host failed; its siblings go on.

    Args:
        message: What failed, in one sentence, without the host's name.
        hint: What to do next.
        command: The command to repeat by hand.
        stderr: What the command said, of which the end is kept; the last lines of it are shown.

    Attributes:
        step: The phase in which it failed; set once by whoever runs the phase.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        command: str | None = None,
        stderr: str = "",
    ) -> None:
        super().__init__(_cut(message), hint=hint)
        self.command = command
        self.stderr = stderr[-_STDERR:]
        self.step: str | None = None


class UnreachableError(StepError):
    """A host did not answer, or the connection to it was lost."""


class SilentError(UnreachableError):
    """A host took a connection, and then nobody spoke SSH there."""


class FloodError(StepError):
    """A host sent more in answer than anybody takes."""


class BugError(StepError):
    """What nobody foresaw, on one host: its siblings go on.

    Args:
        bug: What was raised; the end of its traceback is shown as a command's last lines are.
    """

    def __init__(self, bug: BaseException) -> None:
        super().__init__(
            f"a bug in the orchestrator: {type(bug).__name__}: {bug}",
            hint="report it, with these lines and the version: orchestrator --version",
            stderr="".join(traceback.format_exception(bug)),
        )
        self.__cause__ = bug


class RefusedError(StepError):
    """A check refused before anything was changed.

    Args:
        message: Why.
        hint: What to do next.
        command: The command to repeat by hand.
        stderr: What the command said.
        checks: The names of the checks, where they have some.
    """

    exit_code: ClassVar[int] = 4

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        command: str | None = None,
        stderr: str = "",
        checks: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, command=command, stderr=stderr)
        self.checks = checks
