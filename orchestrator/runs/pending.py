"""What waits for hosts that did not answer."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator.core import files
from orchestrator.core.errors import StepError, cause_of
from orchestrator.core.host import is_host_name
from orchestrator.core.plan import Goal
from orchestrator.core.run import DeployRequest, Reboot, Run
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.core.state import HostState
from orchestrator.core.store import Evaluated, OutPath
from orchestrator.core.stored import DamagedError, NewerError, Time, check_times
from orchestrator.core.values import replace

FORMAT = 1
"""Of a file: one of a newer format is left alone."""

LONGEST_PAUSE = timedelta(minutes=15)
"""Between two tries of ``watch``: how long a host that came back waits at the most."""


@dataclass(frozen=True, slots=True)
class Pending:
    """What is to be brought to a host once it answers, and how.

    Attributes:
        system: What was evaluated for it, and built.
        run: The run that found the host unreachable.
        who: ``user@machine`` of that run.
        reason: Why the host was not reached, in words.
        since: When the system began to wait.
        expires: From when on nobody wants it any more.
        goal: How far the deployment was to go.
        verify: Whether it was to be verified.
        skip_preflight: The ids of checks that did not count.
        reboot: Whether the host was to be rebooted.
        specialisation: Which specialisation was to run; ``None``: as the inventory says.
        tries: How often ``catch-up`` or ``watch`` found the host unreachable.
        last_try: When that was last.
        problem: Why a delivery failed although the host answered: ``watch`` then leaves it alone.
    """

    host: str
    system: Evaluated
    run: int
    who: str
    revision: str | None
    reason: str
    since: Time
    expires: Time
    goal: Goal = Goal.SWITCH
    verify: bool = True
    skip_preflight: tuple[str, ...] = ()
    reboot: Reboot = Reboot.NEVER
    specialisation: SpecialisePolicy | None = None
    tries: int = 0
    last_try: Time | None = None
    problem: str | None = None
    format: int = FORMAT

    def __post_init__(self) -> None:
        check_times(self.since, self.expires, self.last_try)

    def has_expired(self, now: datetime) -> bool:
        """Whether its time is up."""
        return now >= self.expires

    def due(self, interval: timedelta) -> datetime | None:
        """When ``watch`` tries again: each pause is twice the one before, up to a longest.

        Args:
            interval: The first pause.

        Returns:
            ``None`` where a person has to look first.
        """
        if self.problem is not None:
            return None
        if self.last_try is None:
            return self.since
        doubled = interval * (1 << min(max(self.tries - 1, 0), 20))
        return self.last_try + min(doubled, max(interval, LONGEST_PAUSE))

    def is_overtaken(self, state: HostState) -> bool:
        """Whether the host was deployed otherwise after this system began to wait."""
        record = state.record
        if record is None or record.out_path == self.system.out:
            return False
        # Deployers' clocks are compared: the host's own may be wrong.
        return (record.began or record.at) > self.since

    def is_superseded_by(self, run: Run, request: DeployRequest, out: OutPath) -> bool:
        """Whether a run that brought the host to ``out`` leaves nothing to wait for.

        A catch-up brings what waited: a newer system, which began to wait meanwhile, still does.
        """
        if request.catch_up and self.host in request.systems:
            return self.system.out == out
        return self.run <= run.number


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
        self._to = tell
        self._told: set[str] = set()

    def _tell(self, text: str) -> None:
        """Say something once, however often a file is looked at."""
        if text not in self._told:
            self._told.add(text)
            self._to(text)

    def root(self, host: str) -> Path:
        """The link that keeps a host's system from garbage collection."""
        return self._folder / "roots" / host

    def all(self) -> tuple[Pending, ...]:
        """What waits, by the hosts' names; a file that is damaged is set aside and told."""
        paths = sorted(self._folder.glob("*.json"))
        return tuple(found for file in paths if (found := self._read(file)) is not None)

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
                f"what is pending cannot be written below {self._folder}: {cause_of(error)}",
                hint="is the disk full, or the folder another user's?",
            ) from error

    def _write(self, pending: Pending) -> None:
        files.save(self._file(pending.host), pending, sync=True)

    def _read(self, file: Path) -> Pending | None:
        host = file.stem
        try:
            found = files.load(self._folder, file.name, Pending, FORMAT)
            if found.host != host or not is_host_name(host):
                raise DamagedError(f"it is of {found.host!r}")
            return found
        except FileNotFoundError:
            pass
        except NewerError as error:
            self._tell(f"{file} is not touched: {error}")
        except OSError as error:
            self._tell(f"what waits for {host} cannot be read: {file}: {error.strerror}")
        except DamagedError as error:
            aside = file.with_suffix(f".damaged-{datetime.now():%Y%m%d-%H%M%S}")
            with contextlib.suppress(OSError):
                file.rename(aside)
            self._tell(
                f"what waited for {host} is damaged ({error}) and set aside as {aside}; "
                f"`orchestrator deploy {host}` has it wait again"
            )
        return None


def _same(one: Pending, other: Pending) -> bool:
    return (one.run, one.who, one.since) == (other.run, other.who, other.since)
