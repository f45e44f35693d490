"""What git says of the fleet's folder, and what is committed there: the only user of GitPython.

GitPython starts git itself, so what :mod:`orchestrator.core.process` promises of each process is
kept here for it: no terminal, no other repository than the folder's, a deadline, a bound on what it
prints, and an end with its whole group. It is imported when git is first asked, for that takes a
tenth of a second and a question to git.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import selectors
import shlex
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orchestrator.core import process
from orchestrator.core.bounds import OUTPUT, TAIL, Intake, TooMuchError
from orchestrator.core.commit import LONGEST_SUBJECT, Commit, Distance
from orchestrator.core.errors import StepError
from orchestrator.core.process import CommandResult
from orchestrator.core.units import split_lines, whole_number

_SECONDS = 60.0
_LOOK = ("--no-optional-locks", "-c", "core.fsmonitor=false")
"""For what only looks: the index stays as it is, and no other program says what changed."""


_ID = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")


async def revision(folder: str) -> str | None:
    """The commit that is checked out, with ``-dirty`` where tracked files were changed.

    Returns:
        ``None`` where the folder is in no git repository, has no commit, or there is no git.
    """
    words = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        done = await _git(folder, *_LOOK, *words)
    except StepError:
        return None
    return done.out if done.rc == 0 else None


async def commit_named(folder: str, name: str) -> str:
    """The full id of the commit that a person named: a branch, a tag, ``HEAD~2``.

    Raises:
        StepError: There is no such commit.
    """
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    done = await _git(folder, *_LOOK, *words)
    if done.rc != 0:
        raise StepError(
            f"{name!r} is no commit of {folder}",
            hint="is it fetched? git fetch --all --tags",
            stderr=done.err,
        )
    return done.out


async def distance(folder: str, revision: str, base: str = "HEAD") -> Distance | None:
    """How far a commit is from another, or from the one that is checked out.

    Args:
        folder: In the repository.
        revision: A full id, such as a host says: anything else is none.
        base: Likewise, from which it is counted.

    Returns:
        ``None`` where a commit is not known here, or there is no git.
    """
    if not _ID.fullmatch(revision) or not (base == "HEAD" or _ID.fullmatch(base)):
        return None
    words = ("rev-list", "--count", "--left-right", f"{revision}...{base}", "--")
    try:
        done = await _git(folder, *_LOOK, *words)
    except StepError:
        return None
    match [whole_number(word) for word in done.out.split("\t")]:
        case [int(ahead), int(behind)] if done.rc == 0:
            return Distance(ahead, behind)
        case _:
            return None


async def commit(folder: str, revision: str) -> Commit | None:
    """What a commit is; arguments and ``None`` as of :func:`distance`."""
    if not _ID.fullmatch(revision):
        return None
    form = ("--format=%H%x00%P%x00%cd%x00%s", "--date=format:%Y-%m-%d %H:%M")
    words = ("show", "--no-patch", "--no-show-signature", *form, f"{revision}^{{commit}}", "--")
    try:
        done = await _git(folder, *_LOOK, *words)
    except StepError:
        return None
    match done.out.split("\0"):
        case [str(id_), parents, date, subject] if done.rc == 0:
            return Commit(id_, tuple(parents.split()), date, _plain(subject))
        case _:
            return None


async def before(folder: str, revision: str, most: int) -> tuple[str, ...]:
    """The ids of so many commits before one, the nearest first; none where it is not known here."""
    if not _ID.fullmatch(revision):
        return ()
    try:
        done = await _git(folder, *_LOOK, "rev-list", f"--max-count={most + 1}", revision, "--")
    except StepError:
        return ()
    return tuple(done.out.split()[1:]) if done.rc == 0 else ()


async def is_shallow(folder: str) -> bool:
    """Whether commits before a certain depth are lacking: git-clone(1), ``--depth``."""
    try:
        done = await _git(folder, *_LOOK, "rev-parse", "--is-shallow-repository")
    except StepError:
        return False
    return done.out == "true"


_NO_HOOKS = ("-c", "core.hooksPath=/dev/null")


async def check_out(folder: str, commit: str, into: str) -> None:
    """Put a commit's files into a new folder, as a repository of its own; no hook runs.

    Args:
        folder: The repository, whose objects it shares.
        commit: A full id, such as a host says.
        into: The folder; there is nothing of its name yet.

    Raises:
        StepError: The commit is not there, or git failed.
    """
    if not _ID.fullmatch(commit):
        raise StepError(f"{commit!r} is no commit's full id")
    await commit_named(folder, commit)
    clone = (*_NO_HOOKS, "clone", "--quiet", "--shared", "--no-checkout", "--", folder, into)
    for where, words in (
        (folder, clone),
        (into, (*_NO_HOOKS, "checkout", "--quiet", "--detach", commit)),
    ):
        done = await _git(where, *words)
        if done.rc != 0:
            raise StepError(f"the commit {commit[:10]} could not be read", stderr=done.err)


async def tracked(folder: str, pattern: str) -> tuple[str, ...]:
    """Tracked files below a folder that match a pattern, relative to it.

    Raises:
        StepError: It is in no git repository.
    """
    done = await _git(folder, *_LOOK, "ls-files", "-z", "--", pattern)
    if done.rc != 0:
        raise StepError(f"git could not list the files of {folder}", stderr=done.err)
    return tuple(name for name in done.stdout.decode(errors="surrogateescape").split("\0") if name)


_HEADER = re.compile("([0-9a-f]{40}(?:[0-9a-f]{24})?) [0-9]+ ([0-9]+)(?: [0-9]+)?")


async def last_changes(folder: str, file: str) -> dict[int, Commit]:
    """Find which commit each line of a file is from: git-blame(1), its porcelain format.

    Returns:
        By the lines' numbers, from 1, without parents; what is not committed yet has no id. Nothing
        where the file is not tracked, or there is no git.
    """
    words = ("blame", "--porcelain", "--", file)
    try:
        done = await _git(folder, *_LOOK, *words)
    except StepError:
        return {}
    lines: dict[int, str] = {}
    said: dict[str, dict[str, str]] = {}
    here: dict[str, str] = {}
    for line in split_lines(done.out) if done.rc == 0 else ():
        if line.startswith("\t"):
            continue
        if found := _HEADER.fullmatch(line):
            lines[int(found[2])] = found[1]
            here = said.setdefault(found[1], {})
        else:
            key, _, value = line.partition(" ")
            here.setdefault(key, value)
    commits = {name: _commit(name, values) for name, values in said.items()}
    return {number: commits[name] for number, name in lines.items()}


def _commit(name: str, said: dict[str, str]) -> Commit:
    if not name.strip("0"):
        return Commit("", (), "", "")
    seconds = whole_number(said.get("committer-time", "")) or 0
    date = f"{datetime.fromtimestamp(min(seconds, 2**33), UTC):%Y-%m-%d %H:%M}"
    return Commit(name, (), date, _plain(said.get("summary", "")))


def _plain(subject: str) -> str:
    return "".join(each if each.isprintable() else " " for each in subject)[:LONGEST_SUBJECT]


async def is_clean(folder: str, *files: str) -> bool:
    """Whether files are all as they are committed; of what git knows nothing they are not."""
    try:
        done = await _git(folder, *_LOOK, "diff", "--quiet", "HEAD", "--", *files)
        known = await _git(folder, *_LOOK, "ls-files", "--error-unmatch", "--", *files)
    except StepError:
        return False
    return done.rc == known.rc == 0


async def commit_file(folder: str, file: str, message: str) -> bool:
    """Commit one file and nothing else, whatever else is staged; the repository's hooks run.

    Returns:
        Whether there was anything to commit.

    Raises:
        StepError: git refused.
    """
    add = await _git(folder, "add", "--", file)
    differs = await _git(folder, "diff", "--cached", "--quiet", "HEAD", "--", file)
    if add.rc == 0 and differs.rc == 0:
        return False
    words = ("commit", "--quiet", "-m", message, "--", file)
    done = await _git(folder, *words)
    if add.rc != 0 or done.rc != 0:
        raise StepError(
            f"git did not commit {file}",
            command=shlex.join(("git", "-C", folder, *words)),
            stderr=add.err or done.err,
        )
    return True


@dataclass(slots=True)
class _Child:
    """The git of one call, which may be told to stop before it was started, too."""

    process: subprocess.Popen[bytes] | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def signal(self, number: signal.Signals) -> None:
        """Signal it and its hooks; git removes its lock files when it is told to end."""
        self.stopped.set()
        if self.process is not None and self.process.returncode is None:
            process.signal_group(self.process.pid, number)


async def _git(folder: str, *words: str) -> CommandResult:
    """Run git to its end, in a thread; who cancels this ends it first.

    Raises:
        StepError: There is no git, it did not end in time, or it printed too much.
    """
    for name in process.ELSEWHERE:
        os.environ.pop(name, None)  # GitPython hands on all that this process has
    child = _Child()
    running = asyncio.ensure_future(asyncio.to_thread(_run, child, folder, words))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        for number in (signal.SIGTERM, signal.SIGKILL):
            child.signal(number)
            await asyncio.wait((running,), timeout=process.GRACE)
        if running.done() and not running.cancelled():
            running.exception()
        raise


def _run(child: _Child, folder: str, words: tuple[str, ...]) -> CommandResult:
    by_hand = shlex.join(("git", "-C", folder, *words))
    verb = words[len(_LOOK)] if words[: len(_LOOK)] == _LOOK else words[0]
    git = child.process = _start(folder, words)
    try:
        if child.stopped.is_set():
            raise StepError(f"git {verb} was stopped")
        return _talk(git)
    except BaseException as error:
        _end(git)
        if isinstance(error, TimeoutError):
            message = f"git {verb} did not end within {_SECONDS:.0f} s and was stopped"
            raise StepError(message, command=by_hand) from None
        if isinstance(error, TooMuchError):
            message = f"git {verb} printed {error} and was stopped"
            raise StepError(message, command=by_hand) from None
        raise
    finally:
        for pipe in (git.stdout, git.stderr):
            if pipe is not None:
                pipe.close()


def _start(folder: str, words: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """Have GitPython start git, in a session of its own.

    Raises:
        StepError: There is no git, or the folder is not to be entered.
    """
    try:
        from git import Git
        from git.exc import GitCommandNotFound
    except ImportError as error:  # of git itself: it looks for it when it is imported
        raise _no_git(error) from None
    # As this process has them, so that hooks speak as ever. An empty one counts as none.
    language = {name: os.environ.get(name, "") for name in ("LANGUAGE", "LC_ALL")}
    try:
        started = Git().execute(
            ["git", "-C", folder, *words],
            as_process=True,
            env={**language, "GIT_TERMINAL_PROMPT": "0"},
            shell=False,
            start_new_session=True,
        )
    except (GitCommandNotFound, OSError) as error:
        raise _no_git(error) from None
    # What GitPython gives ends git as soon as nobody looks at it any more.
    found, started.proc = started.proc, None
    assert found is not None
    return found


def _no_git(error: Exception) -> StepError:
    why = f": {error.strerror}" if isinstance(error, OSError) else ""
    return StepError(f"git could not be started{why}", hint="is it on the PATH? git --version")


def _talk(child: subprocess.Popen[bytes]) -> CommandResult:
    """Read what git prints until it ends.

    Raises:
        TimeoutError: It did not end in time.
        TooMuchError: It printed more than is taken.
    """
    assert child.stdout is not None
    assert child.stderr is not None
    out, err = Intake(OUTPUT), Intake(OUTPUT, TAIL)
    until = time.monotonic() + _SECONDS
    with selectors.DefaultSelector() as pipes:
        pipes.register(child.stdout, selectors.EVENT_READ, out)
        pipes.register(child.stderr, selectors.EVENT_READ, err)
        while pipes.get_map():
            ready = pipes.select(until - time.monotonic())
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                if piece := os.read(key.fd, 1 << 16):
                    key.data.take(piece)
                else:
                    pipes.unregister(key.fileobj)
    try:
        return CommandResult(child.wait(process.GRACE), out.taken, err.taken)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None


def _end(git: subprocess.Popen[bytes]) -> None:
    """Leave nothing behind: neither git nor what a hook of it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        process.signal_group(git.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            git.wait(process.GRACE)
