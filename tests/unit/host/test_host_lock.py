"""The lock and the hold of a host, by this machine's shells in a folder that stands for one."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from orchestrator.core import process
from orchestrator.core.claims import UNREADABLE, Hold, Lock
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.process import CommandResult
from orchestrator.core.values import replace
from orchestrator.host import lock
from orchestrator.host.lock import Claim, LockAnswer, LockReply

NOW = datetime(2024, 5, 6, 12, 0, tzinfo=UTC)
PLACES = ("/run/", "/var/lib/", "/proc/")
SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
OURS = Claim("7-abcd", "ada@desk", 7, "switch", NOW, 90)
THEIRS = Claim("3-ffff", "bob@sofa", 3, "boot", NOW, 90)
HELD = Hold("f00d", "ada@desk", "disk swap", NOW)


@dataclass
class Machine:
    """A folder that stands for a host's root, and a shell."""

    root: Path
    shell: tuple[str, ...]
    replaced: dict[str, str]

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run a script with the root put before each absolute path."""
        assert root
        _, _, text, *rest = argv
        for old, new in self.replaced.items():
            text = text.replace(old, new)
        return await process.run((*self.shell, "-c", text, *rest), deadline=deadline, stdin=stdin)

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return " ".join(argv)

    @property
    def executor(self) -> Executor:
        """The way there, as far as these scripts need one."""
        return cast("Executor", self)

    @property
    def lock(self) -> Path:
        """The lock's file."""
        return self.root / "run/orchestrator/lock"

    @property
    def hold(self) -> Path:
        """The hold's file."""
        return self.root / "var/lib/orchestrator/hold"

    def has_been_up(self, seconds: float, boot: str = "b1") -> None:
        """Set the host's clock."""
        (self.root / "proc/sys/kernel/random").mkdir(parents=True, exist_ok=True)
        (self.root / "proc/uptime").write_text(f"{seconds:.2f} 1.00\n")
        (self.root / "proc/sys/kernel/random/boot_id").write_text(f"{boot}\n")

    def boots(self) -> None:
        """Clear what a boot clears."""
        shutil.rmtree(self.root / "run")
        (self.root / "run").mkdir()
        self.has_been_up(5, "b2")

    def files(self) -> set[str]:
        """What lies in its folders."""
        return {path.name for path in (*self.lock.parent.iterdir(), *self.hold.parent.glob("*"))}

    def take(self, claim: Claim, gone: str = "") -> LockReply:
        """Take the lock."""
        return asyncio.run(lock.take(self.executor, claim, gone))

    def renew(self, claim: Claim, boot_id: str = "b1") -> LockReply:
        """Renew the lock."""
        return asyncio.run(lock.renew(self.executor, claim, boot_id))

    def release(self, claim: Claim) -> LockReply:
        """Release the lock."""
        return asyncio.run(lock.release(self.executor, claim.token))

    def steal(self, token: str) -> LockReply:
        """Steal the lock."""
        return asyncio.run(lock.steal(self.executor, token, "eve@bar", "in a hurry", NOW))

    def place(self, hold: Hold = HELD) -> LockReply:
        """Place a hold."""
        return asyncio.run(lock.place_hold(self.executor, hold))

    def lift(self) -> LockReply:
        """Lift the hold."""
        return asyncio.run(lock.lift_hold(self.executor))


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """Make a machine that has been up for 1,000 s."""
    shell = (request.param, "sh") if request.param == "busybox" else (request.param,)
    for folder in ("run", "var/lib"):
        (tmp_path / folder).mkdir(parents=True)
    made = Machine(tmp_path, shell, {place: f"{tmp_path}{place}" for place in PLACES})
    made.has_been_up(1000)
    return made


def test_a_lock_is_taken_told_and_released(machine: Machine) -> None:
    """Whoever comes second is told all of the first; after the release nothing is left."""
    taken = machine.take(OURS)
    assert (taken.answer, taken.lock, taken.hold) == (LockAnswer.DONE, None, None)
    machine.has_been_up(1030)
    second = machine.take(THEIRS)
    assert second.answer is LockAnswer.LOCKED
    assert second.lock == Lock("7-abcd", "ada@desk", 7, "switch", NOW, 60)
    assert machine.release(THEIRS).answer is LockAnswer.LOCKED
    assert machine.release(OURS).answer is LockAnswer.DONE
    assert machine.take(THEIRS).answer is LockAnswer.DONE


def test_what_a_lock_says_is_not_taken_for_what_the_host_says(machine: Machine) -> None:
    """A deployer's machine may have any name, that of the answer's next part too."""
    claim = replace(OURS, who="ada@orchestrator-host")
    first, again = machine.take(claim), machine.take(claim)
    assert (again.answer, again.lock and again.lock.who) == (LockAnswer.DONE, claim.who)
    assert "boot_id=b1\n" in first.host
    assert "boot_id=b1\n" in again.host


def test_a_host_has_its_own_time_to_say_what_it_is(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow to answer is not slow to lock: the host's deadline counts beside the lock's."""
    monkeypatch.setattr(lock, "DEADLINE", 0.0)
    taken = asyncio.run(lock.take(machine.executor, OURS, seconds=60))
    asked = asyncio.run(lock.renew(machine.executor, OURS, "b1", asks=True, seconds=60))
    assert "boot_id=b1\n" in taken.host
    assert "boot_id=b1\n" in asked.host


def test_a_folder_in_the_locks_place_is_nobodys(machine: Machine) -> None:
    """A folder in the lock's place is replaced by a lock, which can be released."""
    (machine.lock / "old").mkdir(parents=True)
    assert machine.take(OURS).answer is LockAnswer.DONE
    assert machine.take(THEIRS).answer is LockAnswer.LOCKED
    assert machine.release(OURS).answer is LockAnswer.DONE
    assert not machine.lock.exists()


def test_a_folder_in_the_holds_place_holds(machine: Machine) -> None:
    """Somebody's word is somebody's word; lifting it always works."""
    (machine.hold / "old").mkdir(parents=True)
    told = machine.take(OURS)
    assert told.answer is LockAnswer.HELD
    assert told.hold is not None
    assert machine.lift().answer is LockAnswer.DONE
    assert machine.take(OURS).answer is LockAnswer.DONE


def test_a_holder_that_is_gone_is_taken_over_from(machine: Machine) -> None:
    """A lock is taken over from the holder that is gone, and from nobody who came after it."""
    machine.take(OURS)
    assert machine.take(THEIRS, "6-gone").answer is LockAnswer.LOCKED
    taken = machine.take(THEIRS, OURS.token)
    assert taken.answer is LockAnswer.DONE
    assert taken.lock is not None
    assert taken.lock.token == OURS.token
    assert machine.renew(OURS).answer is LockAnswer.LOCKED
    assert machine.files() == {"lock", "mutex"}


def test_of_many_at_once_one_has_it(machine: Machine) -> None:
    """Ten at the same moment, again and again: one has it, and it is the file's."""

    async def all_at_once() -> list[LockReply]:
        claims = [replace(OURS, token=f"{number}-x") for number in range(10)]
        return await asyncio.gather(*(lock.take(machine.executor, claim) for claim in claims))

    for _ in range(5):
        told = asyncio.run(all_at_once())
        winners = [number for number, each in enumerate(told) if each.answer is LockAnswer.DONE]
        assert len(winners) == 1
        losers = [each for each in told if each.answer is LockAnswer.LOCKED]
        assert {each.lock.token for each in losers if each.lock} == {f"{winners[0]}-x"}
        assert len(losers) == 9
        assert machine.release(replace(OURS, token=f"{winners[0]}-x")).answer is LockAnswer.DONE


def test_an_expired_lock_is_taken_over_and_told(machine: Machine) -> None:
    """At the second that it names, not before; whose it was is told."""
    machine.take(OURS)
    machine.has_been_up(1089.99)
    assert machine.take(THEIRS).answer is LockAnswer.LOCKED
    machine.has_been_up(1090)
    told = machine.take(THEIRS)
    assert (told.answer, told.lock and told.lock.who) == (LockAnswer.DONE, "ada@desk")
    assert told.lock
    assert not told.lock.is_live


def test_a_renewed_lock_counts_for_longer(machine: Machine) -> None:
    """From the moment of the renewal; also where it had expired and nobody came."""
    machine.take(OURS)
    machine.has_been_up(1200)
    assert machine.renew(OURS).answer is LockAnswer.DONE
    machine.has_been_up(1289)
    assert machine.take(THEIRS).answer is LockAnswer.LOCKED


def test_a_lock_that_is_another_s_or_gone_is_not_renewed(machine: Machine) -> None:
    """Another was there meanwhile; what is gone within one boot may have been another's."""
    machine.take(OURS)
    machine.has_been_up(1200)
    machine.take(THEIRS)
    lost = machine.renew(OURS)
    assert (lost.answer, lost.lock and lost.lock.who) == (LockAnswer.LOCKED, "bob@sofa")
    machine.release(THEIRS)
    assert machine.renew(OURS).answer is LockAnswer.LOCKED
    assert machine.files() == {"mutex"}


def test_a_boot_frees_the_lock_and_its_holder_has_it_again(machine: Machine) -> None:
    """A deployment that reboots the host keeps it; unless somebody was faster."""
    machine.take(OURS)
    machine.boots()
    assert machine.renew(OURS).answer is LockAnswer.DONE
    assert machine.take(THEIRS).answer is LockAnswer.LOCKED
    machine.boots()
    assert machine.take(THEIRS).answer is LockAnswer.DONE
    assert machine.renew(OURS).answer is LockAnswer.LOCKED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\0\0\0",
        "token=3-ffff",
        "token=\nexpires=1090\n",
        "token=3-ffff\nexpires=soon\n",
        "token=3-ffff\nexpires=\n",
        "token=3-ffff\nexpires=-5\n",
        "token=3-ffff\nexpires=99999999999999999999999999\n",
        f"token=3-ffff\nexpires={1000 + 3601}\n",
        "answer=locked\ntoken=$(reboot)\nexpires=`reboot`\n",
    ],
)
def test_a_lock_that_cannot_be_read_is_nobodys(machine: Machine, text: str) -> None:
    """A lock that cannot be read keeps nobody out, and its presence is reported."""
    machine.take(OURS)
    machine.lock.write_text(text)
    told = machine.take(OURS)
    assert (told.answer, told.lock, told.unreadable) == (LockAnswer.DONE, None, True)
    assert machine.take(THEIRS).answer is LockAnswer.LOCKED


def test_a_lock_of_the_fewest_words_counts(machine: Machine) -> None:
    """A token and an expiry; the answer says what it can."""
    machine.take(OURS)
    machine.lock.write_text("expires=1090\ntoken=3-ffff")
    told = machine.take(OURS)
    assert told.answer is LockAnswer.LOCKED
    assert told.lock == Lock("3-ffff", "somebody", None, "no reason given", None, 90)


def test_stealing_names_the_thief_and_frees_the_host(machine: Machine) -> None:
    """The one that lost it finds the thief's name; whoever comes next has the lock."""
    machine.take(OURS)
    told = machine.steal(OURS.token)
    assert (told.answer, told.lock and told.lock.who) == (LockAnswer.DONE, "ada@desk")
    lost = machine.renew(OURS)
    assert lost.answer is LockAnswer.LOCKED
    assert lost.lock
    assert (lost.lock.who, lost.lock.reason, lost.lock.run) == ("eve@bar", "in a hurry", None)
    assert machine.release(OURS).answer is LockAnswer.LOCKED
    assert machine.take(THEIRS).answer is LockAnswer.DONE


def test_only_the_lock_that_was_agreed_on_is_stolen(machine: Machine) -> None:
    """Between the question and the answer another may have come, or nobody be left."""
    assert machine.steal(OURS.token).answer is LockAnswer.FREE
    machine.take(THEIRS)
    assert machine.steal(OURS.token).answer is LockAnswer.LOCKED
    assert machine.renew(THEIRS).answer is LockAnswer.DONE
    machine.has_been_up(1200)
    assert machine.steal(THEIRS.token).answer is LockAnswer.FREE


def test_a_hold_keeps_everybody_out_but_who_names_it(machine: Machine) -> None:
    """Nobody takes the lock, nobody goes on with it; until it is lifted, over a boot too."""
    machine.take(OURS)
    assert machine.place().lock is not None, "whoever places it is told of the deployment"
    assert machine.renew(OURS).answer is LockAnswer.HELD
    machine.boots()
    told = machine.take(OURS)
    assert (told.answer, told.hold) == (LockAnswer.HELD, HELD)
    assert machine.take(replace(OURS, despite="beef")).answer is LockAnswer.HELD
    passes = replace(OURS, despite="f00d")
    assert machine.take(passes).answer is LockAnswer.DONE
    assert machine.renew(passes).answer is LockAnswer.DONE
    assert machine.lift().hold == HELD
    assert machine.lift().answer is LockAnswer.FREE
    assert machine.take(OURS).answer is LockAnswer.DONE


def test_a_second_hold_does_not_replace_the_first(machine: Machine) -> None:
    """A second hold does not replace the first: it is another person's word."""
    machine.place()
    told = machine.place(replace(HELD, id="beef", who="bob@sofa"))
    assert (told.answer, told.hold) == (LockAnswer.HELD, HELD)
    assert machine.lift().hold == HELD


@pytest.mark.parametrize("text", ["", "\0", "id=\n"])
def test_a_hold_that_cannot_be_read_holds_and_is_lifted(machine: Machine, text: str) -> None:
    """A hold that cannot be read holds the host, and can be named and lifted."""
    machine.place()
    machine.hold.write_text(text)
    told = machine.take(OURS)
    assert (told.answer, told.hold and told.hold.id) == (LockAnswer.HELD, UNREADABLE)
    assert machine.take(replace(OURS, despite=UNREADABLE)).answer is LockAnswer.DONE
    assert machine.lift().answer is LockAnswer.DONE
    assert not machine.hold.exists()


def test_words_stay_words(machine: Machine) -> None:
    """A reason of several lines, or with quotes and expansions, is one value and runs nothing."""
    reason = "a\nexpires=9999\ntoken=x $(touch owned) 'q' \"q\" \\n = é\u2028"
    machine.take(replace(OURS, reason=reason))
    told = machine.take(THEIRS).lock
    assert told
    assert told.reason == "a expires=9999 token=x $(touch owned) 'q' \"q\" \\n = é "
    assert (told.token, told.expires_in) == ("7-abcd", 90)
    machine.place(replace(HELD, reason=reason))
    assert machine.take(OURS).hold == replace(HELD, reason=told.reason)
    assert not list(machine.root.rglob("owned"))


def test_what_a_login_shell_prints_is_no_answer(machine: Machine) -> None:
    """Lines before the answer are passed over; none is an error that says what to look at."""
    machine.shell = ("sh", "-c", 'echo Welcome; exec "$0" "$@"', *machine.shell)
    assert machine.take(OURS).answer is LockAnswer.DONE
    machine.shell = ("sh", "-c", "echo Welcome", "sh")
    with pytest.raises(StepError, match="the host could not take the lock"):
        machine.take(OURS)


def test_no_room_is_an_error_and_leaves_the_file_as_it_was(machine: Machine) -> None:
    """What cannot be written whole is not written."""
    machine.place()
    before = machine.hold.read_text()
    machine.hold.with_name("hold.new").mkdir()
    machine.lift()
    with pytest.raises(StepError, match="could not place the hold"):
        machine.place()
    assert not machine.hold.exists()
    machine.hold.with_name("hold.new").rmdir()
    machine.place()
    assert machine.hold.read_text() == before


def test_a_mutex_that_is_kept_is_an_error(machine: Machine) -> None:
    """A program that is stuck with the mutex is named, and nobody waits for ever."""
    machine.take(OURS)
    mutex = machine.lock.with_name("mutex")

    async def second() -> LockReply:
        async with process.started(("flock", str(mutex), "sh", "-c", "echo; sleep 60")) as keeper:
            assert keeper.stdout is not None
            await keeper.stdout.readline()
            return await lock.take(machine.executor, THEIRS)

    machine.replaced["flock -w 20"] = "flock -w 0.1"
    with pytest.raises(StepError) as raised:
        asyncio.run(second())
    assert "mutex" in raised.value.stderr
