"""What suites found: results, their records, JUnit XML."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as Xml

from orchestrator.core import files
from orchestrator.core.errors import StepError
from orchestrator.core.stored import DamagedError, decode
from orchestrator.core.units import split_lines
from orchestrator.verify.server import (
    Checked,
    Collected,
    Ended,
    Recorded,
    Said,
    Started,
    Unreadable,
)

# A report shows the last twenty lines: the first failure in full, and what else failed.
_ACCOUNT = 12
_OTHERS = 6


@dataclass(frozen=True, slots=True)
class SuiteCheck:
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
        return f"orchestrator host exec {self.host} -- sh -c {shlex.quote(command)}"


def _account(failure: CheckFailure) -> list[str]:
    # A traceback's end tells the cause.
    told = split_lines(failure.output.rstrip())[-_ACCOUNT:]
    return [f"FAILED {failure}", *(f"  {line}" for line in told)]


_COMMANDS = 3
"""How many of a failed check's commands are told: the last one is nearly always the cause."""


@dataclass(frozen=True, slots=True)
class SuiteAttempt:
    """One run of pytest.

    Attributes:
        checks: Those that ended, in their order.
        unreadable: Suites that could not be collected.
        collected: How many checks there were to run; ``None`` where pytest did not get so far.
        running: The check that had begun and did not end.
        ended: Whether pytest came to its end by itself.
    """

    checks: tuple[SuiteCheck, ...] = ()
    unreadable: tuple[CheckFailure, ...] = ()
    collected: int | None = None
    running: str | None = None
    ended: bool = False


def read(text: bytes) -> SuiteAttempt:
    """Read the recorded lines; the last one may be cut off where pytest was killed."""
    records = tuple(_records(text))
    checks = tuple(_check(one) for one in records if isinstance(one, Checked))
    begun = [one.check for one in records if isinstance(one, Started)]
    return SuiteAttempt(
        checks=checks,
        unreadable=tuple(_unreadable(one) for one in records if isinstance(one, Unreadable)),
        collected=next((one.count for one in records if isinstance(one, Collected)), None),
        running=begun[-1] if len(begun) > len(checks) else None,
        ended=any(isinstance(one, Ended) for one in records),
    )


def _records(text: bytes) -> Iterator[Collected | Unreadable | Started | Checked | Ended]:
    for line in text.split(b"\n"):
        with contextlib.suppress(DamagedError):
            yield decode(Recorded, line).what


def _check(line: Checked) -> SuiteCheck:
    return SuiteCheck(
        name=line.check,
        outcome=line.outcome,
        seconds=line.seconds,
        message=line.message,
        output=line.output,
        command=line.commands[-1].command if line.commands else None,
        said=tuple(text for command in line.commands[-_COMMANDS:] for text in _said(command)),
    )


def _said(said: Said) -> Iterable[str]:
    yield f"$ {said.command}  (exit {said.rc})"
    yield from split_lines(said.stdout)
    yield from split_lines(said.stderr)


def _unreadable(line: Unreadable) -> CheckFailure:
    return CheckFailure(
        check=line.check or "verification",
        message=f"the suite could not be read: {line.message}",
        output=line.output,
    )


# XML 1.0 section 2.2 has no other characters.
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def suite(host: str, checks: Sequence[SuiteCheck], failures: Sequence[CheckFailure]) -> Xml.Element:
    """Build a host's test suite.

    Args:
        host: Its name.
        checks: Every check that ended.
        failures: Everything that failed; those that are no check (a suite that could not be read,
            a deadline) become test cases of their own, in error.
    """
    names = {check.name for check in checks}
    others = [failure for failure in failures if failure.check not in names]
    element = Xml.Element(
        "testsuite",
        name=host,
        tests=str(len(checks) + len(others)),
        failures=str(sum(check.outcome == "failed" for check in checks)),
        errors=str(len(others)),
        skipped=str(sum(check.outcome == "skipped" for check in checks)),
        time=f"{sum(check.seconds for check in checks):.3f}",
    )
    for check in checks:
        _add_check(element, host, check)
    for failure in others:
        _add_error(element, host, failure)
    return element


def write(path: Path, suites: Iterable[Xml.Element]) -> None:
    """Write a document of test suites, whole or not at all.

    Raises:
        OSError: It could not be written.
    """
    root = Xml.Element("testsuites", name="orchestrator verify")
    root.extend(suites)
    Xml.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.replace(path, Xml.tostring(root, encoding="utf-8", xml_declaration=True))


def merge(paths: Iterable[Path], into: Path) -> None:
    """Put the hosts' documents into one for the run; a host that has none is left out."""
    # Only ever reads what ``write`` wrote.
    trees = [Xml.parse(path) for path in paths if path.exists()]  # noqa: S314
    write(into, [suite for tree in trees for suite in tree.getroot().findall("testsuite")])


def _add_check(parent: Xml.Element, host: str, check: SuiteCheck) -> None:
    file, _, name = check.name.partition("::")
    case = Xml.SubElement(
        parent,
        "testcase",
        classname=_legal(f"{host}.{file}"),
        name=_legal(name or file),
        time=f"{check.seconds:.3f}",
    )
    if check.outcome == "failed":
        failure = Xml.SubElement(case, "failure", message=_legal(check.message))
        failure.text = _legal("\n".join([*check.said, check.output]))
    elif check.outcome == "skipped":
        Xml.SubElement(case, "skipped", message=_legal(check.message))


def _add_error(parent: Xml.Element, host: str, failure: CheckFailure) -> None:
    case = Xml.SubElement(
        parent, "testcase", classname=host, name=_legal(failure.check), time="0.000"
    )
    error = Xml.SubElement(case, "error", message=_legal(failure.message))
    error.text = _legal(failure.output)


def _legal(text: str) -> str:
    return _ILLEGAL.sub("�", text)
