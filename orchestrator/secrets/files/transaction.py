"""Replace several files of a repository, all or none, whenever the power or the process goes.

Lock; write down what is to be staged; stage each file beside its target; bring all to the disk;
rename the plan to ``journal``, which commits; rename the files; remove the journal. What is found
uncommitted goes back, what is found committed goes forward, and a file that is neither what it
was nor what it should become is somebody's work: nothing is touched then.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shlex
from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from pathlib import Path, PurePosixPath

from orchestrator.core import beneath
from orchestrator.core.errors import RefusedError, StepError, cause_of
from orchestrator.secrets.files import journal as journal_file
from orchestrator.secrets.files.files import FilePlace, digest_of, place
from orchestrator.secrets.files.journal import WAIT, exclusive, wait_for_writer
from orchestrator.secrets.model.repository import Journal, Replacement

RECOVER = "orchestrator secrets recover"

Changes = Mapping[str, bytes]
Expected = Mapping[str, str | None]


class _State(Enum):
    DONE = auto()
    READY = auto()
    UNSTAGED = auto()
    FOREIGN = auto()


class Writer:
    """Changes the files of a repository; there is one at a time. Made by :func:`writing`."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def commit(self, what: str, changes: Changes, expected: Expected) -> tuple[str, ...]:
        """Write several files, all or none.

        Args:
            what: The command, for the journal: ``rekey``.
            changes: New contents by path, relative to the root. Folders are made as needed.
            expected: SHA-256 by path of what the changes were made from; ``None`` where there
                must be no such file. May name files that are only read, such as ``secrets.nix``.

        Returns:
            The paths whose content changed.

        Raises:
            RefusedError: A file is not as expected; nothing was changed.
            StepError: A file could not be written; the message says what is so now.
        """
        places = {path: place(self._root, path) for path in (*changes, *expected)}
        self._check_expected(expected)
        olds = {
            path: expected[path] if path in expected else beneath.digest(self._root, path)
            for path in changes
        }
        wanted = {path: new for path, new in changes.items() if digest_of(new) != olds[path]}
        if not wanted:
            return ()
        journal = _plan(what, [(places[path], olds[path], new) for path, new in wanted.items()])
        try:
            self._stage(journal, list(wanted.values()))
            self._check_expected({**olds, **expected})
            journal_file.commit_plan(self._root)
        except OSError as error:
            raise (_not_written if self._undo(journal) else _not_finished)(error) from error
        except BaseException:
            self._undo(journal)
            raise
        try:
            self._forward(journal)
        except OSError as error:
            raise _not_finished(error) from error
        return tuple(wanted)

    def recover(self) -> Journal | None:
        """Bring an interrupted change to its end: forward where it was committed, else back.

        Raises:
            RefusedError: A file is neither what it was nor what it should become.
            StepError: A file could not be written, or the journal cannot be read.
        """
        journal = journal_file.read(self._root)
        try:
            if journal is None or not journal.committed:
                self._back(journal)
                return journal
            self._forward(journal)
        except OSError as error:
            raise _not_finished(error) from error
        return journal

    def _stage(self, journal: Journal, contents: list[bytes]) -> None:
        journal_file.write_plan(self._root, journal)
        for folder in journal.folders:
            beneath.make_folder(self._root, folder)
        for one, content in zip(journal.replacements, contents, strict=True):
            beneath.write_new(self._root, one.staged, content, 0o666)
            if one.old is not None:
                _take_after(self._root, one)
        self._sync_folders(journal)

    def _forward(self, journal: Journal) -> None:
        states = {one: self._state(one) for one in journal.replacements}
        if set(states.values()) <= {_State.UNSTAGED}:
            # What was staged is gone, and nothing was renamed: as good as never committed.
            self._back(journal)
            return
        stuck = [one for one, state in states.items() if state in (_State.FOREIGN, _State.UNSTAGED)]
        if stuck:
            raise _stuck(self._root, journal, stuck)
        for one, state in states.items():
            if state is _State.READY:
                beneath.move(self._root, one.staged, one.path)
        self._sync_folders(journal)
        self._drop_staged(journal)
        journal_file.forget(self._root)

    def _back(self, journal: Journal | None) -> None:
        if journal is not None:
            self._drop_staged(journal)
            for folder in reversed(journal.folders):
                with contextlib.suppress(OSError):
                    beneath.remove_folder(self._root, folder)
        journal_file.forget(self._root)

    def _undo(self, journal: Journal) -> bool:
        """Go back after an error, and say whether the change is not true.

        What cannot be removed now, the next writer removes.
        """
        found = journal_file.read(self._root)
        if found is not None and found.committed:
            return False
        with contextlib.suppress(OSError):
            self._back(journal)
        return True

    def _drop_staged(self, journal: Journal) -> None:
        for one in journal.replacements:
            beneath.remove(self._root, one.staged)

    def _sync_folders(self, journal: Journal) -> None:
        paths = (*(one.path for one in journal.replacements), *journal.folders)
        for folder in {str(PurePosixPath(path).parent) for path in paths}:
            beneath.sync(self._root, folder)

    def _state(self, one: Replacement) -> _State:
        now = beneath.digest(self._root, one.path)
        if now == one.new:
            return _State.DONE
        if now != one.old:
            return _State.FOREIGN
        staged = beneath.digest(self._root, one.staged)
        return _State.READY if staged == one.new else _State.UNSTAGED

    def _check_expected(self, expected: Expected) -> None:
        changed = [
            path for path, was in expected.items() if beneath.digest(self._root, path) != was
        ]
        if changed:
            raise RefusedError(
                f"changed by somebody else meanwhile: {', '.join(sorted(changed))}. "
                "Nothing was written",
                hint="look at what they did (git diff), then do it again",
            )


@contextlib.contextmanager
def writing(root: Path, *, wait: float = WAIT, recovering: bool = False) -> Iterator[Writer]:
    """Be the only one that changes a repository's secrets.

    Args:
        root: The folder of ``secrets.nix``.
        wait: Seconds to wait for another writer.
        recovering: Whether the caller ends what was interrupted.

    Raises:
        RefusedError: Another one is at it; or a change was interrupted and has to be ended first.
        StepError: The folder cannot be written.
    """
    with exclusive(root, wait):
        writer = Writer(root)
        found = journal_file.read(root)
        if not recovering and found is not None and found.committed:
            raise RefusedError(
                f"an earlier `orchestrator secrets {found.what}` was interrupted; "
                "nothing was changed now",
                hint=f"bring it to its end first: {RECOVER}",
            )
        if not recovering:
            writer.recover()
        yield writer


def pending(root: Path) -> Journal | None:
    """Say which change was interrupted, if one was; one that goes on is waited for.

    Raises:
        StepError: Its journal cannot be read.
    """
    if journal_file.read(root) is None:
        return None
    wait_for_writer(root)
    return journal_file.read(root)


def _plan(what: str, changes: Iterable[tuple[FilePlace, str | None, bytes]]) -> Journal:
    name = secrets.token_hex(4)
    replacements, folders = [], []
    for number, (where, old, new) in enumerate(changes):
        staged = where.beside(f".orchestrator-{name}-{number}")
        replacements.append(Replacement(where.path, staged, old, digest_of(new)))
        folders += [folder for folder in where.missing_folders if folder not in folders]
    return Journal(name, what, tuple(replacements), tuple(folders))


def _take_after(root: Path, one: Replacement) -> None:
    """Give a staged file the mode of the one that it replaces, and its owner where we may."""
    with beneath.parent(root, one.path) as (folder, old):
        was = os.stat(old, dir_fd=folder, follow_symlinks=False)
    with beneath.parent(root, one.staged) as (folder, new):
        os.chmod(new, was.st_mode & 0o777, dir_fd=folder)
        with contextlib.suppress(OSError):
            os.chown(new, was.st_uid, was.st_gid, dir_fd=folder, follow_symlinks=False)


def _not_written(error: OSError) -> StepError:
    return StepError(
        f"the change could not be written: {cause_of(error, named=True)}. Nothing was changed",
        hint="is the disk full, or the folder another user's?",
    )


def _not_finished(error: OSError) -> StepError:
    return StepError(
        f"a change was begun and could not be brought to its end: "
        f"{cause_of(error, named=True)}. It is kept",
        hint=f"once the cause is gone: {RECOVER}",
    )


def _stuck(root: Path, journal: Journal, stuck: list[Replacement]) -> RefusedError:
    one = stuck[0]
    names = ", ".join(sorted(other.path for other in stuck))
    staged, path = (shlex.quote(str(root / name)) for name in (one.staged, one.path))
    if beneath.digest(root, one.staged) == one.new:
        cure = f"keep yours aside and take the new one: mv {path} {path}.mine; mv {staged} {path}"
    else:
        cure = (
            f"its new content is gone. Take the old files back from git, remove "
            f"{shlex.quote(str(root / journal_file.FOLDER))}, and do it again"
        )
    return RefusedError(
        f"the interrupted {journal.what} cannot be ended, since these files are neither what they "
        f"were nor what they should become: {names}. Nothing was touched",
        hint=f"{cure}\nthen: {RECOVER}",
    )
