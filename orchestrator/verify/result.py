"""What verification found on a host."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from orchestrator.core.errors import StepError
from orchestrator.core.lines import split_lines

# A report shows the last twenty lines: the first failure in full, and what else failed.
_ACCOUNT = 12
_OTHERS = 6


@dataclass(frozen=True, slots=True)
class Check:
    """A check that was run: its last try.

    Attributes:
        name: pytest's node id, such as ``tests/verify/test_every_host.py::test_name``.
        outcome: ``passed``, ``failed`` or ``skipped``.
        seconds: How long the last try took.
        message: Why it failed or was skipped, in one line.
        output: pytest's account of the failure.
        command: The last command that it ran on the host, where it failed.
        said: That command's exit code and output, in lines.
        tries: How often it was tried.
    """

    name: str
    outcome: str
    seconds: float = 0.0
    message: str = ""
    output: str = ""
    command: str | None = None
    said: tuple[str, ...] = ()
    tries: int = 1


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """A check that failed at its last try, or a suite that could not be run.

    Attributes:
        check: Its name.
        message: Why, in one line.
        command: The last command that it ran on the host.
        output: What that command said, then pytest's account.
        tries: How often it was tried.
    """

    check: str
    message: str
    command: str | None = None
    output: str = ""
    tries: int = 1

    def __str__(self) -> str:
        tried = f" ({self.tries} tries)" if self.tries > 1 else ""
        return f"{self.check}: {self.message}{tried}"


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of all of a host's suites.

    Attributes:
        host: The host's name.
        passed: How many checks passed.
        skipped: How many checks skipped themselves.
        failures: What failed; empty means verified.
        flapped: Checks that passed only when tried again.
        seconds: How long all of it took.
    """

    host: str
    passed: int
    skipped: int
    failures: tuple[CheckFailure, ...]
    flapped: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the host is verified."""
        return not self.failures

    @property
    def summary(self) -> str:
        """The result in a few words, such as ``9 checks passed, 1 skipped``."""
        parts = [f"{self.passed} {'check' if self.passed == 1 else 'checks'} passed"]
        if self.failures:
            parts.append(f"{len(self.failures)} failed")
        if self.skipped:
            parts.append(f"{self.skipped} skipped")
        return ", ".join(parts)

    def error(self) -> StepError:
        """Put the failures into the error that ends the step: the check, its command, its output.

        Raises:
            ValueError: Nothing failed.
        """
        if not self.failures:
            raise ValueError("nothing failed")
        first, *more = self.failures
        message = f"{first}" + (f" (and {len(more)} more)" if more else "")
        others = [f"FAILED {failure}" for failure in more[:_OTHERS]]
        if len(more) > _OTHERS:
            others.append(f"… and {len(more) - _OTHERS} more, all of them in the log")
        return StepError(
            message,
            command=self._by_hand(first.command),
            stderr="\n".join([*_account(first), *others]),
        )

    def _by_hand(self, command: str | None) -> str | None:
        if command is None:
            return None
        return f"orchestrator host ssh {self.host} {shlex.quote(command)}"


def _account(failure: CheckFailure) -> list[str]:
    # A traceback's end tells the cause.
    told = split_lines(failure.output.rstrip())[-_ACCOUNT:]
    return [f"FAILED {failure}", *(f"  {line}" for line in told)]
