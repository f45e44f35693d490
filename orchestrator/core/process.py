"""The only place that starts a process on this machine.

A process has an argv, an environment, a deadline and an end: whatever happens to the caller, the
child and its group are gone afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import shlex
import signal
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from orchestrator.core.bounds import OUTPUT, TAIL, Bound, Intake, Liner, TooMuchError
from orchestrator.core.errors import StepError
from orchestrator.core.machine import few_files

GRACE = 3.0
"""Seconds between TERM and KILL."""

# A hook's or an alias's environment may name another repository: git(1). The fleet's is found by
# its folder, by git and by Nix.
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")

_SIGNALS = {number.value: number.name for number in signal.Signals}


class CommandResult(Struct, frozen=True):
    """How a command ended, here or on a host. ``rc`` is negative for a signal's number."""

    rc: int
    stdout: bytes
    stderr: bytes

    @property
    def out(self) -> str:
        """Standard output as text, surrounding white space removed."""
        return self.stdout.decode(errors="replace").strip()

    @property
    def err(self) -> str:
        """Standard error as text, surrounding white space removed."""
        return self.stderr.decode(errors="replace").strip()


def how_it_ended(rc: int) -> str:
    """Tell an exit code from a signal and from a command that is not there."""
    match rc:
        case 127:
            return "the command was not found (exit 127)"
        case 126:
            return "the command could not be executed (exit 126)"
        case _ if -rc in _SIGNALS:
            return f"it was killed by {_SIGNALS[-rc]}"
        case _ if rc - 128 in _SIGNALS:
            return f"it was killed by {_SIGNALS[rc - 128]} (exit {rc})"
        case _ if rc < 0:
            return f"it was killed by signal {-rc}"
        case _:
            return f"exit {rc}"


async def run(
    argv: Sequence[str],
    *,
    deadline: float,
    stdin: bytes = b"",
    env: Mapping[str, str | None] | None = None,
    cwd: str | None = None,
    on_stderr: Callable[[bytes], None] | None = None,
    on_start: Callable[[int], None] | None = None,
    bound: Bound = OUTPUT,
) -> CommandResult:
    """Run a command to its end.

    Args:
        argv: The command; ``argv[0]`` is looked up on the ``PATH``.
        deadline: Seconds after which it is stopped.
        stdin: What it reads; afterwards it sees the end of the file.
        env: Set on top of this process's environment; ``None`` takes a variable away.
        cwd: The folder to run in.
        on_stderr: Called with each line of standard error as it comes, its newline removed; of
            the whole only the end is in the result then.
        on_start: Called with its process id, which is its group's as well.
        bound: The most that it may print, on either stream; it is stopped where it prints more.

    Raises:
        StepError: It could not be started, printed too much, or the deadline passed. A non-zero
            exit is no error here: the result tells.
    """
    async with started(argv, env, cwd) as process:
        if on_start:
            on_start(process.pid)
        try:
            async with asyncio.timeout(deadline):
                stdout, stderr = await _talk(process, stdin, on_stderr, bound)
        except TooMuchError as error:
            raise StepError(
                f"{argv[0]} printed {error} and was stopped", command=shlex.join(argv)
            ) from None
        except TimeoutError:
            raise StepError(
                f"{argv[0]} did not end within {deadline:.0f} s and was stopped",
                command=shlex.join(argv),
            ) from None
        rc = process.returncode
        assert rc is not None
        return CommandResult(rc, stdout, stderr)


@contextlib.asynccontextmanager
async def started(
    argv: Sequence[str],
    env: Mapping[str, str | None] | None = None,
    cwd: str | None = None,
    stdout: int = asyncio.subprocess.PIPE,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a command with pipes at all three ends; it and its group end with the context.

    Args:
        argv: The command; ``argv[0]`` is looked up on the ``PATH``.
        env: Set on top of this process's environment; ``None`` takes a variable away.
        cwd: The folder to run in.
        stdout: A file descriptor of the caller's for its output, in place of a pipe.

    Raises:
        StepError: It could not be started.
    """
    try:
        process = await _start(argv, _environment(env or {}), cwd, stdout)
    except OSError as error:
        raise StepError(
            f"{argv[0]} could not be started: {error.strerror}",
            hint=few_files(error),
            command=shlex.join(argv),
        ) from error
    try:
        yield process
    except BaseException:
        await ensure_stopped(process)
        raise
    if process.returncode is None:
        await ensure_stopped(process)


def detach(argv: Sequence[str]) -> None:
    """Start a command that outlives this process, in a session of its own, with nothing to say.

    Raises:
        OSError: It could not be started.
    """
    silent = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, 1, 2),
    ]
    os.posix_spawn(argv[0], list(argv), os.environ, file_actions=silent, setsid=True)


def foreground(argv: Sequence[str], env: Mapping[str, str | None]) -> int:
    """Hand the terminal to a command, such as an editor, until it ends.

    Ctrl-C is the command's alone meanwhile. Where this process is told to end, so is the command.

    Args:
        argv: The command; ``argv[0]`` is looked up on the ``PATH``.
        env: Set on top of this process's environment; ``None`` takes a variable away.

    Returns:
        How it ended: negative for a signal's number.

    Raises:
        StepError: It could not be started.
        SystemExit: This process got TERM or HUP.
    """
    keyboard, ends = (signal.SIGINT, signal.SIGQUIT), (signal.SIGTERM, signal.SIGHUP)
    with contextlib.ExitStack() as restore:
        for number in keyboard:
            restore.callback(signal.signal, number, signal.signal(number, signal.SIG_IGN))
        # Held back until there is somebody to pass them on to.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        try:
            pid = _spawn(argv, env, keyboard, mask)

            def end(number: int, _: object) -> None:
                os.kill(pid, signal.SIGTERM)
                raise SystemExit(128 + number)

            for number in ends:
                restore.callback(signal.signal, number, signal.signal(number, end))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _spawn(
    argv: Sequence[str],
    env: Mapping[str, str | None],
    defaults: Sequence[signal.Signals],
    mask: Iterable[int],
) -> int:
    try:
        return os.posix_spawnp(
            argv[0], list(argv), _environment(env), setsigdef=defaults, setsigmask=mask
        )
    except OSError as error:
        raise StepError(f"{argv[0]} could not be started: {error.strerror}") from error


def _environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    changed = {**os.environ, **dict.fromkeys(ELSEWHERE), **changes}
    return {name: value for name, value in changed.items() if value is not None}


async def _start(
    argv: Sequence[str], env: Mapping[str, str], cwd: str | None, stdout: int
) -> asyncio.subprocess.Process:
    starting = asyncio.create_task(
        asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            env=env,
            cwd=cwd,
            # Its own group: Ctrl-C reaches us alone, and we end the child and all its children.
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # Never cut off half-way: asyncio (seen in 3.11.2) then waits for the pipes for ever.
        await asyncio.wait((starting,))
        if not starting.cancelled() and starting.exception() is None:
            await ensure_stopped(starting.result())
        raise


def limit_memory(pid: int, size: int) -> None:
    """Refuse a process more address space than so many bytes: RLIMIT_AS of getrlimit(2)."""
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (size, size))


async def ensure_stopped(process: asyncio.subprocess.Process) -> None:
    """End a child that leads its own group, and what is left of the group: TERM, a grace, KILL.

    A process of another user, such as what sudo started, may refuse the signals; it is left alone.
    """
    clock = asyncio.get_running_loop().time
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not signal_group(process.pid, number) and process.returncode is not None:
            break
        # Not asyncio.timeout(): where this task was cancelled, Python 3.11 takes it for that.
        until = clock() + GRACE
        # Not Process.wait(): it may wait for pipes that a grandchild holds open.
        while clock() < until and (  # noqa: ASYNC110 (a group has no event)
            process.returncode is None
            or (number is signal.SIGTERM and signal_group(process.pid, 0))
        ):
            await asyncio.sleep(0.01)
    with contextlib.suppress(PermissionError):
        # The pipes too: a grandchild in a session of its own may hold them open for ever.
        process._transport.close()  # type: ignore[attr-defined]


def kill_group(pid: int) -> None:
    """Kill a command and its group at once; whoever runs it sees it end by SIGKILL."""
    signal_group(pid, signal.SIGKILL)


def signal_group(pid: int, number: int) -> bool:
    """Signal a child's group; tell whether there still is one that can be signalled."""
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


async def _talk(
    process: asyncio.subprocess.Process,
    stdin: bytes,
    on_stderr: Callable[[bytes], None] | None,
    bound: Bound,
) -> tuple[bytes, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    out = asyncio.ensure_future(_read(process.stdout, Intake(bound)))
    err = asyncio.ensure_future(_read_lines(process.stderr, on_stderr, bound))
    try:
        await asyncio.gather(out, err, _feed(process.stdin, stdin))
    finally:
        # The one that has not met its bound would read on, up to its own.
        out.cancel()
        err.cancel()
    await process.wait()
    return out.result(), err.result()


async def _feed(pipe: asyncio.StreamWriter, data: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        pipe.write(data)
        await pipe.drain()
    pipe.close()


async def _read(pipe: asyncio.StreamReader, intake: Intake) -> bytes:
    while piece := await pipe.read(1 << 16):
        intake.take(piece)
    return intake.taken


async def _read_lines(
    pipe: asyncio.StreamReader, on_line: Callable[[bytes], None] | None, bound: Bound
) -> bytes:
    if on_line is None:
        return await _read(pipe, Intake(bound))
    # Not readline(): a line of more than 64 KiB would end the stream with an error.
    intake, liner = Intake(bound, TAIL), Liner(on_line)
    while piece := await pipe.read(1 << 16):
        intake.take(piece)
        liner.take(piece)
    liner.end()
    return intake.taken
