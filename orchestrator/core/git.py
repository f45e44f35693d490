"""What git says of the fleet's folder, of its commits, and what is committed there."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime

from orchestrator.core.commit import Commit, Distance, printable
from orchestrator.core.errors import StepError
from orchestrator.core.git_process import LOOK, run_git
from orchestrator.core.units import split_lines, whole_number

_ID = re.compile("[0-9a-f]{40}(?:[0-9a-f]{24})?")


async def revision(folder: str) -> str | None:
    """The commit that is checked out, with ``-dirty`` where tracked files were changed.

    Returns:
        ``None`` where the folder is in no git repository, has no commit, or there is no git.
    """
    words = ("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
    try:
        done = await run_git(folder, *LOOK, *words)
    except StepError:
        return None
    return done.out if done.rc == 0 else None


async def commit_named(folder: str, name: str) -> str:
    """The full id of the commit that a person named: a branch, a tag, ``HEAD~2``.

    Raises:
        StepError: There is no such commit.
    """
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    done = await run_git(folder, *LOOK, *words)
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
        done = await run_git(folder, *LOOK, *words)
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
        done = await run_git(folder, *LOOK, *words)
    except StepError:
        return None
    match done.out.split("\0"):
        case [str(id_), parents, date, subject] if done.rc == 0:
            return Commit(id_, tuple(parents.split()), date, printable(subject))
        case _:
            return None


async def before(folder: str, revision: str, most: int) -> tuple[str, ...]:
    """The ids of so many commits before one, the nearest first; none where it is not known here."""
    if not _ID.fullmatch(revision):
        return ()
    try:
        done = await run_git(folder, *LOOK, "rev-list", f"--max-count={most + 1}", revision, "--")
    except StepError:
        return ()
    return tuple(done.out.split()[1:]) if done.rc == 0 else ()


async def is_shallow(folder: str) -> bool:
    """Whether commits before a certain depth are lacking: git-clone(1), ``--depth``."""
    try:
        done = await run_git(folder, *LOOK, "rev-parse", "--is-shallow-repository")
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
        done = await run_git(where, *words)
        if done.rc != 0:
            raise StepError(f"the commit {commit[:10]} could not be read", stderr=done.err)


async def tracked(folder: str, pattern: str) -> tuple[str, ...]:
    """Tracked files below a folder that match a pattern, relative to it.

    Raises:
        StepError: It is in no git repository.
    """
    done = await run_git(folder, *LOOK, "ls-files", "-z", "--", pattern)
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
        done = await run_git(folder, *LOOK, *words)
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
    return Commit(name, (), date, printable(said.get("summary", "")))


async def is_clean(folder: str, *files: str) -> bool:
    """Whether files are all as they are committed; of what git knows nothing they are not."""
    try:
        done = await run_git(folder, *LOOK, "diff", "--quiet", "HEAD", "--", *files)
        known = await run_git(folder, *LOOK, "ls-files", "--error-unmatch", "--", *files)
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
    add = await run_git(folder, "add", "--", file)
    differs = await run_git(folder, "diff", "--cached", "--quiet", "HEAD", "--", file)
    if add.rc == 0 and differs.rc == 0:
        return False
    words = ("commit", "--quiet", "-m", message, "--", file)
    done = await run_git(folder, *words)
    if add.rc != 0 or done.rc != 0:
        raise StepError(
            f"git did not commit {file}",
            command=shlex.join(("git", "-C", folder, *words)),
            stderr=add.err or done.err,
        )
    return True
