"""A person's own commands on hosts: one command on many of them, or a terminal on one."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import sys
import threading
import time
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

from fabric.group import GroupException

from orchestrator.core.bounds import TooMuchError
from orchestrator.core.errors import BugError, FloodError, StepError, UnreachableError
from orchestrator.core.executor import Executor, Running, Window
from orchestrator.core.host import Host
from orchestrator.core.units import whole_number
from orchestrator.host.scripts import ANNOUNCED, END, script
from orchestrator.host.setup import Setup, reach
from orchestrator.ssh.channel import EventLoop
from orchestrator.ssh.executor import open_ssh
from orchestrator.ssh.runner import (
    ByteSink,
    Call,
    Descriptor,
    Runner,
    Sessions,
    StoppedError,
    SudoPrompt,
    TimeLimitError,
    raw_terminal,
)

_MOST = 1 << 16
"""Bytes in which a command's process is looked for: a login shell may say something before."""

_END_SECONDS = 6.0
_KNOWN_SECONDS = 2.0
"""Within which a command that was just started says which process it is."""


class ExecStatus(Enum):
    """What came of a command on one host."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    TIMED_OUT = "timed out"
    INTERRUPTED = "interrupted"
    NOT_RUN = "not run"


@dataclass(frozen=True, slots=True)
class ExecRequest:
    """What is to be run.

    Attributes:
        argv: The command and its arguments: quoted by us, read by no shell.
        root: Whether it runs as root, through sudo where the login is another user.
        timeout: Seconds for the command on each host; ``None``: as long as it takes.
        jobs: On how many hosts at the same time.
    """

    argv: tuple[str, ...]
    root: bool = False
    timeout: float | None = None
    jobs: int = 32


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What came of a command on one host.

    Attributes:
        exit_code: Negative for a signal's number; ``None`` where it is not known.
        seconds: From the first packet to its end.
        error: Why there is no exit code.
        may_run: Whether the command may still run there.
    """

    host: str
    status: ExecStatus
    exit_code: int | None = None
    seconds: float = 0.0
    error: StepError | None = None
    may_run: bool = False


class ExecOutput(Protocol):
    """Takes what commands say, in the threads in which they run."""

    def sink(self, host: str, *, stderr: bool) -> ByteSink:
        """Give what takes a stream of a host."""

    def ended(self, result: ExecResult) -> None:
        """Take what came of it; the host says nothing after this."""

    def stopping(self) -> None:
        """A person wants to stop: what runs is being ended."""


def execute(
    setup: Setup, hosts: Sequence[Host], request: ExecRequest, output: ExecOutput
) -> tuple[tuple[ExecResult, ...], bool]:
    """Run one command on hosts, so many at the same time.

    Returns:
        What came of it on each host, in their order; and whether a person stopped it.
    """
    with EventLoop() as loop:
        jobs = min(request.jobs, setup.fleet.limits.connections)
        members = [_OnHost(loop, setup, host, request, output) for host in hosts]
        interrupted = False
        try:
            Sessions(members, jobs, output.stopping).run()
        except KeyboardInterrupt:
            interrupted = True
        except GroupException as error:  # a host's own failure is no exception: this is a bug
            raise next(iter(error.result.failed.values())) from None
        for member in members:
            member.tell()
        return tuple(member.result for member in members), interrupted


class _OnHost:
    """One host's part of it: a member of Fabric's group."""

    def __init__(
        self,
        loop: EventLoop,
        setup: Setup,
        host: Host,
        request: ExecRequest,
        output: ExecOutput,
    ) -> None:
        self._loop = loop
        self._setup = setup
        self._host = host
        self._request = request
        self._output = output
        self._err = _Announced(output.sink(host.name, stderr=True))
        self._out = output.sink(host.name, stderr=False)
        self._stopped = threading.Event()
        self._connecting: Any = None
        self._runner: Runner | None = None
        self._told = False
        self._begun = False
        self._gone = False
        self.result = ExecResult(host.name, ExecStatus.NOT_RUN)

    def run(self) -> None:
        """Run the command; whatever comes of it is told, and is no exception."""
        began = time.monotonic()
        status, code, error = self._outcome()
        self._err.end()
        seconds = time.monotonic() - began
        left = code is None and self._begun and not self._gone
        self.result = ExecResult(self._host.name, status, code, seconds, error, left)
        self.tell()

    def tell(self) -> None:
        """Tell what came of it, once; of a host whose turn did not come, that."""
        if not self._told:
            self._told = True
            self._output.ended(self.result)

    def _outcome(self) -> tuple[ExecStatus, int | None, StepError | None]:
        try:
            code = self._run()
        except TimeLimitError as error:
            return ExecStatus.TIMED_OUT, None, error
        except (StoppedError, CancelledError):
            status = ExecStatus.INTERRUPTED if self._begun else ExecStatus.NOT_RUN
            return status, None, None
        except UnreachableError as error:
            return ExecStatus.UNREACHABLE, None, error
        except StepError as error:
            return ExecStatus.FAILED, None, error
        except Exception as bug:
            return ExecStatus.FAILED, None, BugError(bug)
        return (ExecStatus.FAILED if code else ExecStatus.SUCCEEDED), code, None

    def _run(self) -> int:
        if self._stopped.is_set():
            raise StoppedError("it was not begun")
        way = reach(self._setup, self._host)
        self._connecting = self._loop.submit(way.__aenter__())
        executor = self._connecting.result()
        try:
            return self._on(executor)
        finally:
            with contextlib.suppress(StepError):
                self._loop.call(way.__aexit__(None, None, None))

    def _on(self, executor: Executor) -> int:
        argv = script(ANNOUNCED, self._err.word.decode(), *self._request.argv)

        @contextlib.asynccontextmanager
        async def begin(_: Window | None) -> AsyncIterator[Running]:
            async with executor.start(argv, root=self._request.root) as running:
                self._begun = True
                yield running

        self._runner = Runner(Call(self._loop, begin, lambda: self._end(executor)))
        if self._stopped.is_set():
            raise StoppedError("it was not begun")
        try:
            return self._runner.outcome(
                shlex.join(self._request.argv),
                in_stream=False,
                out_stream=self._out,
                err_stream=self._err,
                timeout=self._request.timeout,
            )
        except TooMuchError as error:
            self._end(executor)
            raise FloodError(
                f"the command printed {error}, and was cut off",
                hint="without --json there is no bound; or have the command print less",
            ) from None

    def _end(self, executor: Executor) -> None:
        """Have the command end on its host, as far as that can be done."""
        self._err.known.wait(_KNOWN_SECONDS)
        if self._err.process is None:
            return
        argv = script(END, *map(str, self._err.process))
        with contextlib.suppress(StepError, CancelledError):
            end = executor.run(argv, deadline=_END_SECONDS, root=self._request.root)
            self._gone = self._loop.call(end).rc == 0

    def stop(self) -> None:
        """Have it end."""
        self._stopped.set()
        if self._runner is not None:
            self._runner.stop_it()
        elif self._connecting is not None:
            self._connecting.cancel()


class _Announced:
    """Takes off a command's standard error what says which process it is.

    Attributes:
        word: What that line begins with: nobody else knows it.
        process: The process and its group; ``None`` before it is known.
        known: Set when it is, or when nobody will ever say.
    """

    def __init__(self, rest: ByteSink) -> None:
        self.word = secrets.token_hex(16).encode()
        self.process: tuple[int, int] | None = None
        self.known = threading.Event()
        self._rest = rest
        self._held: bytes | None = b""

    def write(self, data: bytes) -> None:
        """Take a piece."""
        if self._held is None:
            self._rest.write(data)
            return
        self._held += data
        before, word, after = self._held.partition(self.word + b" ")
        line, end, rest = after.partition(b"\n")
        if word and end:
            self._said(line.decode(errors="replace").split(" "))
            self._hand_on(before + rest)
        elif len(self._held) > _MOST:
            self._hand_on(self._held)

    def _said(self, words: Sequence[str]) -> None:
        numbers = [whole_number(word) for word in words]
        match numbers:
            case [int(process), int(group)] if process > 1 and group > 1:
                self.process = (process, group)

    def _hand_on(self, data: bytes) -> None:
        self._held = None
        self.known.set()
        if data:
            self._rest.write(data)

    def end(self) -> None:
        """Hand on what was held back."""
        if self._held is not None:
            self._hand_on(self._held)


def log_in(setup: Setup, host: Host, argv: Sequence[str], *, root: bool) -> int:
    """Give a person a terminal on a host, or pass the streams of a script on where there is none.

    Args:
        setup: The fleet.
        host: The host; also the machine one sits on is reached by SSH.
        argv: The command and its arguments; none: a login shell.
        root: Whether it runs as root; in a terminal sudo asks there.

    Returns:
        Its exit code: negative for a signal's number.

    Raises:
        UnreachableError: The host does not answer, or the connection was lost.
        StepError: The login or the host key was refused.
    """
    prompt = f"sudo password for {host.name} ({secrets.token_hex(4)}): "
    answers: list[str] = []
    in_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    words = tuple(argv) or (("/bin/sh",) if root and not in_terminal else ())
    way = open_ssh(host, setup.ssh, setup.passwords.of(host))

    @contextlib.asynccontextmanager
    async def begin(window: Window | None) -> AsyncIterator[Running]:
        if window is None:
            async with executor.start(words, root=root) as running:
                yield running
            return
        there = executor.terminal(words, window, root=root, prompt=prompt)
        async with there as (running, password):
            answers.extend([password.secret] if password is not None else [])
            yield running

    with EventLoop() as loop:
        executor = loop.call(way.__aenter__())
        try:
            runner = Runner(Call(loop, begin, lambda: None))
            with raw_terminal(0) if in_terminal else contextlib.nullcontext():
                return runner.outcome(
                    shlex.join(words),
                    pty=in_terminal,
                    in_stream=sys.stdin,
                    out_stream=Descriptor(1),
                    err_stream=Descriptor(2),
                    watchers=[SudoPrompt(prompt, answers)],
                )
        finally:
            with contextlib.suppress(StepError):
                loop.call(way.__aexit__(None, None, None))
