"""A host's answer, and the record that is left there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.host import Connect, Host
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult
from orchestrator.core.state import Attempt, AttemptState, BootSource, Record
from orchestrator.core.store import OutPath, Specialised
from orchestrator.core.values import replace
from orchestrator.host.guard.lines import lines_of
from orchestrator.host.status import ask_state, parse_state

RUNS = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
BOOTS = OutPath("/nix/store/dddddddddddddddddddddddddddddddd-nixos-system-p620")
RECORD = Record(7, "me@here", "abc-dirty", RUNS, datetime(2024, 5, 6, tzinfo=UTC), "the disk burns")
FIELDS = {
    "run": "7",
    "who": "me@here",
    "revision": "abc-dirty",
    "target": RUNS.path,
    "ended": str(int(RECORD.at.timestamp())),
    "emergency": "the disk burns",
}


def told(fields: dict[str, str]) -> str:
    """The record's lines as a host prints them."""
    return "".join(f"record.{key}={value}\n" for key, value in fields.items())


GOOD = f"""machine_id=0123
boot_id=4567
running={RUNS}
booted={BOOTS}
profile={RUNS}
boot_default={BOOTS}
boot_source=systemd-boot
failed=b.service
failed=a.mount
record=
{told(FIELDS)}"""


class Answering:
    """A host that gives one answer."""

    def __init__(self, out: str = "", rc: int = 0, err: str = "") -> None:
        self.answer = CommandResult(rc, out.encode(), err.encode())

    async def run(self, *_: object, **__: object) -> CommandResult:
        """Give it."""
        return self.answer

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return " ".join(argv)


def ask(host: Answering, machine_id: str | None = None) -> Any:
    """Ask a host for its state."""
    known = Host("p620", "p620", Connect("192.0.2.1"), machine_id=machine_id)
    return asyncio.run(ask_state(host, known))  # type: ignore[arg-type]


def test_a_whole_answer() -> None:
    """Everything that a host says is in its state."""
    state = parse_state(GOOD)
    assert (state.machine_id, state.boot_id) == ("0123", "4567")
    assert (state.running, state.booted, state.profile) == (RUNS, BOOTS, RUNS)
    assert (state.boot_default, state.boot_source) == (BOOTS, BootSource.SYSTEMD_BOOT)
    assert state.failed_units == ("a.mount", "b.service")
    assert state.record == RECORD


def test_text_of_a_login_shell_is_passed_over() -> None:
    """A greeting before the answer does no harm."""
    assert parse_state(f"Welcome!\nlast login: today = monday\n\n{GOOD}") == parse_state(GOOD)


@pytest.mark.parametrize("key", ["machine_id", "boot_id"])
def test_an_answer_that_says_nothing_is_none(key: str) -> None:
    """Without what every host has, it is not our script that answered."""
    text = "".join(line for line in GOOD.splitlines(True) if not line.startswith(key))
    with pytest.raises(StepError, match="not understood"):
        parse_state(text)


@pytest.mark.parametrize("text", ["", "garbage", "This account is not available.\n"])
def test_garbage_is_refused(text: str) -> None:
    """What is not of the form is an error and no state."""
    with pytest.raises(StepError, match="login shell"):
        parse_state(text)


def test_a_host_without_nixos() -> None:
    """``readlink -f`` gives the link itself where it leads nowhere: that is no system."""
    state = parse_state("machine_id=\nboot_id=4567\nrunning=/run/current-system\nprofile=\n")
    assert (state.running, state.booted, state.profile, state.boot_default) == (None,) * 4
    assert state.machine_id == ""


@pytest.mark.parametrize(
    "said",
    [
        "",
        "boot_default=\nboot_source=grub\n",
        "boot_default=/boot\n",
        f"boot_default={BOOTS}\n",
        f"boot_default={BOOTS}\nboot_source=odd\n",
    ],
)
def test_without_a_boot_loaders_word_the_profile_stands_for_it(said: str) -> None:
    """Without a boot loader's word the profile stands for the boot default, and that is said."""
    state = parse_state(f"machine_id=m\nboot_id=b\nprofile={BOOTS}\n{said}")
    assert state.boot_default == BOOTS
    assert state.boot_source is BootSource.PROFILE
    assert not state.boot_source.is_boot_loader


@pytest.mark.parametrize(
    "text",
    [
        "",
        "record=\n",
        "record.\n",
        told({**FIELDS, "target": "/etc"}),
        told({**FIELDS, "ended": "yesterday"}),
        told({**FIELDS, "ended": "9" * 30}),
        told({**FIELDS, "run": "None"}),
        told({key: value for key, value in FIELDS.items() if key != "who"}),
    ],
)
def test_a_record_that_cannot_be_read_is_none(text: str) -> None:
    """A record that cannot be read counts as none: the host's state is known all the same."""
    state = parse_state(f"machine_id=m\nboot_id=b\nrunning={RUNS}\n{text}")
    assert (state.running, state.record) == (RUNS, None)


def test_an_attempt_in_flight_is_told() -> None:
    """With what it would roll back to, and how long it waits."""
    before = replace(parse_state(GOOD), booted=None, record=None)
    attempt = Attempt(
        "t-1", Goal.SWITCH, BOOTS, before, 8, "me@here", None, RECORD.at, skipped=("clock", "sudo")
    )
    lines = [*lines_of(attempt).splitlines(), "state=waiting", "deadline=190", "activation=4"]
    text = "".join(f"attempt.{line}\n" for line in lines)
    found = parse_state(f"{GOOD}uptime=100\nattempt=\n{text}").attempt
    assert found == replace(attempt, state=AttemptState.WAITING, seconds_left=90, activation="4")
    assert found.exit_code == 4
    assert found.state.in_flight


@pytest.mark.parametrize("wrong", ["state=odd", "goal=odd", "target=/etc", "run=", "running=/etc"])
def test_an_attempt_that_cannot_be_read_is_none(wrong: str) -> None:
    """An attempt that cannot be read counts as none: no guard of ours wrote it."""
    attempt = Attempt("t-1", Goal.SWITCH, BOOTS, parse_state(GOOD), 8, "me@here", None, RECORD.at)
    lines = [wrong, *lines_of(attempt).splitlines(), "state=waiting"]
    assert parse_state(f"{GOOD}" + "".join(f"attempt.{line}\n" for line in lines)).attempt is None


def test_a_value_stays_on_its_line() -> None:
    """No word of a person's can write a line of its own."""
    attempt = Attempt(
        "t-1", Goal.SWITCH, BOOTS, parse_state(GOOD), 8, "me", None, RECORD.at, "fire\nstate=done\r"
    )
    assert "\nemergency=fire state=done \n" in lines_of(attempt)


@given(st.text())
def test_any_answer_is_a_state_or_an_error(text: str) -> None:
    """No answer of a host stops the run."""
    assert parse_state(f"machine_id=m\nboot_id=b\n{text}").machine_id == "m"


def test_a_host_that_cannot_say_is_an_error() -> None:
    """A script that fails gives no state."""
    with pytest.raises(StepError, match=r"did not say what it runs \(exit 127\)"):
        ask(Answering(GOOD, rc=127))


def test_another_machine_is_refused() -> None:
    """A machine-id that is not the inventory's: nothing may be changed there."""
    assert ask(Answering(GOOD), "0123").machine_id == "0123"
    assert ask(Answering(GOOD)).machine_id == "0123"
    with pytest.raises(RefusedError, match=r"its machine-id is 0123, the inventory says 9999"):
        ask(Answering(GOOD), "9999")
    with pytest.raises(RefusedError, match="its machine-id is empty"):
        ask(Answering("machine_id=\nboot_id=b\n"), "9999")


def test_a_specialisation_that_runs_is_read_and_anything_else_is_left_out() -> None:
    """Name and system are known, the profile's first; what can be no name is left out."""
    lines = f"running_as={RUNS} gaming\nrunning_as={BOOTS} gaming\nrunning_as={RUNS} .\n"
    more = f"running_as=/etc x\nrunning_as={RUNS}\nbooting_as={RUNS} at home\n"
    state = parse_state(GOOD.replace("failed=", f"{lines}{more}failed=", 1))
    assert state.running_as == (Specialised(RUNS, "gaming"), Specialised(BOOTS, "gaming"))
    assert state.booting_as == (Specialised(RUNS, "at home"),)
    assert (state.specialisation, state.is_foreign) == ("gaming", False)
    assert parse_state(GOOD).specialisation == ""


@pytest.mark.parametrize("live", [None, BOOTS])
def test_an_attempt_says_which_specialisation_it_activates(live: OutPath | None) -> None:
    """What is written down for the guard is read back: name and path of the specialisation."""
    attempt = Attempt("t-1", Goal.SWITCH, RUNS, parse_state(GOOD), 8, "me@here", None, RECORD.at)
    attempt = replace(attempt, live=live, specialisation="at home" if live else "")
    told_lines = "".join(f"attempt.{line}\n" for line in lines_of(attempt).splitlines())
    read = parse_state(f"{GOOD}{told_lines}attempt.state=waiting\n").attempt
    assert read is not None
    assert (read.live, read.specialisation) == (live, attempt.specialisation)
    assert read.activated == (live or attempt.target)
