"""Verify a host: run its suites, try again what failed, and tell."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from orchestrator.core import files, machine, process
from orchestrator.core.bounds import OUTPUT
from orchestrator.core.errors import StepError
from orchestrator.core.host import Host
from orchestrator.core.process import CommandResult, how_it_ended
from orchestrator.core.units import split_lines
from orchestrator.core.values import replace
from orchestrator.verify import result as verify_result
from orchestrator.verify.result import CheckFailure, SuiteAttempt, SuiteCheck, Verification
from orchestrator.verify.server import RunCommand, Spec, command, facts, serve

_WHOLE = "verification"
"""The name of a failure that is no single check's."""

_SOCKET_PATH = 107
"""Bytes that a unix socket's path may have (unix(7)), without the closing zero."""


async def verify(
    host: Host,
    suites: Sequence[Path],
    run: RunCommand,
    *,
    folder: Path,
    junit: Path,
    log: Callable[[str], None],
    root: Path | None = None,
) -> Verification:
    """Run a host's suites against it, over the deployment's own connection.

    Waits ``host.verify.settle`` seconds first; ``host.deadlines.verify`` counts from then on.

    Args:
        host: The host; its ``verify`` tells the settle time, the retries and their interval.
        suites: Test files or folders, at least one.
        run: Runs a shell command on the host as root.
        folder: Where a private folder for the run is made, and taken away again.
        junit: The JUnit XML file to write.
        log: Takes lines for the host's log.
        root: What the checks' names are relative to; by default, and where a suite is elsewhere,
            the folder that all suites share.

    Returns:
        The result. A suite that is missing, cannot be read, has no check, hangs or crashes is a
        failure in it, never an exception.

    Raises:
        ValueError: There are no suites; the caller says that nothing was verified.
    """
    if not suites:
        raise ValueError("no suites")
    await asyncio.sleep(host.verify.settle)
    begun = time.monotonic()
    suites = [suite.resolve() for suite in suites]
    state = _Verifying(host, suites, _shared_folder(suites, root), log)
    missing = [suite for suite in suites if not suite.exists()]
    if missing:
        state.failed(*(CheckFailure(str(suite), "the suite does not exist") for suite in missing))
    else:
        await _within_deadline(state, run, folder)
    result = state.result(time.monotonic() - begun)
    suite = verify_result.suite(host.name, list(state.checks.values()), result.failures)
    try:
        await asyncio.to_thread(verify_result.write, junit, [suite])
    except OSError as error:  # such as a full disk: what was verified is verified all the same
        log(f"verify: {junit} could not be written: {error.strerror}")
    return result


async def _within_deadline(state: _Verifying, run: RunCommand, folder: Path) -> None:
    seconds = state.host.deadlines.verify
    try:
        async with asyncio.timeout(seconds) as deadline:
            await _attempts(state, run, folder)
    except TimeoutError:
        if not deadline.expired():
            raise
        state.deadline_passed(seconds)
    except OSError as error:  # such as a full disk
        state.failed(
            CheckFailure(_WHOLE, f"its files in {folder} cannot be used: {error.strerror}")
        )


async def _attempts(state: _Verifying, run: RunCommand, folder: Path) -> None:
    async def logged(text: str) -> CommandResult:
        result = await run(text)
        state.log(f"verify: $ {text}  ({how_it_ended(result.rc)})")
        return result

    async with AsyncExitStack() as stack:
        private = Path(stack.enter_context(_private_folder(folder)))
        socket = await stack.enter_async_context(serve(logged, private))
        only: tuple[str, ...] | None = None
        for attempt in range(1 + state.host.verify.retries):
            state.results = private / f"results-{attempt}"
            spec = Spec(facts(state.host), str(socket), str(state.results), only)
            await _attempt(state, spec, private)
            only = state.to_repeat()
            if not only:
                return
            if attempt < state.host.verify.retries:
                state.log(f"verify: {len(only)} failed, trying again: {', '.join(only)}")
                await asyncio.sleep(state.host.verify.interval)


async def _attempt(state: _Verifying, spec: Spec, private: Path) -> None:
    path = private / "spec"
    files.save(path, spec)
    try:
        ended = await process.run(
            command(state.suites, state.root, private, path),
            # Only a bound beyond ours: ``_within_deadline`` tells which check was running.
            deadline=state.host.deadlines.verify + 60,
        )
    except asyncio.CancelledError:
        # The folder goes away with us, and the deadline's message needs what was recorded.
        state.take(partial=True)
        raise
    except StepError as error:  # such as a suite that prints without end
        state.take(partial=True)
        state.failed(CheckFailure(_WHOLE, error.message))
        return
    for line in split_lines(ended.out + "\n" + ended.err):
        state.log(f"verify: {line}")
    state.take(ended=ended)


class _Verifying:
    """What is known so far; a later try replaces what an earlier one said of a check."""

    def __init__(
        self, host: Host, suites: Sequence[Path], root: Path, log: Callable[[str], None]
    ) -> None:
        self.host = host
        self.suites = suites
        self.root = root
        self.log = log
        self.results = Path(os.devnull)
        self.checks: dict[str, SuiteCheck] = {}
        self._other: list[CheckFailure] = []
        self._running: str | None = None

    def failed(self, *failures: CheckFailure) -> None:
        self._other += failures

    def take(self, *, ended: CommandResult | None = None, partial: bool = False) -> None:
        """Take in what pytest recorded in this try."""
        attempt = verify_result.read(_beginning(self.results))
        for check in attempt.checks:
            before = self.checks.get(check.name)
            self.checks[check.name] = replace(check, tries=before.tries + 1 if before else 1)
        self._running = attempt.running
        # Suites are collected anew at each try, and cannot be read each time.
        if not self._other:
            self._other += attempt.unreadable
        if not partial and ended is not None:
            self._other += _whole_failures(attempt, ended)

    def to_repeat(self) -> tuple[str, ...]:
        """Name the checks that another try may mend; none where pytest itself failed."""
        if any(failure.check == _WHOLE for failure in self._other):
            return ()
        return tuple(name for name, check in self.checks.items() if check.outcome == "failed")

    def deadline_passed(self, seconds: float) -> None:
        running = f"; {self._running} was running" if self._running else ""
        self.failed(CheckFailure(_WHOLE, f"did not end within {seconds:g} s{running}"))

    def result(self, seconds: float) -> Verification:
        checks = self.checks.values()
        failed = [_failure(check) for check in checks if check.outcome == "failed"]
        passed = [check for check in checks if check.outcome == "passed"]
        skipped = sum(check.outcome == "skipped" for check in checks)
        if not (passed or failed or self._other):
            self.failed(CheckFailure(_WHOLE, f"all {skipped} checks were skipped"))
        return Verification(
            host=self.host.name,
            passed=len(passed),
            skipped=skipped,
            failures=(*self._other, *failed),
            flapped=tuple(check.name for check in passed if check.tries > 1),
            seconds=seconds,
        )


def _beginning(file: Path) -> bytes:
    """Read what a suite recorded, no more of it than a sound one records."""
    try:
        with file.open("rb") as stream:
            return stream.read(OUTPUT.size)
    except FileNotFoundError:
        return b""


def _failure(check: SuiteCheck) -> CheckFailure:
    output = "\n".join([*check.said, check.output])
    return CheckFailure(check.name, check.message, check.command, output, check.tries)


def _whole_failures(attempt: SuiteAttempt, ended: CommandResult) -> list[CheckFailure]:
    """Say what kept pytest from coming to a sound end."""
    # By name: two checks of one name would hide each other's results.
    ran = len({check.name for check in attempt.checks})
    if not attempt.ended or ended.rc not in (0, 1, 2, 5):
        during = f" during {attempt.running}" if attempt.running else ""
        message = f"pytest broke off{during}: {how_it_ended(ended.rc)}"
    elif not attempt.collected and not attempt.unreadable:
        message = "the suites hold no check"
    elif ran < (attempt.collected or 0):
        message = f"only {ran} of {attempt.collected} checks ran"
    else:
        return []
    return [CheckFailure(_WHOLE, message, output=(ended.err or ended.out)[-4000:])]


def _shared_folder(suites: Sequence[Path], root: Path | None) -> Path:
    # pytest names a check outside of its root without its file, so that names could clash.
    folders = [suite.parent for suite in suites]
    return Path(os.path.commonpath(folders if root is None else [*folders, root.resolve()]))


def _private_folder(folder: Path) -> tempfile.TemporaryDirectory[str]:
    """Make a folder that only we may enter, where a socket's path is short enough."""
    longest = len(os.fsencode(folder)) + len("/verify-xxxxxxxx/host.sock")
    place = str(folder) if longest <= _SOCKET_PATH else machine.temporary()
    return tempfile.TemporaryDirectory(prefix="verify-", dir=place)
