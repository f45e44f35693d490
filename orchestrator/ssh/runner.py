"""Fabric's runners, prompts and groups, over our own sessions.

Fabric's ``Connection`` is never made: it opens a connection of paramiko's, which takes each host
key that it does not know, and forwards the agent where ``ssh_config`` says so. What is used of
Fabric stands above a channel, and the channel is ours: ``channel.py``.
"""

from __future__ import annotations

import contextlib
import os
import select
import termios
import threading
import time
import tty
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any, Protocol

from fabric.group import Group, GroupException, GroupResult
from fabric.runners import Remote
from invoke.config import Config
from invoke.exceptions import CommandTimedOut, ThreadException
from invoke.watchers import StreamWatcher

from orchestrator.core.errors import StepError
from orchestrator.ssh.channel import Begin, Channel, EventLoop

_PIECE = 1 << 15
_LOOK = 0.02
"""Seconds between two looks whether commands ended."""
_WATCHED = 1 << 14
"""Bytes of a session in which sudo may ask: it does before anything else is said."""

_CONFIG = Config(lazy=True)
"""Fabric's defaults; lazy: neither ``~/.invoke.yaml`` nor the environment says otherwise."""


class TimeLimitError(StepError):
    """A command did not end in time."""


class StoppedError(StepError):
    """A person stopped a command, or it was not begun any more."""


class ByteSink(Protocol):
    """Takes what a command prints, piece by piece."""

    def write(self, data: bytes) -> object:
        """Take a piece."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A file descriptor of this process, written to without a buffer and without a look at it."""

    number: int

    def write(self, data: bytes) -> None:
        """Write all of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.number, view) :]


@dataclass(frozen=True, slots=True)
class Call:
    """One command, as Fabric's runner wants its context.

    Attributes:
        loop: Where our sessions live.
        begin: Starts it.
        stop: Has it end on its host, as far as that can be done.
    """

    loop: EventLoop
    begin: Begin
    stop: Callable[[], object]

    @property
    def config(self) -> Config:
        """Fabric's settings."""
        return _CONFIG

    def create_session(self) -> Channel:
        """Give what the runner talks to."""
        return Channel(self.loop, self.begin)


class Runner(Remote):
    """Fabric's runner, for bytes instead of text, without keeping what was said.

    Its own decodes each piece by itself, which breaks characters in two, and keeps all of them.
    """

    channel: Channel

    def __init__(self, call: Call) -> None:
        super().__init__(context=call)
        self._call = call
        self._expired = False
        self._stopped = False
        self._stopping = threading.Lock()

    def start(self, command: str, shell: str, env: dict[str, str], timeout: None = None) -> None:
        """Start the command; one that is given no input sees the end of it."""
        super().start(command, shell, env, timeout)
        if not self.streams["in"]:
            self.channel.shutdown_write()

    def _handle_output(
        self,
        buffer_: list[str],  # noqa: ARG002 (all that was said)
        hide: bool,  # noqa: ARG002
        output: ByteSink,
        reader: Callable[[int], bytes],
    ) -> None:
        said = ""
        while data := reader(_PIECE):
            output.write(data)
            if self.watchers and len(said) < _WATCHED:
                said += self.decode(data)
                self.respond([said])

    def handle_stdin(self, input_: IO[Any], output: object, echo: bool = False) -> None:  # noqa: ARG002
        """Pass on what is typed or piped, as bytes; ``~.`` at a line's start leaves a terminal."""
        source, escape = input_.fileno(), Escape()
        while not self.program_finished.is_set():
            if not select.select((source,), (), (), 0.05)[0]:
                continue
            data = os.read(source, _PIECE)
            if self.using_pty:
                data = escape.passed(data)
                if escape.left:
                    self.stop_it()
                    return
            elif not data:
                self.close_proc_stdin()
                return
            self._write_proc_stdin(data)

    def wait(self) -> None:
        """Wait for its end, without looking a hundred times a second."""
        while not self.channel.ended(0.2) and not self.has_dead_threads:
            pass

    def kill(self) -> None:
        """End it: its time is over."""
        self._expired = True
        self.stop_it()

    def stop_it(self) -> None:
        """End it as far as that can be done, and leave it."""
        with self._stopping:
            self._stopped = True
            self._call.stop()
            self.channel.close()

    @property
    def timed_out(self) -> bool:
        """Whether its time was over before it ended."""
        return self._expired

    def outcome(self, command: str, **options: Any) -> int:
        """Run the command to its end.

        Returns:
            Its exit code: negative for a signal's number.

        Raises:
            TimeLimitError: It did not end in time.
            StoppedError: It was left before its end.
            UnreachableError: The connection was lost.
        """
        try:
            result = self.run(command, warn=True, env={}, encoding="utf-8", **options)
        except CommandTimedOut as error:
            message = f"it did not end within {error.timeout:g} s"
            raise TimeLimitError(message) from None
        except ThreadException as error:
            raise error.exceptions[0].value from None
        except CancelledError:
            raise StoppedError("it was not begun") from None
        finally:
            with self._stopping:  # whoever stops it may still find out whether it ended
                pass
        if self._stopped:
            raise StoppedError("it was left before its end")
        return int(result.exited)


class Escape:
    """Finds ``~.`` at the start of a line, as ssh(1) does: the way out of a host that hangs."""

    def __init__(self) -> None:
        self.left = False
        self._at_start = True
        self._tilde = False

    def passed(self, data: bytes) -> bytes:
        """Give what is to be passed on of what was typed."""
        found = bytearray()
        for byte in data:
            if self._tilde and byte == ord("."):
                self.left = True
                return bytes(found)
            if self._tilde:
                found += b"~"
                self._tilde = False
                if byte == ord("~"):
                    self._at_start = False
                    continue
            elif self._at_start and byte == ord("~"):
                self._tilde = True
                continue
            found.append(byte)
            self._at_start = byte in b"\r\n"
        return bytes(found)


class SudoPrompt(StreamWatcher):
    """Answers sudo's question in a terminal, once.

    Args:
        prompt: What sudo asks with: no other program knows it before.
        answers: The password, where there is one. It is taken out: nothing is answered twice.
    """

    def __init__(self, prompt: str, answers: list[str]) -> None:
        super().__init__()
        self._prompt = prompt
        self._answers = answers

    def submit(self, stream: str) -> Iterable[str]:
        """Give the answer to what was said so far."""
        if self._answers and self._prompt in stream:
            yield f"{self._answers.pop()}\n"


@contextlib.contextmanager
def raw_terminal(file: int) -> Iterator[None]:
    """Have a terminal pass each key on, Ctrl-C too; afterwards it is as it was."""
    before = termios.tcgetattr(file)
    try:
        tty.setraw(file, termios.TCSADRAIN)  # what was typed already is not lost
        yield
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


class Work(Protocol):
    """What is to be done on one host; a member of :class:`Sessions`."""

    def run(self) -> object:
        """Do it. Called in a thread of its own."""

    def stop(self) -> None:
        """Have it end. Called in another thread."""


class Sessions(Group):
    """Fabric's group over our sessions: so many hosts at the same time, and a way to stop them all.

    Args:
        members: What is done on each host.
        jobs: On how many hosts at the same time.
        stopping: Called when a person wants to stop, before anything is ended.
    """

    def __init__(self, members: Sequence[Work], jobs: int, stopping: Callable[[], object]) -> None:
        super().__init__()
        self.extend(members)
        self._jobs = jobs
        self._stopping = stopping

    def _do(self, method: str, *arguments: Any, **options: Any) -> GroupResult:
        results = GroupResult()
        pool = ThreadPoolExecutor(self._jobs)
        begun = {
            pool.submit(getattr(member, method), *arguments, **options): member for member in self
        }
        try:
            # Polled: a lock that Ctrl-C interrupts while it is waited for may never be had again.
            while not all(done.done() for done in begun):
                time.sleep(_LOOK)
            for done, member in begun.items():
                error = done.exception()
                results[member] = error if error is not None else done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            self._stop()
            raise
        finally:
            pool.shutdown()
        if results.failed:
            raise GroupException(results)
        return results

    def _stop(self) -> None:
        """Have all of them end, at the same time."""
        self._stopping()
        with ThreadPoolExecutor(self._jobs) as pool:
            for member in self:
                pool.submit(member.stop)
