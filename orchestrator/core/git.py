"""What git says of the fleet's folder, through its command line."""

from __future__ import annotations

from orchestrator.core import process
from orchestrator.core.errors import StepError

_SECONDS = 60.0


async def revision(folder: str) -> str | None:
    """The commit that is checked out, with ``-dirty`` where tracked files were changed.

    Returns:
        ``None`` where the folder is in no git repository, has no commit, or there is no git.
    """
    try:
        done = await process.run(
            ("git", "-C", folder, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"),
            deadline=_SECONDS,
        )
    except StepError:
        return None
    return done.out if done.rc == 0 else None


async def tracked(folder: str, pattern: str) -> tuple[str, ...]:
    """Tracked files below a folder that match a pattern, relative to it.

    Raises:
        StepError: It is in no git repository.
    """
    argv = ("git", "-C", folder, "ls-files", "-z", "--", pattern)
    done = await process.run(argv, deadline=_SECONDS)
    if done.rc != 0:
        raise StepError(f"git could not list the files of {folder}", stderr=done.err)
    return tuple(name for name in done.stdout.decode(errors="surrogateescape").split("\0") if name)


async def commit_file(folder: str, file: str, message: str) -> bool:
    """Commit one file and nothing else, whatever else is staged.

    Returns:
        Whether there was anything to commit.

    Raises:
        StepError: git refused.
    """
    add = await process.run(("git", "-C", folder, "add", "--", file), deadline=_SECONDS)
    differs = await process.run(
        ("git", "-C", folder, "diff", "--cached", "--quiet", "HEAD", "--", file), deadline=_SECONDS
    )
    if add.rc == 0 and differs.rc == 0:
        return False
    argv = ("git", "-C", folder, "commit", "--quiet", "-m", message, "--", file)
    done = await process.run(argv, deadline=_SECONDS)
    if add.rc != 0 or done.rc != 0:
        raise StepError(f"git did not commit {file}", stderr=add.err or done.err)
    return True
