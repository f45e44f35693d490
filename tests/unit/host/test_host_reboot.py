"""What counts from a boot on, and the order to boot, by this machine's shells."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.process import CommandResult
from orchestrator.core.store import OutPath
from orchestrator.host.boot import ask_parts, reboot, settled

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
PARTS = ("kernel", "kernel-params", "systemd", "not there")
TARGET = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")


@dataclass
class Machine:
    """A folder that stands for a host's root, and a shell."""

    root: Path
    shell: tuple[str, ...]

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run a script with the root put before each place, also in its arguments."""
        assert root
        _, _, text, *rest = argv
        text = text.replace("/run/", f"{self.root}/run/")
        rest = [f"{self.root}{one}" if one.startswith("/nix/store/") else one for one in rest]
        environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        return await process.run(
            (*self.shell, "-c", text, *rest), deadline=deadline, stdin=stdin, env=environment
        )

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return " ".join(argv)

    @property
    def executor(self) -> Executor:
        """The way there, as far as these scripts need one."""
        return cast("Executor", self)

    def system(self, kernel: str, words: str) -> Path:
        """Make the target: a link, a file without a line's end, a link that leads nowhere."""
        folder = self.root / TARGET.path.removeprefix("/")
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("kernel", "systemd"):
            (folder / name).unlink(missing_ok=True)
        (self.root / kernel).touch()
        (folder / "kernel").symlink_to(self.root / kernel)
        (folder / "kernel-params").write_text(words)
        (folder / "systemd").symlink_to(self.root / "nowhere")
        return folder

    def tool(self, name: str, text: str) -> None:
        """Make a command do something."""
        (self.root / "bin").mkdir(exist_ok=True)
        (self.root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.root / "bin" / name).chmod(0o755)

    def parts(self) -> tuple[dict[str, str], dict[str, str]]:
        """Ask."""
        return asyncio.run(ask_parts(self.executor, TARGET, PARTS, 30))


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """Make a machine that booted nothing yet."""
    (tmp_path / "run").mkdir()
    shell = (request.param, "sh") if request.param == "busybox" else (request.param,)
    return Machine(tmp_path, shell)


def test_parts_are_told_by_where_they_lead(machine: Machine) -> None:
    """A link by its end, a file by its first line, and what is not there not at all."""
    system = machine.system("linux-6.12", 'loglevel=4 dyndbg="file a=b"')
    (machine.root / "run/booted-system").symlink_to(system)
    booted, target = machine.parts()
    assert booted == target
    assert booted["kernel"] == str(machine.root / "linux-6.12")
    assert booted["kernel-params"] == 'loglevel=4 dyndbg="file a=b"'
    assert "not there" not in booted


def test_a_machine_that_tells_not_what_it_booted(machine: Machine) -> None:
    """Only the target's parts are known then."""
    machine.system("linux-6.12", "")
    booted, target = machine.parts()
    assert booted == {}
    assert target["kernel-params"] == ""


def test_no_answer_is_an_error(machine: Machine) -> None:
    """What is cut off in the middle would look as if nothing were there."""
    machine.shell = ("sh", "-c", "echo booted.kernel=x", "sh")
    with pytest.raises(StepError, match="did not say which kernel"):
        machine.parts()


def test_the_order_is_given_in_a_unit_of_its_own(machine: Machine) -> None:
    """One that bears the run's token; what holds a boot up is heeded."""
    machine.tool("systemd-run", f'printf "%s\\n" "$@" > {machine.root}/called')
    asyncio.run(reboot(machine.executor, "7-abcd", 30))
    called = (machine.root / "called").read_text().splitlines()
    assert "--unit=orchestrator-reboot-7-abcd" in called
    assert called[-3:] == ["systemctl", "--check-inhibitors=yes", "reboot"]


def test_a_refusal_has_what_systemd_says(machine: Machine) -> None:
    """A reboot that systemd refuses is an error with what it said on either stream."""
    machine.tool(
        "systemd-run", 'echo "Operation inhibited by: raid"; echo "Please retry" >&2; exit 1'
    )
    machine.tool("systemctl", "echo degraded")
    with pytest.raises(StepError, match="refuses to reboot") as raised:
        asyncio.run(reboot(machine.executor, "7-abcd", 30))
    assert raised.value.stderr == "Operation inhibited by: raid\nPlease retry"


@pytest.mark.parametrize(("ends", "state"), [("exit 1", "stopping"), ("kill -9 $$", "running")])
def test_an_order_that_meets_the_boot_is_no_refusal(
    machine: Machine, ends: str, state: str
) -> None:
    """Whoever gave it may be ended by it."""
    machine.tool("systemd-run", ends)
    machine.tool("systemctl", f"echo {state}")
    asyncio.run(reboot(machine.executor, "7-abcd", 30))


@pytest.mark.parametrize(("does", "word"), [("echo degraded; exit 1", "degraded"), ("sleep 9", "")])
def test_the_end_of_a_boot_is_waited_for(machine: Machine, does: str, word: str) -> None:
    """However it ends; one that goes on is not waited for longer than is said."""
    machine.tool("systemctl", does)
    assert asyncio.run(settled(machine.executor, 1)) == word
