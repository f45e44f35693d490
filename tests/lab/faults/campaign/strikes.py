"""The campaign's own faults: how each is brought, in a way left to chance, and how it ends."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.core.values import replace
from orchestrator.lab import seed
from orchestrator.lab.image import Image
from orchestrator.lab.places import LabError
from tests.lab.faults.campaign.content import Content, Editor
from tests.lab.faults.campaign.outside import Eyes
from tests.lab.faults.deployment import Deployment
from tests.lab.faults.ground import HOLDS, HOST, Ground
from tests.lab.faults.phases import Scene

_HERE = Path(__file__).parent
_A_WHILE = 3.0
_FOLDERS = {"run": "/run/orchestrator", "lib": "/var/lib/orchestrator"}


class NotPlayedError(Exception):
    """A round cannot be played: there is nothing to strike, or its phase was not reached."""


@dataclass
class Stage:
    """Where a round is played.

    Attributes:
        ground: The host and its fleet.
        eyes: The host from outside.
        content: The fleet's repository.
        deployments: The deployers, the first one first.
    """

    ground: Ground
    eyes: Eyes
    content: Content
    deployments: list[Deployment] = field(default_factory=list)

    @property
    def scene(self) -> Scene:
        """As the suite's injections know it."""
        return Scene(self.ground, self.deployments[0])

    def inside(self, script: str, *arguments: str) -> None:
        """Run a shell script as root on the host, where it has power."""
        if self.ground.inside.on:
            self.ground.inside.sh(script, *arguments)


@dataclass(frozen=True, slots=True)
class Hit:
    """A fault that was brought.

    Attributes:
        words: In which of its ways.
        end: Ends it.
        until: ``soon``, or once the ``deployer`` has ended, or once the host has come to ``rest``.
    """

    words: str
    end: Callable[[], None] = lambda: None
    until: str = "soon"


def _after_a_while(end: Callable[[], None]) -> Callable[[], None]:
    def late() -> None:
        time.sleep(_A_WHILE)
        end()

    return late


# --- The guard's processes


def _guards(stage: Stage) -> list[int]:
    if not (pids := sorted(stage.eyes.guards())):
        raise NotPlayedError("no guard was at work")
    return pids


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_guard(stage: Stage, chance: random.Random) -> Hit:
    """Kill the guard's shell, or all processes of its unit, or these again and again."""
    pids = _guards(stage)
    way = chance.choice(["its shell", "all its processes", "three times"])
    _signal(pids[:1] if way == "its shell" else pids, signal.SIGKILL)

    def again() -> None:
        for _ in range(2):
            time.sleep(1.3)  # systemd starts it again after a second
            _signal(stage.eyes.guards(), signal.SIGKILL)

    return Hit(way, again if way == "three times" else lambda: None)


def stop_guard(stage: Stage, chance: random.Random) -> Hit:
    """Have the guard hang, or stop its unit as an administrator would."""
    pids = _guards(stage)
    way = chance.choice(["hangs for a while", "hangs until the deployer has ended", "unit stopped"])
    if way == "unit stopped":
        stage.inside("systemctl stop --no-block 'orchestrator-guard-*.service'")
        return Hit(way)
    _signal(pids, signal.SIGSTOP)

    def go_on() -> None:
        _signal(sorted({*pids, *stage.eyes.guards()}), signal.SIGCONT)

    if way == "hangs for a while":
        return Hit(way, _after_a_while(go_on))
    return Hit(way, go_on, "deployer")


# --- Its state

_EACH = 'find "$@" -xdev -type f | while read -r file; do {}; done 2> /dev/null || :'
_SPOILS = {
    "emptied": ': > "$file"',
    "halved": 'truncate -s $(($(stat -c %s "$file") / 2)) "$file"',
    "overwritten": 'head -c 300 /dev/urandom > "$file"',
}


def _some(chance: random.Random, leaf: str) -> tuple[str, list[str]]:
    """Words and paths: a file or all of /run's, /var/lib's, or both."""
    where = chance.choice([["run"], ["lib"], ["run", "lib"]])
    paths = [f"{_FOLDERS[name]}{leaf}" for name in where]
    return " and ".join(paths), paths


def truncate_state(stage: Stage, chance: random.Random) -> Hit:
    """Spoil the attempt, or every file of the guard."""
    words, paths = _some(chance, chance.choice(["/attempt", ""]))
    how = chance.choice(sorted(_SPOILS))
    stage.inside(_EACH.format(_SPOILS[how]), *paths)
    return Hit(f"{words} {how}")


def remove_state(stage: Stage, chance: random.Random) -> Hit:
    """Remove the attempt, or the guard's folders."""
    words, paths = _some(chance, chance.choice(["/attempt", ""]))
    stage.inside('rm -rf -- "$@"', *paths)
    return Hit(f"{words} removed")


_FULL = """
top=/run/fault-full d=/var/lib/orchestrator
mkdir -p $d $top && mount -t tmpfs -o size=3m,mode=0755 tmpfs $top && cp -a $d/. $top/
head -c 9000000 /dev/zero > $top/.full 2> /dev/null || :
mount --bind $top $d
"""
_NOT_FULL = """
top=/run/fault-full d=/var/lib/orchestrator
mountpoint -q $top || exit 0
rm -f $top/.full
umount -l $d && find $d -mindepth 1 -delete && cp -a $top/. $d/
umount -l $top
"""


def fill_state_folder(stage: Stage, chance: random.Random) -> Hit:
    """Have the guard's folder on a file system that is full; what was there stays."""
    stage.inside(_FULL)
    until = chance.choice(["soon", "rest"])
    end = lambda: stage.inside(_NOT_FULL)  # noqa: E731
    return Hit(until, _after_a_while(end) if until == "soon" else end, until)


_HIDES = {
    "hidden": "mkdir -p $d && mount -t tmpfs -o size=8m,mode=0755 tmpfs $d",
    "read-only": "mkdir -p $d && mount --bind $d $d && mount -o remount,bind,ro $d",
}


def hide_state_folder(stage: Stage, chance: random.Random) -> Hit:
    """Have an empty file system over the guard's folder, or have it read-only."""
    way, until = chance.choice(sorted(_HIDES)), chance.choice(["soon", "rest"])
    place = "d=/var/lib/orchestrator; "
    stage.inside(place + _HIDES[way])
    end = lambda: stage.inside(place + "! mountpoint -q $d || umount -l $d")  # noqa: E731
    return Hit(f"{way}, {until}", _after_a_while(end) if until == "soon" else end, until)


# --- Garbage

_COLLECT = f"""
mkdir -p {HOLDS}; : > {HOLDS}/collects
systemd-run --quiet --collect --unit=fault-garbage sh -c \
  'while [ -e {HOLDS}/collects ]; do nix-store --gc; sleep 0.3; done > /dev/null 2>&1'
"""


def collect_on_host(stage: Stage, _: random.Random) -> Hit:
    """Collect garbage on the host, over and over."""
    stage.inside(_COLLECT)
    end = f"rm -f {HOLDS}/collects; systemctl stop fault-garbage.service 2> /dev/null || :"
    return Hit("over and over", lambda: stage.inside(end), "rest")


def collect_at_home(_: Stage, chance: random.Random) -> Hit:
    """Collect garbage in the store of this deployer, over and over."""
    over, image = threading.Event(), Image.wanted()

    def collect() -> None:
        while not over.wait(chance.uniform(0, 0.4)):
            seed.nix(image, "store", "gc")

    thread = threading.Thread(target=collect, daemon=True)
    thread.start()

    def end() -> None:
        over.set()
        thread.join()

    return Hit("over and over", end, "deployer")


# --- Other people


def second_deployer(stage: Stage, chance: random.Random) -> Hit:
    """Another person deploys, with a home of their own; before, they may take the lock."""
    ground = stage.ground
    home = ground.bench.home.with_name("another")
    home.mkdir(exist_ok=True)
    other = replace(ground.bench, home=home)
    ways = []
    if chance.random() < 0.5:
        stage.content.renew()
        ways.append("another content")
    if chance.random() < 0.3:
        other.run("host", "lock", "break", "--yes", "--reason", "it is my turn", HOST, seconds=60)
        ways.append("the lock taken first")
    stage.deployments.append(Deployment(ground, bench=other))
    return Hit(", ".join(ways) or "the same content", until="deployer")


def edit_repository(stage: Stage, chance: random.Random) -> Hit:
    """Edit, commit and check out until the host has come to rest."""
    editor = Editor(stage.content, chance)
    return Hit("edits, commits, checkouts", editor.stop, "rest")


_ADVERSARY = """
mkdir -p /run/fault
cat > /run/fault/adversary
systemd-run --quiet --collect --unit=fault-adversary --property=User=nobody \
  --property=OOMScoreAdjust=900 bash /run/fault/adversary
"""
_NO_ADVERSARY = """
systemctl kill -s KILL fault-adversary.service 2> /dev/null
systemctl stop fault-adversary.service 2> /dev/null
find /tmp /var/tmp /dev/shm -xdev -mindepth 1 -user nobody -delete 2> /dev/null
:
"""


def let_nobody_loose(stage: Stage, _: random.Random) -> Hit:
    """Run the adversary as the user nobody."""
    script = (_HERE / "adversary.sh").read_text()
    stage.inside('printf %s "$1" | { ' + _ADVERSARY + " }", script)
    return Hit("everything at once", lambda: stage.inside(_NO_ADVERSARY), "rest")


FLOODS = ("zeros", "lines", "errors", "facts")
# bash reads this before each command that sshd runs with it.
FLOODING = rf"""
cat >> /var/lib/deploy/.bashrc << 'END'
if [ -e {HOLDS}/flood ]; then
  case $(cat {HOLDS}/flood) in
  zeros) exec cat /dev/zero ;;
  lines) exec yes "a host that has much to say" ;;
  errors) exec cat /dev/zero >&2 ;;
  facts) exec yes "running=/nix/store/00000000000000000000000000000000-evil" ;;
  esac
fi
END
"""


def flood(stage: Stage, chance: random.Random) -> Hit:
    """Have the host answer each command without end; what was said before is said."""
    way = chance.choice(FLOODS)
    stage.inside(f"mkdir -p {HOLDS}; printf %s {way} > {HOLDS}/flood; chmod 0644 {HOLDS}/flood")
    end = f"rm -f {HOLDS}/flood; pkill -KILL -u deploy -x 'cat|yes' || :"
    return Hit(way, lambda: stage.inside(end), "deployer")


@contextlib.contextmanager
def endured(what: str) -> Iterator[None]:
    """Say of what cannot be struck that the round was not played."""
    try:
        yield
    except (AssertionError, LabError, subprocess.SubprocessError, OSError) as error:
        raise NotPlayedError(f"{what}: {error}") from error
