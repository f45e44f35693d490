"""The systems that wait for absent hosts: a JSON file for each, and what keeps it in the store."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from orchestrator.core.errors import StepError
from orchestrator.core.json_text import parse_json
from orchestrator.core.pending import Pending
from orchestrator.runs.pending_file import NewerError, from_json, to_json

FOLDER = "pending"
"""In a fleet's state folder."""

Tell = Callable[[str], None]


class PendingSystems:
    """One fleet's systems that wait. Two processes may use it at the same time.

    Args:
        state: The fleet's state folder.
        tell: Takes a sentence about each file that cannot be used.
    """

    def __init__(self, state: Path, tell: Tell) -> None:
        self._folder = state / FOLDER
        self._tell = tell

    def root(self, host: str) -> Path:
        """The link that keeps a host's system from garbage collection."""
        return self._folder / "roots" / host

    def all(self) -> tuple[Pending, ...]:
        """What waits, by the hosts' names; a file that is damaged is set aside and told."""
        files = sorted(self._folder.glob("*.json"))
        return tuple(found for file in files if (found := self._read(file)) is not None)

    def of(self, host: str) -> Pending | None:
        """What waits for a host."""
        return self._read(self._file(host))

    def put(self, pending: Pending) -> None:
        """Have a system wait, in place of the one that did.

        Raises:
            StepError: It cannot be written.
        """
        with self._changing():
            self._write(pending)

    def change(self, pending: Pending, **fields: Any) -> None:
        """Note something about a system, unless another has taken its place meanwhile.

        Raises:
            StepError: It cannot be written.
        """
        with self._changing():
            if (now := self.of(pending.host)) is not None and _same(now, pending):
                self._write(replace(now, **fields))

    def drop(self, pending: Pending) -> bool:
        """Let a system wait no more, unless another has taken its place meanwhile.

        Returns:
            Whether it was there.

        Raises:
            StepError: It cannot be removed.
        """
        with self._changing():
            now = self.of(pending.host)
            if now is None or not _same(now, pending):
                return False
            self._file(pending.host).unlink()
            self.root(pending.host).unlink(missing_ok=True)
            return True

    def drop_expired(self, now: datetime) -> tuple[Pending, ...]:
        """Drop those whose time is up, and the roots that nothing needs.

        Raises:
            StepError: They cannot be removed.
        """
        dropped = tuple(one for one in self.all() if one.has_expired(now) and self.drop(one))
        roots = self._folder / "roots"
        if roots.is_dir():
            with self._changing():
                for root in roots.iterdir():
                    if not self._file(root.name).exists():
                        root.unlink(missing_ok=True)
        return dropped

    def _file(self, host: str) -> Path:
        return self._folder / f"{host}.json"

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Be the only one that changes something."""
        try:
            (self._folder / "roots").mkdir(parents=True, exist_ok=True, mode=0o700)
            with (self._folder / ".lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise StepError(
                f"what waits for absent hosts cannot be written below {self._folder}: {error}",
                hint="is the disk full, or the folder another user's?",
            ) from error

    def _write(self, pending: Pending) -> None:
        new = self._file(pending.host).with_suffix(".new")
        with new.open("w") as file:
            json.dump(to_json(pending), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._file(pending.host))

    def _read(self, file: Path) -> Pending | None:
        try:
            return from_json(parse_json(file.read_text()), file.stem)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._tell(f"what waits for {file.stem} cannot be read: {error}")
        except NewerError as error:
            self._tell(f"{file} is left alone: {error}")
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
            aside = file.with_suffix(f".damaged-{datetime.now():%Y%m%d-%H%M%S}")
            with contextlib.suppress(OSError):
                file.rename(aside)
            self._tell(
                f"what waited for {file.stem} is damaged ({error}) and set aside as {aside}; "
                f"`orchestrator deploy {file.stem}` has it wait again"
            )
        return None


def _same(one: Pending, other: Pending) -> bool:
    return (one.run, one.who, one.since) == (other.run, other.who, other.since)
