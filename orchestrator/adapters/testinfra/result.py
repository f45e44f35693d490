"""What verification found on a host."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.errors import StepError


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
        passed: How many checks passed.
        skipped: How many checks skipped themselves.
        failures: What failed; empty means verified.
        flapped: Checks that passed only when tried again.
        seconds: How long all of it took.
    """

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
        first, more = self.failures[0], len(self.failures) - 1
        message = f"{first}" + (f" (and {more} more)" if more else "")
        return StepError(
            message,
            command=first.command,
            stderr="\n".join(line for failure in self.failures for line in _account(failure)),
        )


def _account(failure: CheckFailure) -> list[str]:
    command = [f"  on the host: {failure.command}"] if failure.command else []
    # A traceback's end tells the cause, and a report shows the last twenty lines only.
    told = failure.output.rstrip().splitlines()[-12:]
    return [f"FAILED {failure}", *command, *(f"  {line}" for line in told)]
