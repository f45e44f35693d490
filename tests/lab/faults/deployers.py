"""Faults on the deployer's side: another deployer, a stale lock, a state that cannot be used."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.values import replace
from tests.lab.faults.deployment import Deployment
from tests.lab.faults.ground import Ground
from tests.lab.faults.phases import PHASES, Scene, held_check
from tests.lab.faults.play import ENDS, Result, Trial, Verdict
from tests.lab.fleet_bench import Bench

_LOCK = r"""
mkdir -p -m 0700 /run/orchestrator
IFS='. ' read -r now _ < /proc/uptime
printf 'token=1-gone\nwho=somebody@gone\nrun=1\nreason=switch\nsince=0\nexpires=%s\n' $((now + 6)) \
  > /run/orchestrator/lock
"""
_NEWER = 1_000_000
"""A version of a database that nobody has written yet."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A fault of a deployer.

    Attributes:
        name: Its name in the table.
        words: What happens.
        phase: When.
        play: Brings it, and judges.
    """

    name: str
    words: str
    phase: str
    play: Callable[[Ground], Verdict]

    def result(self, ground: Ground) -> Result:
        """Play it."""
        began = time.monotonic()
        return self.play(ground).result(self.name, self.phase, time.monotonic() - began)


def _second_deployer(ground: Ground) -> Verdict:
    """While one activates, another comes from another machine: it is told whose turn it is."""
    phase = PHASES["activate"]
    ground.configure(phase.body, held_check(ground))
    trial = Trial.begin(ground)
    phase.arm(ground)
    first = Deployment(ground)
    try:
        phase.enter(Scene(ground, first))
        wrong = _is_refused(Deployment(ground, bench=_another(ground)))
        ground.release("activation")
        first.wait(ENDS)
    finally:
        first.end()
        ground.release("activation")
    return _with(trial.judged(first), wrong)


def _another(ground: Ground) -> Bench:
    """Another person's deployer of the same fleet: it shares no state with the first."""
    home = ground.bench.home.with_name("another")
    home.mkdir(exist_ok=True)
    return replace(ground.bench, home=home)


def _is_refused(deployment: Deployment) -> list[str]:
    """Wait for a deployer that must be refused; what is wrong with its words."""
    try:
        deployment.wait(ENDS)
    finally:
        deployment.end()
    result = deployment.result or {}
    if deployment.exit_code != 4 or not result.get("refused"):
        return [f"the other is to be refused: exit {deployment.exit_code}, {result}"]
    return [] if "locked by" in result["message"] else [f"it is not told by whom: {result}"]


def _both_at_once(ground: Ground) -> Verdict:
    """Two deployers at the same instant: the host reaches the target, whoever it was."""
    ground.configure(check=held_check(ground))
    trial = Trial.begin(ground)
    both = [Deployment(ground), Deployment(ground, bench=_another(ground))]
    try:
        for deployment in both:
            deployment.wait(ENDS)
    finally:
        for deployment in both:
            deployment.end()
    winners = [one for one in both if one.exit_code == 0]
    losers = [one for one in both if one.exit_code != 0]
    wrong = [line for loser in losers for line in _is_refused(loser)]
    return _with(trial.judged((winners or both)[0]), wrong)


def _stale_lock(ground: Ground) -> Verdict:
    """A lock whose deployer is gone refuses until it ends by itself."""
    ground.configure(check=held_check(ground))
    trial = Trial.begin(ground)
    ground.inside.sh(_LOCK)
    deployment = Deployment(ground)
    wrong = _is_refused(deployment)
    return _with(trial.judged(deployment), wrong)


def _broken_lock(ground: Ground) -> Verdict:
    """A lock that cannot be read is nobody's."""
    ground.configure(check=held_check(ground))
    trial = Trial.begin(ground)
    ground.inside.sh(
        "mkdir -p -m 0700 /run/orchestrator; head -c 100 /dev/urandom > /run/orchestrator/lock"
    )
    return _plain(ground, trial)


def _plain(ground: Ground, trial: Trial, before: tuple[str, ...] = ()) -> Verdict:
    deployment = Deployment(ground, before=before)
    try:
        deployment.wait(ENDS)
    finally:
        deployment.end()
    return trial.judged(deployment)


def _with(verdict: Verdict, wrong: list[str]) -> Verdict:
    return replace(verdict, wrong=(*wrong, *verdict.wrong))


def _databases(ground: Ground) -> list[Path]:
    found = sorted((ground.bench.home / "state").rglob("*.db"))
    assert found, "the deployer keeps no database"
    return found


@contextlib.contextmanager
def _missing(file: Path) -> Iterator[None]:
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()
    yield


@contextlib.contextmanager
def _corrupt(file: Path) -> Iterator[None]:
    size = file.stat().st_size
    with file.open("r+b") as end:
        end.write(b"\0not a database\0" * (size // 16))
    yield


@contextlib.contextmanager
def _newer(file: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        was = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute(f"PRAGMA user_version = {_NEWER}")
    yield
    # It is another file where what is in it can be had again, and a new one was begun.
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute(f"PRAGMA user_version = {was}")


@contextlib.contextmanager
def _locked(file: Path) -> Iterator[None]:
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield


def _with_databases(
    how: Callable[[Path], AbstractContextManager[None]],
) -> Callable[[Ground], Verdict]:
    """Deploy while the deployer's databases are in some state."""

    def play(ground: Ground) -> Verdict:
        ground.configure(check=held_check(ground))
        trial = Trial.begin(ground)
        with contextlib.ExitStack() as stack:
            for file in _databases(ground):
                stack.enter_context(how(file))
            return _plain(ground, trial)

    return play


def _full_from_the_start(ground: Ground) -> Verdict:
    """The deployer's state folder takes nothing."""
    ground.configure(check=held_check(ground))
    trial = Trial.begin(ground)
    return _plain(ground, trial, _on_small_disk(ground, full=True))


def _full_meanwhile(ground: Ground) -> Verdict:
    """The deployer's state folder takes nothing any more once the host is being activated."""
    phase = PHASES["activate"]
    ground.configure(phase.body, held_check(ground))
    trial = Trial.begin(ground)
    phase.arm(ground)
    deployment = Deployment(ground, before=_on_small_disk(ground, full=False))
    try:
        phase.enter(Scene(ground, deployment))
        filler = deployment.folder_of_its_own(_state(ground)) / "full"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as end:
            while end.write(b"\0" * 4096):
                pass
        phase.release(Scene(ground, deployment))
        deployment.wait(ENDS)
    finally:
        deployment.end()
        phase.release(Scene(ground, deployment))
    return trial.judged(deployment)


def _on_small_disk(ground: Ground, *, full: bool) -> tuple[str, ...]:
    """A command that gives the one after it a state folder on a small disk of its own."""
    fill = 'head -c 10000000 /dev/zero > "$1/full" 2> /dev/null' if full else ":"
    script = f'mount -t tmpfs -o size=2m tmpfs "$1"; {fill}; shift; exec "$@"'
    return (
        *("unshare", "--mount", "--propagation", "private", "--"),
        *("sh", "-c", script, "sh", str(_state(ground))),
    )


def _state(ground: Ground) -> Path:
    return ground.bench.home / "state"


TROUBLES = {
    trouble.name: trouble
    for trouble in (
        Trouble(
            "second-deployer",
            "another deploys meanwhile, and is refused",
            "activate",
            _second_deployer,
        ),
        Trouble("two-deployers", "two deploy at the same instant", "connect", _both_at_once),
        Trouble("stale-lock", "a lock of a deployer that is gone", "connect", _stale_lock),
        Trouble("broken-lock", "a lock that cannot be read", "connect", _broken_lock),
        Trouble(
            "database-missing",
            "the deployer's databases are gone",
            "connect",
            _with_databases(_missing),
        ),
        Trouble(
            "database-locked",
            "another program has them locked all the time",
            "connect",
            _with_databases(_locked),
        ),
        Trouble(
            "database-corrupt",
            "they hold garbage",
            "connect",
            _with_databases(_corrupt),
        ),
        Trouble(
            "database-newer",
            "they are of a newer version",
            "connect",
            _with_databases(_newer),
        ),
        Trouble(
            "deployer-disk-full",
            "the deployer's state folder is full",
            "connect",
            _full_from_the_start,
        ),
        Trouble(
            "deployer-disk-fills",
            "the deployer's state folder becomes full",
            "activate",
            _full_meanwhile,
        ),
    )
}
"""Every trouble by its name."""
