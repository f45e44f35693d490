"""The guard's program under each shell, in a folder that stands for a host."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from orchestrator.core import process
from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.executor import Executor
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult
from orchestrator.core.state import Attempt, AttemptState, BootSource, HostState
from orchestrator.core.store import OutPath
from orchestrator.deploy.plan.attempts import GOES_BACK
from orchestrator.host import scripts
from orchestrator.host.guard import orders
from orchestrator.host.guard.orders import GuardReply
from orchestrator.host.status import parse_state

OLD = OutPath("/nix/store/dddddddddddddddddddddddddddddddd-nixos-system-p620")
NEW = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
SHELLS = {"dash": ("dash",), "bash": ("bash",), "busybox": ("busybox", "sh")}
RECORDED, WAITING, CHECKING, RETURNING, DONE, RETURNED = (
    AttemptState(name)
    for name in ("recorded", "waiting", "checking", "returning", "done", "returned")
)
# At the beginning of a path, and not within one.
PLACE = re.compile(r"(?<![\w.*-])/(run|var/lib|proc|etc|boot|efi|sys/firmware|nix)(?=[/ *;\n])")

SWITCH = """#!/bin/sh
system=${0%/bin/*}
echo "$1 by the system" && cat "$ROOT/fault" 2> /dev/null | sh -s "$1" || exit
case $1 in
boot)
  mkdir -p "$ROOT/boot/loader/entries" && : > "$ROOT/boot/k"
  printf 'linux /k\noptions init=%s/init\n' "$system" > "$ROOT/boot/loader/entries/a.conf"
  echo "default a.conf" > "$ROOT/boot/loader/loader.conf" ;;
test) ln -sfn "$system" "$ROOT/run/current-system" ;;
esac
"""
NO_BUS = r"printf 'Error: Failed to open dbus connection\n\nCaused by:\n    refused\n'"
TOOLS = {
    "sync": "",
    "nix-env": 'ln -sfn "$4" "$2"',
    # A unit's first process goes on by itself.
    "systemd-run": """
        while [ "$1" != -- ]; do shift; done
        shift
        setsid "$@" > "$ROOT/journal" 2>&1 < /dev/null &
        echo $! > "$ROOT/unit"
        """,
    "systemctl": """
        [ "$1" = show ] || exit 0
        case $3:$5 in
        ActiveState:*-resume.service) cat "$ROOT/resumed" 2> /dev/null || echo inactive; exit ;;
        esac
        # One that was killed may be there still, and wait for its parent.
        if grep -q '^State:.[RSD]' "/proc/$(cat "$ROOT/unit")/status"; then echo active
        else echo inactive; fi
        """,
}


@dataclass
class Machine:
    """A folder that stands for a host's root, a shell, and tools that act on that folder."""

    root: Path
    shell: tuple[str, ...]
    path: str = ""
    attempts: list[Attempt] = field(default_factory=list)

    def inside(self, text: str) -> str:
        """Put the root before each absolute path, and the shell for the machine's own."""
        return PLACE.sub(rf"{self.root}/\1", text).replace("/bin/sh ", f"{' '.join(self.shell)} ")

    async def run(
        self, argv: Sequence[str], *, deadline: float, stdin: bytes = b"", **_: object
    ) -> CommandResult:
        """Run a script there; what it says of its folder is said of a root."""
        words = (self.inside(word) for word in argv[1:])
        path = f"{self.path}{self.root}/bin:{os.environ['PATH']}"
        environment = {"PATH": path, "ROOT": str(self.root)}
        done = await process.run(
            (*self.shell, *words),
            deadline=deadline,
            stdin=self.inside(stdin.decode()).encode(),
            env=environment,
        )
        return CommandResult(done.rc, self.outside(done.stdout), self.outside(done.stderr))

    def outside(self, said: bytes) -> bytes:
        """Take the root away."""
        return said.replace(str(self.root).encode(), b"")

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return " ".join(argv)

    @property
    def executor(self) -> Executor:
        """The way there, as far as the guard needs one."""
        return cast("Executor", self)

    @property
    def state(self) -> HostState:
        """What the host says of itself."""
        argv = scripts.script(scripts.STATE)
        return parse_state(asyncio.run(self.run(argv, deadline=30)).out)

    @property
    def systems(self) -> tuple[OutPath | None, OutPath | None, OutPath | None]:
        """Running system, profile, boot default."""
        state = self.state
        return state.running, state.profile, state.boot_default

    def write(self, path: str, text: str) -> Path:
        """Write a file, a program."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)
        return file

    def has_been_up(self, seconds: int, boot: str = "b1") -> None:
        """Set the host's clock."""
        self.write("proc/uptime.new", f"{seconds}.00 1.00\n").rename(self.root / "proc/uptime")
        self.write("proc/sys/kernel/random/boot_id", f"{boot}\n")

    def start(
        self,
        goal: Goal = Goal.SWITCH,
        target: OutPath = NEW,
        live: OutPath | None = None,
        who: str = "me@here",
    ) -> Attempt:
        """Have the guard begin."""
        when = datetime(2024, 5, 6, tzinfo=UTC)
        token = f"t-{len(self.attempts)}"
        attempt = Attempt(*(token, goal, target, self.state, 7, who, None, when), live=live)
        self.attempts.append(attempt)
        told = asyncio.run(orders.start(self.executor, attempt))
        assert told.attempt is not None
        return attempt

    def until(self, attempt: Attempt, *wanted: AttemptState) -> GuardReply:
        """Follow an attempt until it is in one of these states."""
        state = RECORDED
        for _ in range(20):
            told = asyncio.run(orders.await_(self.executor, attempt.token, state, 3600))
            assert told.attempt is not None
            state = told.attempt.state
            if state in wanted:
                return told
        raise AssertionError(f"it is {state}: {(self.root / 'journal').read_text()}")

    def kill(self) -> None:
        """End the guard, as a power cut does: at once and with all that it started."""
        os.killpg(int((self.root / "unit").read_text()), signal.SIGKILL)

    def left(self) -> list[str]:
        """What is there of an attempt beside what it says."""
        places = (
            *("run/orchestrator/asked-*", "nix/var/nix/gcroots/orchestrator/*"),
            "var/lib/orchestrator/room",
        )
        units = ("etc/systemd/system.control",)
        return [str(path) for place in places + units for path in self.root.glob(place)]


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Machine]:
    """A host that runs its old system."""
    shell = SHELLS[request.param]
    if shutil.which(shell[0]) is None:
        pytest.skip(f"there is no {shell[0]} here")
    made = Machine(tmp_path / "root", shell)
    for name, text in TOOLS.items():
        made.write(f"bin/{name}", f"#!/bin/sh\n{text}\n")
    for system in (OLD, NEW):
        made.write(f"{system.path[1:]}/bin/switch-to-configuration", SWITCH)
    made.write("etc/machine-id", "m\n")
    made.has_been_up(100)
    for link in ("run/current-system", "nix/var/nix/profiles/system"):
        (made.root / link).parent.mkdir(parents=True, exist_ok=True)
        (made.root / link).symlink_to(made.root / OLD.path[1:])
    made.write("boot/loader/loader.conf", "default a.conf\n")
    made.write("boot/k", "")
    made.write("boot/loader/entries/a.conf", f"linux /k\noptions init={made.root}{OLD}/init\n")
    assert made.systems == (OLD, OLD, OLD)
    yield made
    with contextlib.suppress(OSError):
        made.kill()


def test_room_for_going_back_is_kept_until_it_is_needed(machine: Machine) -> None:
    """Room for a roll-back is kept before anything is touched, and freed when it begins."""
    room = machine.root / "var/lib/orchestrator/room"
    machine.write(
        f"{OLD.path[1:]}/bin/switch-to-configuration",
        SWITCH.replace("\n", f"\n[ -e {room} ] || echo 'there is room'\n", 1),
    )
    attempt = machine.start()
    machine.until(attempt, WAITING)
    assert room.stat().st_size == 2 << 20
    asyncio.run(orders.back(machine.executor, attempt.token, "so"))
    machine.until(attempt, RETURNED)
    assert "there is room" in (machine.root / "run/orchestrator/log").read_text()
    assert machine.systems == (OLD, OLD, OLD)


def test_what_an_activation_says_without_end_keeps_nobody_from_going_back(machine: Machine) -> None:
    """An activation that fills ``/run`` with output does not stop the roll-back."""
    log = machine.root / "run/orchestrator/log"
    machine.write(
        f"{OLD.path[1:]}/bin/switch-to-configuration",
        SWITCH.replace("\n", f"\n[ $(wc -c < {log}) -gt 1000 ] || echo 'there is room'\n", 1),
    )
    machine.write("fault", 'rm "$ROOT/fault"; head -c 20000000 /dev/zero; exit 1\n')
    machine.until(machine.start(), RETURNED)
    assert "there is room" in log.read_text()


@pytest.mark.parametrize(
    "harm",
    [
        "echo Failed to run activate script; : > $ROOT/run/orchestrator/log",
        "echo Failed to run activate script; echo reloading user units for me",
        "echo warning: the following units failed: a; echo Failed to run activate script",
        "echo reloading user units for me; echo \"Activation script snippet 'a' failed (1)\"",
        "head -c 20000000 /dev/zero",
    ],
)
def test_an_exit_code_that_hides_a_failed_script_is_not_believed(
    machine: Machine, harm: str
) -> None:
    """Whatever becomes of the log, and where not all could be read."""
    switch = machine.root / NEW.path[1:] / "bin/switch-to-configuration"
    machine.write(str(switch), f"{SWITCH}\n[ $1 != test ] || {{ {harm}; exit 4; }}\n")
    told = machine.until(machine.start(), WAITING, RETURNED)
    assert told.attempt is not None
    assert told.attempt.why.startswith("activation failed (4): ")
    assert machine.systems == (OLD, OLD, OLD)


@pytest.mark.parametrize(
    "says",
    [
        "true",
        "echo warning: the following units failed: a; "
        "echo 'Nov 28 12:00:00 p620 a[7]: Failed to run activate script'",
    ],
)
def test_units_that_fail_are_no_failed_script(machine: Machine, says: str) -> None:
    """Exit 4, and nothing said that would tell of more; a unit of anybody's may say anything."""
    switch = machine.root / NEW.path[1:] / "bin/switch-to-configuration"
    machine.write(str(switch), f"{SWITCH}\n[ $1 != test ] || {{ {says}; exit 4; }}\n")
    machine.until(machine.start(), WAITING)


FAILS = """[ "$1" != test ] || {{
  echo "Activation script snippet 'a' failed (1)"
  {}
  echo Failed to run activate script
  exit {}
}}
"""
"""Ends a switch as one whose activation script failed in part."""


def fails_in_part(machine: Machine, system: OutPath, more: str = ":", code: int = 2) -> None:
    """Have a system's activation fail at the same snippet each time, and at more."""
    switch = f"{system.path[1:]}/bin/switch-to-configuration"
    machine.write(switch, SWITCH + FAILS.format(more, code))


def switched_by_hand(machine: Machine) -> None:
    """Have the journal say that the old system was switched to by hand, and failed; not at what."""
    said = f"switching to system configuration {machine.root}{OLD} failed (status 2)"
    machine.write("bin/journalctl", f"#!/bin/sh\n[ $6 = _UID=0 ] && echo '{said}'\n")
    script = f"ln -sfn {machine.root}{OLD} $ROOT/run/current-system\necho rehearsed\n"
    fails = FAILS.replace("$1", "test").format(":", 1)
    machine.write(f"{OLD.path[1:]}/activate", f"#!/bin/sh\n{script}{fails}")


@pytest.mark.parametrize("code", [2, 4])
def test_what_failed_before_is_no_new_failure(machine: Machine, code: int) -> None:
    """Of a switch by hand the journal has the code: the old script is run once, to learn what."""
    for system in (OLD, NEW):
        fails_in_part(machine, system, code=code)
    switched_by_hand(machine)
    attempt = machine.start()
    told = machine.until(attempt, WAITING, RETURNED)
    assert told.attempt is not None
    assert (told.attempt.state, told.attempt.why) == (WAITING, "")
    assert told.log.startswith("rehearsed\n")
    asyncio.run(orders.back(machine.executor, attempt.token, "so"))
    told = machine.until(attempt, RETURNED)
    assert told.attempt is not None
    assert told.attempt.failing == ("'a' failed (1)",)
    assert machine.systems == (OLD, OLD, OLD)


def test_what_a_snippet_says_before_it_fails_is_kept_with_its_name(machine: Machine) -> None:
    """The last line of each, of the old system's run and of the new one's, and none but that."""
    for system, word in ((OLD, "no disk"), (NEW, "no | key")):
        said = f"echo other; echo '{word}'; echo \"Activation script snippet 'a' failed (1)\""
        again = "echo \"Activation script snippet 'b' failed (2)\""
        machine.write(
            f"{system.path[1:]}/bin/switch-to-configuration",
            f'{SWITCH}\n[ "$1" != test ] || {{ {said}; {again}; exit 2; }}\n',
        )
    machine.until(machine.start(), AttemptState.STUCK)
    attempt = machine.start()
    told = machine.until(attempt, WAITING).attempt
    assert told is not None
    assert told.words == ("'a' failed (1): no ? key", "'b' failed (2): ")
    assert told.words_before == ("'a' failed (1): no disk", "'b' failed (2): ")


@pytest.mark.parametrize(
    "more",
    [
        "echo \"Activation script snippet 'b' failed (1)\"",
        "echo \"Activation script snippet 'a' failed (2)\"",
        "echo \"Activation script snippet 'a' failed\"",
        "echo \"Activation script snippet 'a' failed (1) \"",
        "head -c 20000000 /dev/zero",
        "yes \"Activation script snippet 'a' failed (1)\" | head -n 200",
    ],
)
def test_a_new_failure_is_never_called_an_old_one(machine: Machine, more: str) -> None:
    """Another name or code, a line that is no such line, or more than is read: rolled back."""
    fails_in_part(machine, OLD)
    fails_in_part(machine, NEW, more)
    switched_by_hand(machine)
    told = machine.until(machine.start(), WAITING, RETURNED)
    assert told.attempt is not None
    assert told.attempt.why.startswith("activation failed (2)")
    assert told.attempt.failing == ("'a' failed (1)",)
    assert machine.systems == (OLD, OLD, OLD)


def test_an_old_system_that_was_not_known_to_fail_is_not_as_before(machine: Machine) -> None:
    """Stuck, with the name. The next attempt knows it, and neither it nor its end is held up."""
    for system in (OLD, NEW):
        fails_in_part(machine, system)
    told = machine.until(machine.start(), AttemptState.STUCK)
    assert told.attempt is not None
    assert "test: 2, and Activation script snippet 'a' failed (1)" in told.attempt.why
    attempt = machine.start()
    machine.until(attempt, WAITING)
    asyncio.run(orders.back(machine.executor, attempt.token, "so"))
    machine.until(attempt, RETURNED)
    # By then somebody activated it, and nothing says how that went.
    machine.write("touch", "")
    for link in ("run/current-system",):
        (machine.root / link).unlink()
        (machine.root / link).symlink_to(machine.root / OLD.path[1:])
    machine.until(machine.start(), AttemptState.STUCK)


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        ("echo Could not acquire lock; exit 11", "somebody else's switch is at work"),
        (
            "echo Could not acquire lock - Resource temporarily unavailable at x line 9.; exit 11",
            "somebody else's switch is at work",
        ),
        ("exit 100", "NixOS switches to it at a boot only (init-interface-version)"),
        ("echo Pre-switch checks failed; exit 1", "pre-switch check failed"),
        (
            "echo \"Pre-switch check 'it' failed\"; echo Pre-switch checks failed; exit 1",
            "pre-switch check 'it' failed",
        ),
        (
            f"{NO_BUS}; exit 1",
            "D-Bus does not answer, and NixOS switches by it (systemctl status dbus.socket)",
        ),
    ],
)
def test_a_switch_that_did_nothing_is_not_taken_back(machine: Machine, ends: str, why: str) -> None:
    """Neither system is activated then, and it ends as what never began."""
    switch = f"{NEW.path[1:]}/bin/switch-to-configuration"
    machine.write(switch, SWITCH.replace("\n", f"\n[ $1 != test ] || {{ {ends}; }}\n", 1))
    told = machine.until(machine.start(), RETURNED)
    assert told.attempt is not None
    assert (told.attempt.untouched, told.attempt.why) == (True, why)
    assert told.attempt.reached is None
    assert "by the system" not in (machine.root / "run/orchestrator/log").read_text()
    assert machine.left() == []


@pytest.mark.parametrize(
    "ends",
    [
        *("exit 11", "exit 1", "echo Pre-switch checks failed; exit 3"),
        "printf 'Error: Failed to reset failed units\\n'; exit 1",
    ],
)
def test_a_switch_that_may_have_done_something_is_taken_back(machine: Machine, ends: str) -> None:
    """An exit code alone says nothing: it may be the number of the system's last error."""
    switch = f"{NEW.path[1:]}/bin/switch-to-configuration"
    machine.write(switch, f"{SWITCH}\n[ $1 != test ] || {{ {ends}; }}\n")
    told = machine.until(machine.start(), RETURNED)
    assert told.attempt is not None
    assert not told.attempt.untouched
    assert machine.systems == (OLD, OLD, OLD)


@pytest.mark.parametrize("broken", [False, True])
def test_a_d_bus_that_went_in_the_middle_is_begun_again(machine: Machine, broken: bool) -> None:
    """Rolling back needs it: by its unit as it is, or as the old system's activation has it."""
    needs_bus = f"[ $1 != test ] || [ -e $ROOT/bus ] || {{ {NO_BUS}; exit 1; }}"
    old, new = (f"{system.path[1:]}/bin/switch-to-configuration" for system in (OLD, NEW))
    machine.write(old, SWITCH.replace("\n", f"\n{needs_bus}\n", 1))
    ended = "rm $ROOT/bus; echo Error: Failed to reset failed units; exit 1"
    machine.write(new, f"{SWITCH}\n[ $1 != test ] || {{ {ended}; }}\n")
    machine.write(f"{OLD.path[1:]}/activate", "#!/bin/sh\n: > $ROOT/mended\n")
    begins = '[ -e "$ROOT/mended" ] &&' if broken else ""
    machine.write(
        "bin/systemctl",
        f'#!/bin/sh\n[ "$*" != "start dbus.socket" ] || {{ {begins} : > "$ROOT/bus"; exit; }}\n'
        + TOOLS["systemctl"],
    )
    machine.write("bus", "")
    told = machine.until(machine.start(), RETURNED)
    assert told.attempt is not None
    assert (told.attempt.why, told.attempt.untouched) == ("activation failed (1)", False)
    assert machine.systems == (OLD, OLD, OLD)
    assert (machine.root / "mended").exists() == broken


def test_a_process_that_was_root_before_passes_the_word_on(machine: Machine) -> None:
    """A process that was root reads why the guard is to go back; the guard does what it says."""
    attempt = machine.start()
    machine.until(attempt, WAITING)
    program = machine.inside(orders.program()).encode()
    argv = orders.passing_on(attempt.token, len(program))
    done = asyncio.run(
        process.run(
            (*machine.shell, *argv[1:]),
            deadline=30,
            stdin=program + b"sudo refuses; $(touch $ROOT/hurt)\n",
            env={"PATH": f"{machine.root}/bin:{os.environ['PATH']}", "ROOT": str(machine.root)},
        )
    )
    assert done.out.split() == ["ready", "heard"], done
    told = machine.until(attempt, RETURNED)
    assert told.attempt is not None
    assert told.attempt.why == "sudo refuses; $(touch $ROOT/hurt)"
    assert not (machine.root / "hurt").exists()
    assert machine.systems == (OLD, OLD, OLD)


def test_a_guard_that_is_gone_is_told_as_that(machine: Machine) -> None:
    """A guard that is gone is reported so: its attempt is not at its end."""
    machine.until(machine.start(), WAITING)
    for gone in (False, True):
        attempt = machine.state.attempt
        assert attempt is not None
        assert attempt.guard_gone is gone
        if not gone:
            machine.kill()


def test_after_a_boot_another_unit_is_the_guard(machine: Machine) -> None:
    """The one that began is gone, and yet somebody brings the attempt to its end."""
    machine.until(machine.start(), WAITING)
    machine.kill()
    machine.write("resumed", "active\n")
    attempt = machine.state.attempt
    assert attempt is not None
    assert not attempt.guard_gone


def test_a_system_without_nix_is_left_by_the_nix_of_the_next(machine: Machine) -> None:
    """``nix.enable`` may have been false where somebody went past the check for that."""
    nix = machine.root / "bin/nix-env"
    machine.write(f"{NEW.path[1:]}/sw/bin/nix-env", nix.read_text())
    nix.unlink()
    attempt = machine.start(Goal.BOOT)
    machine.until(attempt, DONE)
    assert machine.systems == (OLD, NEW, NEW)


def test_roots_of_a_start_that_came_to_nothing_are_gone_with_the_next(machine: Machine) -> None:
    """A power cut may end a start when its roots are made and nothing tells of it."""
    roots = machine.root / "nix/var/nix/gcroots/orchestrator"
    roots.mkdir(parents=True)
    (roots / "t-9-target").symlink_to(machine.root / OLD.path[1:])
    attempt = machine.start()
    machine.until(attempt, WAITING)
    assert not (roots / "t-9-target").is_symlink()
    assert (roots / f"{attempt.token}-target").is_symlink()


def test_what_changed_before_it_began_is_left_alone(machine: Machine) -> None:
    """A guard that begins late changes nothing if the host runs another system by then."""
    other = machine.root / "nix/store/other"
    other.mkdir()
    change = f"#!/bin/sh\nln -sfn {other} $ROOT/run/current-system\n"
    machine.write("bin/systemd-run", change + TOOLS["systemd-run"])
    told = machine.until(machine.start(), RETURNED)
    assert told.attempt is not None
    assert told.attempt.why.startswith("it changed meanwhile: ")
    assert (machine.root / "run/current-system").readlink() == other


def test_it_commits_what_is_confirmed(machine: Machine) -> None:
    """Contact, confirmation, commit; the end is written down, and nothing else is left."""
    attempt = machine.start()
    told = machine.until(attempt, WAITING)
    assert told.log == "test by the system\n"
    assert machine.systems == (NEW, OLD, OLD)
    roots = machine.root / "nix/var/nix/gcroots/orchestrator"
    assert {path.name.removeprefix("t-0-") for path in roots.iterdir()} == {
        *("target", "running", "profile", "boot")
    }
    heard = asyncio.run(orders.contact(machine.executor, attempt.token)).attempt
    assert heard is not None
    assert (heard.state, heard.seconds_left) == (CHECKING, 600)
    asyncio.run(orders.confirm(machine.executor, attempt.token))
    machine.until(attempt, DONE)
    state = machine.state
    assert state.is_at(NEW)
    assert state.boot_source is BootSource.SYSTEMD_BOOT
    assert state.record is not None
    assert (state.record.who, state.record.out_path) == ("me@here", NEW)
    assert state.attempt is not None
    assert state.attempt.ended is not None
    assert machine.left() == []


@pytest.mark.parametrize("tool", ["mkfifo", "flock"])
def test_a_guard_that_nobody_can_wake_looks_by_itself(machine: Machine, tool: str) -> None:
    """Where no bell and no lock to wait on can be had, each word counts and each state is seen."""
    real = shutil.which(tool)
    machine.write(
        f"bin/{tool}",
        f'#!/bin/sh\ncase "$*" in *-s*|*.bell|"-w 1 3") exit 69 ;; esac\nexec {real} "$@"\n',
    )
    attempt = machine.start()
    machine.until(attempt, WAITING)
    heard = asyncio.run(orders.contact(machine.executor, attempt.token)).attempt
    assert heard is not None
    assert heard.state is CHECKING
    asyncio.run(orders.back(machine.executor, attempt.token, "so"))
    machine.until(attempt, RETURNED)
    assert machine.systems == (OLD, OLD, OLD)
    assert machine.left() == []


@pytest.mark.parametrize("left", ["locked", "leads nowhere"])
def test_what_listens_waits_for_no_lock(machine: Machine, left: str) -> None:
    """An activation that says much goes on, whatever has the lock's file or is in its place."""
    file = machine.write("run/orchestrator/hears", "")
    machine.write("fault", '[ $1 != test ] || { rm "$ROOT/fault"; head -c 200000 /dev/zero; }\n')
    with file.open() as orphan:
        fcntl.flock(orphan, fcntl.LOCK_EX)
        if left == "leads nowhere":
            file.unlink()
            file.symlink_to("none/none")
        attempt, states = machine.start(), (RECORDED, AttemptState.ACTIVATING)
        told = asyncio.run(orders.await_(machine.executor, attempt.token, states, 60)).attempt
    assert told is not None
    assert (told.state, told.why) == (WAITING, "")


def test_a_word_to_a_guard_that_is_gone_waits_for_nobody(machine: Machine) -> None:
    """Ringing where nobody hears does not hang; the word counts once a guard is there again."""
    attempt = machine.start()
    machine.until(attempt, WAITING)
    machine.kill()
    asyncio.run(orders.back(machine.executor, attempt.token, "so"))
    assert machine.systems == (NEW, OLD, OLD)
    asyncio.run(orders.resume(machine.executor, attempt.token))
    told = machine.until(attempt, RETURNED).attempt
    assert told is not None
    assert told.why == "so"
    assert machine.systems == (OLD, OLD, OLD)


def test_an_activation_is_ended_by_a_word(machine: Machine) -> None:
    """A deployer that stops while a switch hangs has it ended, and the host rolled back."""
    switch = f"{NEW.path[1:]}/bin/switch-to-configuration"
    machine.write(switch, SWITCH.replace("\n", "\nexec sleep 300\n", 1))
    attempt = machine.start()
    machine.until(attempt, AttemptState.ACTIVATING)
    asyncio.run(orders.back(machine.executor, attempt.token, "stopped"))
    told = machine.until(attempt, RETURNED).attempt
    assert told is not None
    assert told.why == "stopped"
    assert machine.systems == (OLD, OLD, OLD)


def test_who_confirms_hears_the_end_and_what_the_host_is(machine: Machine) -> None:
    """One answer says that it is committed, what the boot loader said, and what the host is now."""
    attempt = machine.start(who="me@orchestrator-guard-host")
    position = machine.until(attempt, WAITING).position
    there = asyncio.run(orders.contact(machine.executor, attempt.token))
    assert parse_state(there.host).running == NEW
    told = asyncio.run(orders.confirm(machine.executor, attempt.token, 3600, position))
    assert told.attempt is not None
    assert told.attempt.state is DONE
    assert told.log == "boot by the system\n"
    assert parse_state(told.host).is_at(NEW)


@pytest.mark.parametrize(("contacted", "seconds"), [(False, 180), (True, 600)])
def test_it_goes_back_when_the_time_is_up(machine: Machine, contacted: bool, seconds: int) -> None:
    """A guard rolls back when its time is up by the host's uptime, and no second sooner."""
    attempt = machine.start()
    machine.until(attempt, WAITING)
    if contacted:
        asyncio.run(orders.contact(machine.executor, attempt.token))
    machine.has_been_up(100 + seconds - 1)
    time.sleep(0.3)
    assert machine.state.attempt is not None
    assert machine.state.attempt.state is (CHECKING if contacted else WAITING)
    machine.has_been_up(100 + seconds)
    machine.until(attempt, RETURNED)
    assert machine.systems == (OLD, OLD, OLD)
    assert machine.left() == []


def test_goals_go_as_far_as_they_say(machine: Machine) -> None:
    """``boot`` touches not what runs, ``test`` nothing else."""
    attempt = machine.start(Goal.BOOT)
    machine.until(attempt, DONE)
    assert machine.systems == (OLD, NEW, NEW)
    attempt = machine.start(Goal.TEST)
    machine.until(attempt, WAITING)
    asyncio.run(orders.contact(machine.executor, attempt.token))
    asyncio.run(orders.confirm(machine.executor, attempt.token))
    machine.until(attempt, DONE)
    assert machine.systems == (NEW, NEW, NEW)


@pytest.mark.parametrize("word", ["exit 1", "kill -KILL $PPID", "[ $1 = test ] || exit 1"])
def test_it_goes_back_from_what_fails(machine: Machine, word: str) -> None:
    """From an activation and from a commit; the installer works again in the roll-back."""
    machine.write(
        "fault",
        f'rm "$ROOT/fault"; [ $1 != test ] || [ "{word[0]}" != "[" ] || '
        f"echo '{word}' > \"$ROOT/fault\"; {word}\n",
    )
    attempt = machine.start()
    told = machine.until(attempt, WAITING, RETURNED)
    assert told.attempt is not None
    if told.attempt.state is WAITING:
        asyncio.run(orders.contact(machine.executor, attempt.token))
        asyncio.run(orders.confirm(machine.executor, attempt.token))
        machine.until(attempt, RETURNING, RETURNED)
        (machine.root / "fault").unlink(missing_ok=True)
        machine.until(attempt, RETURNED)
    assert machine.systems == (OLD, OLD, OLD)
    assert machine.left() == []


def test_it_needs_no_tool_of_the_new_system(machine: Machine) -> None:
    """One whose tools are broken, which come first on a host's path, is gone back from."""
    for tool in ("timeout", "sleep", "mv", "cat", "date", "sed", "head"):
        machine.write(f"{NEW.path[1:]}/sw/bin/{tool}", "#!/bin/sh\nexit 1\n")
        sound = shutil.which(tool)
        assert sound is not None
        old = machine.root / OLD.path[1:] / "sw/bin" / tool
        old.parent.mkdir(parents=True, exist_ok=True)
        old.symlink_to(sound)
    machine.path = f"{machine.root}/run/current-system/sw/bin:"
    attempt = machine.start()
    machine.path = f"{machine.root}/{OLD.path[1:]}/sw/bin:"
    machine.until(attempt, WAITING)
    asyncio.run(orders.back(machine.executor, attempt.token, "broken"))
    machine.until(attempt, RETURNED)
    assert machine.systems == (OLD, OLD, OLD)
    assert machine.left() == []


def test_it_is_started_again_by_whoever_asks(machine: Machine) -> None:
    """A guard that ended is started by whoever asks, and after a boot it rolls back."""
    attempt = machine.start()
    machine.until(attempt, WAITING)
    machine.kill()
    asyncio.run(orders.resume(machine.executor, attempt.token))
    asyncio.run(orders.contact(machine.executor, attempt.token))
    machine.until(attempt, CHECKING)
    machine.kill()
    shutil.rmtree(machine.root / "run/orchestrator")
    machine.has_been_up(5, "b2")
    told = machine.until(attempt, RETURNED)
    assert told.attempt is not None
    assert told.attempt.why == "the host booted in the middle (checking)"
    assert machine.systems == (OLD, OLD, OLD)


def test_at_boot_it_waits_for_what_the_boot_default_is_read_from(machine: Machine) -> None:
    """A ``nofail`` mount keeps up no boot; without it nothing could be proved."""
    machine.until(machine.start(), WAITING)
    units = machine.root / "etc/systemd/system.control"
    text = (units / "orchestrator-guard-resume.service").read_text()
    assert "\nAfter=boot.mount efi.mount boot-efi.mount\n" in text


def test_after_a_boot_the_same_system_is_no_success(machine: Machine) -> None:
    """Deployed once more, it is the one before and the target: nobody confirmed it."""
    for link in ("run/current-system", "nix/var/nix/profiles/system"):
        (machine.root / link).unlink()
        (machine.root / link).symlink_to(machine.root / NEW.path[1:])
    machine.write(
        "boot/loader/entries/a.conf", f"linux /k\noptions init={machine.root}{NEW}/init\n"
    )
    attempt = machine.start()
    machine.until(attempt, WAITING)
    machine.kill()
    shutil.rmtree(machine.root / "run/orchestrator")
    machine.has_been_up(5, "b2")
    told = machine.until(attempt, DONE, RETURNED)
    assert told.attempt is not None
    assert told.attempt.state is RETURNED
    assert told.attempt.why == "the host booted in the middle (waiting)"


def test_the_boot_loader_is_installed_again_after_a_commit_that_failed(machine: Machine) -> None:
    """After a commit that failed the boot loader is installed again, whatever it says."""
    for system, word in ((OLD, "old"), (NEW, "new")):
        switch = f"{system.path[1:]}/bin/switch-to-configuration"
        fails = "[ $1 != boot ] || exit 3\n" if system == NEW else ""
        machine.write(
            switch, SWITCH.replace("\n", f"\n{fails}", 1).replace("by the", f"by the {word}")
        )
    attempt = machine.start()
    machine.until(attempt, WAITING)
    asyncio.run(orders.contact(machine.executor, attempt.token))
    machine.until(attempt, CHECKING)
    asyncio.run(orders.confirm(machine.executor, attempt.token))
    told = machine.until(attempt, DONE, RETURNED)
    assert told.attempt is not None
    assert told.attempt.why == "the boot loader could not be installed (3)"
    said = (machine.root / "run/orchestrator/log").read_text()
    cause, _, afterwards = said.partition(f"{GOES_BACK}{told.attempt.why}\n")
    assert "boot by the old system\n" in afterwards
    assert "boot by the old system\n" not in cause
    assert machine.systems == (OLD, OLD, OLD)


def test_a_boot_loader_that_can_be_read_no_more_is_no_success(machine: Machine) -> None:
    """What boots next is not known then, whatever the installer's exit code is."""
    loader = machine.root / "boot/loader/loader.conf"
    switch = f"{NEW.path[1:]}/bin/switch-to-configuration"
    machine.write(switch, f"{SWITCH}\n[ $1 != boot ] || rm {loader}\n")
    attempt = machine.start()
    machine.until(attempt, WAITING)
    asyncio.run(orders.contact(machine.executor, attempt.token))
    machine.until(attempt, CHECKING)
    asyncio.run(orders.confirm(machine.executor, attempt.token))
    told = machine.until(attempt, DONE, RETURNED)
    assert told.attempt is not None
    assert told.attempt.state is RETURNED
    assert "could be read before, and no more" in told.attempt.why
    assert machine.systems == (OLD, OLD, OLD)


def test_a_word_before_its_time_is_not_kept(machine: Machine) -> None:
    """A connection that was made before the activation ended proves nothing."""
    machine.write("fault", 'while [ $1 = test ] && [ ! -e "$ROOT/go" ]; do sleep 0.05; done\n')
    attempt = machine.start()
    machine.until(attempt, AttemptState.ACTIVATING)
    for early in (orders.contact, orders.confirm):
        told = asyncio.run(early(machine.executor, attempt.token)).attempt
        assert told is not None
        assert told.state is AttemptState.ACTIVATING
    machine.write("go", "")
    machine.until(attempt, WAITING)
    told = asyncio.run(orders.confirm(machine.executor, attempt.token)).attempt
    assert told is not None
    assert told.state is WAITING
    told = asyncio.run(orders.contact(machine.executor, attempt.token)).attempt
    assert told is not None
    assert told.state is CHECKING


def test_a_guard_that_is_slow_to_hear_of_a_contact_is_waited_for(machine: Machine) -> None:
    """A disk that takes seconds to write the next state down takes no sound system back."""
    slow = '#!/bin/sh\nif grep -q ^state=checking "$1"; then sleep 6; fi\n'
    machine.write("bin/sync", slow)
    attempt = machine.start()
    machine.until(attempt, WAITING)
    told = asyncio.run(orders.contact(machine.executor, attempt.token)).attempt
    assert told is not None
    assert told.state is CHECKING


def test_what_was_given_up_never_begins(machine: Machine) -> None:
    """An attempt that was given up never begins, nor a second beside one in flight."""
    token = "t-0"
    told = asyncio.run(orders.await_(machine.executor, token, RECORDED, 1))
    assert told.attempt is None
    with pytest.raises(StepError, match="given up"):
        machine.start()
    machine.start()
    with pytest.raises(StepError, match="in flight there"):
        machine.start()
    assert asyncio.run(orders.back(machine.executor, "t-0", "no")).attempt is None


@pytest.mark.parametrize("system", [OLD, NEW])
def test_a_system_that_cannot_be_switched_to_is_left_alone(
    machine: Machine, system: OutPath
) -> None:
    """With ``system.switch.enable = false`` it cannot be activated, or not rolled back."""
    (machine.root / f"{system.path[1:]}/bin/switch-to-configuration").unlink()
    with pytest.raises(StepError, match=f"{system} has no bin/switch-to-configuration"):
        machine.start()
    assert machine.systems == (OLD, OLD, OLD)
    assert machine.state.attempt is None
    assert machine.left() == []


def test_a_boot_default_that_was_collected_is_nothing_to_go_back_to(machine: Machine) -> None:
    """Garbage collection keeps no system for a boot loader's sake."""
    gone = OutPath("/nix/store/gggggggggggggggggggggggggggggggg-nixos-system-p620")
    machine.write(
        "boot/loader/entries/a.conf", f"linux /k\noptions init={machine.root}{gone}/init\n"
    )
    with pytest.raises(StepError, match=f"the boot default {gone} is gone"):
        machine.start()
    assert machine.state.attempt is None


def test_a_system_that_was_collected_after_the_copy_is_named_as_that(machine: Machine) -> None:
    """A new system that was collected after the copy is named, with another deployment as cure."""
    shutil.rmtree(machine.root / NEW.path[1:])
    with pytest.raises(StepError, match=f"{NEW} was collected .*; deploy again"):
        machine.start()
    assert machine.systems == (OLD, OLD, OLD)
    assert machine.state.attempt is None


def test_a_start_that_is_slow_is_not_said_to_have_come_to_nothing(machine: Machine) -> None:
    """A disk may take minutes to write down what it begins with: whoever asks is told nothing."""
    go = machine.root / "go"
    machine.write("bin/sync", f"#!/bin/sh\nwhile [ ! -e {go} ]; do sleep 0.05; done\n")
    beginning = threading.Thread(target=machine.start)
    beginning.start()
    while not list(machine.root.glob("run/orchestrator/asked-*")):
        time.sleep(0.01)
    with pytest.raises(StepError, match="its start is at work"):
        asyncio.run(orders.await_(machine.executor, "t-0", RECORDED, 0))
    with pytest.raises(StepError, match="its start is at work"):
        asyncio.run(orders.back(machine.executor, "t-0", "no"))
    go.touch()
    beginning.join()
    asyncio.run(orders.back(machine.executor, "t-0", "no"))
    machine.until(machine.attempts[0], RETURNED)
    assert machine.systems == (OLD, OLD, OLD)


def test_it_takes_no_word_for_a_command(machine: Machine) -> None:
    """Whatever a value says, it stays a value."""
    attempt = machine.start()
    machine.until(attempt, WAITING)
    why = "$(touch $ROOT/hurt) `touch $ROOT/hurt` \\n '\"; touch $ROOT/hurt"
    asyncio.run(orders.back(machine.executor, attempt.token, f"{why}\nstate=done"))
    told = machine.until(attempt, RETURNED)
    assert told.attempt is not None
    assert told.attempt.why == f"{why} state=done"
    assert not (machine.root / "hurt").exists()


def test_who_asked_and_was_ended_knows_nothing(machine: Machine) -> None:
    """The guard may be at work all the same."""
    machine.write("bin/flock", "#!/bin/sh\nkill -KILL $PPID\n")
    with pytest.raises(UnreachableError, match="could not start the guard"):
        machine.start()


GAMING = {
    system: OutPath(f"/nix/store/{letter * 32}-nixos-system-p620")
    for system, letter in ((OLD, "g"), (NEW, "h"))
}


def with_specialisations(machine: Machine) -> None:
    """Give each system a specialisation, and have the host run the old one's."""
    for system, variant in GAMING.items():
        machine.write(f"{variant.path[1:]}/bin/switch-to-configuration", SWITCH)
        folder = machine.root / system.path[1:] / "specialisation"
        folder.mkdir()
        (folder / "gaming").symlink_to(machine.root / variant.path[1:])
    runs(machine, GAMING[OLD])
    assert machine.systems == (GAMING[OLD], OLD, OLD)


def runs(machine: Machine, system: OutPath) -> None:
    """Have the host run a system, as after a switch by hand or a boot."""
    (machine.root / "run/current-system").unlink()
    (machine.root / "run/current-system").symlink_to(machine.root / system.path[1:])


def power_cut(machine: Machine, runs_then: OutPath) -> None:
    """End all, and boot; what was killed may be at its last write."""
    machine.kill()
    while (folder := machine.root / "run/orchestrator").exists():
        shutil.rmtree(folder, ignore_errors=True)
    machine.has_been_up(5, "b2")
    runs(machine, runs_then)


def test_a_specialisation_runs_and_its_system_boots(machine: Machine) -> None:
    """The specialisation is activated; the system that has it is committed."""
    with_specialisations(machine)
    attempt = machine.start(live=GAMING[NEW])
    machine.until(attempt, WAITING)
    assert machine.systems == (GAMING[NEW], OLD, OLD)
    asyncio.run(orders.contact(machine.executor, attempt.token))
    asyncio.run(orders.confirm(machine.executor, attempt.token))
    machine.until(attempt, DONE)
    assert machine.systems == (GAMING[NEW], NEW, NEW)
    assert machine.state.is_foreign is False


def test_it_goes_back_to_the_specialisation_that_ran(machine: Machine) -> None:
    """Asked to, or after a boot into the system itself: what ran before runs again."""
    with_specialisations(machine)
    attempt = machine.start(live=GAMING[NEW])
    machine.until(attempt, WAITING)
    asyncio.run(orders.back(machine.executor, attempt.token, "so"))
    machine.until(attempt, RETURNED)
    assert machine.systems == (GAMING[OLD], OLD, OLD)
    attempt = machine.start(live=GAMING[NEW])
    machine.until(attempt, WAITING)
    power_cut(machine, OLD)
    asyncio.run(orders.resume(machine.executor, attempt.token))
    machine.until(attempt, RETURNED)
    assert machine.systems == (GAMING[OLD], OLD, OLD)


def test_after_a_boot_the_system_itself_is_no_success_where_it_booted_before(
    machine: Machine,
) -> None:
    """From a specialisation to its system, not confirmed: a power cut is no confirmation."""
    with_specialisations(machine)
    attempt = machine.start(target=OLD)
    machine.until(attempt, WAITING)
    power_cut(machine, OLD)
    asyncio.run(orders.resume(machine.executor, attempt.token))
    machine.until(attempt, RETURNED)
    assert machine.systems == (GAMING[OLD], OLD, OLD)


def test_a_boot_between_commit_and_end_leaves_what_boots(machine: Machine) -> None:
    """A specialisation was committed, and the boot runs its system: that is the end."""
    with_specialisations(machine)
    attempt = machine.start(live=GAMING[NEW])
    machine.until(attempt, WAITING)
    asyncio.run(orders.contact(machine.executor, attempt.token))
    machine.write("fault", "[ $1 != boot ] || sleep 60\n")
    asyncio.run(orders.confirm(machine.executor, attempt.token))
    machine.until(attempt, AttemptState.COMMITTING)
    while machine.systems[1] != NEW:
        time.sleep(0.05)
    power_cut(machine, NEW)
    (machine.root / "fault").unlink()
    machine.write(
        "boot/loader/entries/a.conf", f"linux /k\noptions init={machine.root}{NEW}/init\n"
    )
    asyncio.run(orders.resume(machine.executor, attempt.token))
    machine.until(attempt, DONE)
    assert machine.systems == (NEW, NEW, NEW)
