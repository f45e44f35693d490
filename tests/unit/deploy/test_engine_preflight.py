"""Preflight in a deployment to a fake host: what refuses, what is told, what is remembered."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NoReturn

import pytest
from fake_host import ANSWER, NEW, OLD, Bench, FakeHost, loses_connection, passes_deadline

from orchestrator.core.errors import StepError
from orchestrator.core.event import LogLine, Notice, Phase, PhaseStarted
from orchestrator.core.outcome import Completed, Deployed, Failed, Outcome, Problem
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult
from orchestrator.core.run import CopyMethod, HostResult
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.deploy.changing import hardware, load
from orchestrator.deploy.copy import closure as closures
from orchestrator.deploy.copy.closure import Lacking
from orchestrator.deploy.copy.spool import Codec, WantedPath
from orchestrator.deploy.delivering import copying
from orchestrator.render.event_json import result_to_json

ALL_OLD = (OLD, OLD, OLD)
READ_ONLY = ANSWER.replace(b"read_only=", b"read_only=/boot (vfat on /dev/vda1)")
NOT_ROOT = ANSWER.replace(b"user=0", b"user=1000")
DBUS = b'running={"dbus": "dbus"}\ntarget={"dbus": "broker"}\nend=\n'


def warnings(bench: Bench) -> list[str]:
    """What was told at once."""
    return [event.text for event in bench.events if isinstance(event, Notice) and event.warning]


def problem(outcome: Outcome) -> Problem:
    """Why it failed."""
    assert isinstance(outcome, Failed)
    return outcome.problem


def test_a_check_that_refuses_ends_it_before_anything_is_copied(bench: Bench) -> None:
    """Refused, by the check's name, with a remedy, a way past, and a command by hand."""
    bench.host.answers["preflight"] = READ_ONLY
    found = problem(bench.deploy())
    assert (found.refused, found.step, found.checks) == (True, "preflight", ("read-only",))
    assert found.message == "read-only: mounted read-only: /boot (vfat on /dev/vda1)"
    assert found.hint is not None
    assert found.hint.endswith("--skip-preflight read-only")
    assert found.command == "ssh p620 dmesg --level err,warn"
    assert bench.delivered == ["build"]
    assert bench.host.state == ALL_OLD
    assert bench.host.locked_by is None


def test_a_question_beside_one_that_failed_is_stopped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host that fails to answer is not asked on what it is made of; its own error is told."""
    stopped: list[str] = []

    async def look(*_: object) -> NoReturn:
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("stopped")
        raise AssertionError

    monkeypatch.setattr(hardware, "look", look)
    bench.host.goes_wrong("preflight", passes_deadline)
    found = problem(bench.deploy())
    assert (found.step, found.message) == (
        "preflight",
        "/bin/sh did not end on the host within 5 s",
    )
    assert stopped == ["stopped"]


def test_all_that_refuses_is_told_at_once(bench: Bench) -> None:
    """Each with its remedy and its command."""
    bench.host.answers["preflight"] = READ_ONLY.replace(b"user=0", b"user=1000")
    found = problem(bench.deploy())
    assert found.checks == ("sudo", "read-only")
    assert "commands run as user 1000" in found.message
    assert found.hint is not None
    assert "(by hand: ssh p620 dmesg" in found.hint
    assert "--skip-preflight sudo --skip-preflight read-only" in found.hint
    said = result_to_json(HostResult(Failed(found.message, found), 1))
    assert said["checks"] == ["sudo", "read-only"]


def test_a_skipped_check_is_told_recorded_and_passed(bench: Bench) -> None:
    """A skipped check is reported, is recorded on the host, and lets the deployment pass."""
    bench.host.answers["preflight"] = READ_ONLY
    outcome = bench.deploy(skip_preflight=("read-only", "clock"))
    assert isinstance(outcome, Deployed)
    assert outcome.warnings == (
        "preflight: read-only was skipped: mounted read-only: /boot (vfat on /dev/vda1)",
        "preflight: clock was skipped, and found nothing",
    )
    assert set(outcome.warnings) <= set(warnings(bench))
    assert bench.host.record is not None
    assert bench.host.record["skipped"] == "read-only clock"


def test_what_cannot_be_read_is_a_warning(bench: Bench) -> None:
    """A host that does not say whether it has something may have it."""
    bench.host.answers["preflight"] = ANSWER.replace(b"read_only=\n", b"")
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert outcome.warnings == (
        "preflight: read-only: the host did not say what is mounted read-only",
    )


def test_a_connection_that_is_lost_in_the_question_is_made_anew(bench: Bench) -> None:
    """The question changes nothing: it is asked again."""
    bench.host.goes_wrong("preflight", loses_connection)
    assert isinstance(bench.deploy(), Deployed)


def test_a_goal_that_only_copies_is_preceded_by_it_too(bench: Bench) -> None:
    """A push needs room; another activation does not disturb it."""
    bench.host.answers["preflight"] = ANSWER.replace(b"activation=", b"activation=x is at work")
    assert isinstance(bench.deploy(Goal.PUSH), Completed)
    assert problem(bench.deploy()).checks == ("activation",)


def test_a_plan_tells_what_preflight_would_say(bench: Bench) -> None:
    """Nothing is refused: a plan does not fail for what may be mended until then."""
    bench.host.answers["preflight"] = NOT_ROOT.replace(b"clock=0\n", b"")
    outcome = bench.deploy(plan_only=True)
    assert isinstance(outcome, Deployed)
    assert outcome.warnings == (
        "preflight would refuse: commands run as user 1000 there, and not as root",
        "preflight: the host did not say the time",
    )


def test_another_machine_is_found_out(bench: Bench) -> None:
    """Who was seen last is remembered by deployments that pass, and by those alone."""
    assert isinstance(bench.deploy(), Deployed)
    file = bench.folder / "machines" / "p620"
    assert file.read_text() == "m\n"
    file.write_text("another\n")
    bench.host.running = OLD
    assert problem(bench.deploy()).checks == ("identity",)
    assert file.read_text() == "another\n"
    assert isinstance(bench.deploy(skip_preflight=("identity",)), Deployed)
    assert file.read_text() == "m\n"


def test_a_clock_is_compared_with_this_machine_s(bench: Bench) -> None:
    """Beyond what the inventory allows it refuses; an emergency is told of it."""
    bench.preflight = replace(bench.preflight, clock_skew=300)
    found = problem(bench.deploy())
    assert found.checks == ("clock",)
    assert "behind this machine's; 300 s are allowed" in found.message
    outcome = bench.deploy(emergency="fire")
    assert isinstance(outcome, Deployed)
    assert "its clock is" in outcome.warnings[0]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OutPath:
    """A target that is in the store here, by a stand-in for the store."""
    system = tmp_path / "system"
    system.mkdir()
    (system / "kernel").write_bytes(b"x" * 3_000_000)

    async def closure_of(out: OutPath) -> list[str]:
        return [f"/nix/store/{'g' * 32}-glibc", out.path]

    async def sized(paths: list[str], codecs: tuple[Codec, ...]) -> Lacking:
        return Lacking(tuple(WantedPath(path, 2**30) for path in paths), codecs)

    monkeypatch.setattr(closures, "closure_of", closure_of)
    monkeypatch.setattr(closures, "sized", sized)
    monkeypatch.setattr(load, "Path", lambda *parts: Path(system, *parts[1:]))
    return NEW


def test_what_is_lacking_is_asked_once(
    bench: Bench, here: OutPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy takes preflight's answer; where it does not fit, its size is told."""

    async def never(*_: object) -> Lacking:
        raise AssertionError("it was asked twice")

    monkeypatch.setattr(copying, "lacking", never)
    bench.host.answers["preflight"] = ANSWER + f"{here}\n".encode()
    assert isinstance(bench.deploy(copy=CopyMethod.CONNECTION), Deployed)
    bench.host.running = OLD
    free = ANSWER.replace(b"store=1048576 4096 ", b"store=1000 4096 ")
    bench.host.answers["preflight"] = free + f"{here}\n".encode()
    found = problem(bench.deploy())
    assert found.checks == ("store-space",)
    assert "the copy takes 1.0 GiB" in found.message


def test_an_answer_that_stops_short_is_asked_again(bench: Bench, here: OutPath) -> None:
    """What a host did not say that it lacks, it may lack: the copy asks by itself."""

    def stops_short(_: FakeHost) -> CommandResult:
        return CommandResult(123, ANSWER + f"{here}\n".encode(), b"")

    bench.host.goes_wrong("preflight", stops_short)
    assert isinstance(bench.deploy(), Deployed)
    assert any("copying 1 path, 0.0 MiB" in event.text for event in logged(bench))


def logged(bench: Bench) -> list[LogLine]:
    """What went into the host's log."""
    return [event for event in bench.events if isinstance(event, LogLine)]


def test_the_target_s_boot_files_are_measured_here(bench: Bench, here: OutPath) -> None:
    """The target's boot files are measured on this machine, as the host lacks them yet."""
    room = b"boot=/boot\nboot.room=900 4096 0 0\n"
    bench.host.answers["preflight"] = ANSWER.replace(b"end=\n", room + b"end=\n")
    found = problem(bench.deploy())
    assert here == NEW
    assert found.checks == ("boot-space",)


def test_a_system_that_the_host_has_takes_no_room(bench: Bench, here: OutPath) -> None:
    """Nothing is copied then, and the margin does not count."""
    full = ANSWER.replace(b"store=1048576 4096 ", b"store=2000 4096 ")
    bench.host.answers["preflight"] = full.replace(b"end=\n", b"has_target=yes\nend=\n")
    assert isinstance(bench.deploy(), Deployed)
    assert here == NEW


def test_a_closure_that_is_not_whole_here_is_not_asked_for(
    bench: Bench, here: OutPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Preflight asks for no closure that is not whole here: the copy finds that out."""

    async def broken(out: OutPath) -> list[str]:
        raise StepError(f"{out} is not valid")

    monkeypatch.setattr(closures, "closure_of", broken)
    assert isinstance(bench.deploy(), Deployed)
    assert here == NEW


def test_a_switch_that_nixos_refuses_is_registered_for_boot(bench: Bench) -> None:
    """What runs is not touched, what boots is the target, and both are reported."""
    bench.host.answers["switching"] = DBUS
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert (outcome.goal, outcome.reboot_required) == (Goal.BOOT, ("dbus: dbus -> broker",))
    assert outcome.warnings == ("reboot required: dbus: dbus -> broker",)
    assert bench.host.state == (OLD, NEW, NEW)
    assert "verify" not in bench.host.calls


@pytest.mark.parametrize(("runs", "said"), [(b"systemd 2", "systemd 2"), (b"", "none")])
def test_another_interface_of_the_init_is_registered_for_boot(
    bench: Bench, runs: bytes, said: str
) -> None:
    """NixOS ends a live switch with 100 there, also where the running system says nothing of it."""
    answer = b"running.init=%s\ntarget.init=systemd 3\nend=\n"
    bench.host.answers["switching"] = answer % runs
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert outcome.goal is Goal.BOOT
    assert outcome.reboot_required == (f"init-interface-version: {said} -> systemd 3",)
    bench.host.answers["switching"] = answer % b"systemd 3"
    outcome = bench.deploy(force=True)
    assert isinstance(outcome, Deployed)
    assert outcome.goal is Goal.SWITCH


def test_a_test_that_nixos_refuses_is_refused(bench: Bench) -> None:
    """There is no boot to register it for: the host is left as it was."""
    bench.host.answers["switching"] = DBUS
    found = problem(bench.deploy(Goal.TEST))
    assert found.refused
    assert "NixOS does not switch to it live: dbus: dbus -> broker" in found.message
    assert bench.host.state == ALL_OLD


def test_a_boot_is_never_refused_as_a_switch_is(bench: Bench) -> None:
    """What boots next may differ in all."""
    bench.host.answers["switching"] = DBUS
    outcome = bench.deploy(Goal.BOOT)
    assert isinstance(outcome, Deployed)
    assert outcome.reboot_required == ()


def test_what_takes_effect_at_the_next_boot_is_told(bench: Bench) -> None:
    """A new kernel is there and does not run."""
    bench.host.answers["switching"] = b"booted.kernel=/a\ntarget.kernel=/b\nend=\n"
    outcome = bench.deploy()
    assert isinstance(outcome, Deployed)
    assert (outcome.goal, outcome.reboot_required) == (Goal.SWITCH, ("kernel",))
    assert outcome.warnings == ("reboot required: kernel",)


def test_a_host_that_does_not_say_how_it_stands_is_not_activated(bench: Bench) -> None:
    """A switch that is refused in the middle would be taken for a failure of the system."""
    bench.host.answers["switching"] = b"?"
    assert "did not say whether it may switch live" in problem(bench.deploy()).message
    assert bench.host.state == ALL_OLD


def test_preflight_comes_before_the_copy(bench: Bench) -> None:
    """Preflight comes after the build, which may take an hour, and before the copy."""
    bench.deploy()
    phases = [event.phase for event in bench.events if isinstance(event, PhaseStarted)]
    assert phases.index(Phase.BUILD) < phases.index(Phase.PREFLIGHT) < phases.index(Phase.COPY)


@pytest.mark.parametrize("program", ["sw/bin/nix-env", "bin/switch-to-configuration"])
def test_a_system_that_could_not_be_left_again_is_not_copied(bench: Bench, program: str) -> None:
    """Refused by the host's word, where the system is not here."""
    bench.host.answers["way back"] = f"missing={program}\nend=\n".encode()
    found = problem(bench.deploy())
    assert (found.refused, found.checks) == (True, ("way-back",))
    assert bench.delivered == ["build"]
    assert bench.host.state == ALL_OLD
