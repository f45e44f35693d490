"""A host's generations, asked by this machine's shells of a folder that stands for a host."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from orchestrator.core import process
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.generation import Generation, HostSystems
from orchestrator.core.plan import Goal
from orchestrator.core.process import CommandResult
from orchestrator.core.state import Attempt, HostState
from orchestrator.core.store import OutPath, Specialised
from orchestrator.host.generations import ask_systems, is_there, parse_systems
from orchestrator.host.guard.lines import lines_of

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
PLACES = ("/nix/var/", "/run/", "/var/lib/")
MADE = 1_700_000_000
NEW = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
OLD = OutPath("/nix/store/dddddddddddddddddddddddddddddddd-nixos-system-p620-?")
STATE = HostState("m", NEW, NEW, NEW, NEW)
ATTEMPT = Attempt("1-a", Goal.SWITCH, NEW, STATE, 1, "me@here", None, datetime.now(UTC))

# Those paths are not valid whose name is below $GONE.
NIX_STORE = """#!/bin/sh
rc=0
for path; do
  [ -e "$GONE/${path##*/}" ] || continue
  rc=1
  case $* in *--print-invalid*) echo "$path" ;; esac
done
exit $rc
"""


@dataclass
class Machine:
    """A folder that stands for a host's root, and a shell."""

    root: Path
    shell: tuple[str, ...]

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run a script with the root put before each absolute path; the store's are data."""
        assert root
        _, _, text, *rest = argv
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        path = f"{self.root}/bin:{os.environ['PATH']}"
        env = {"PATH": path, "GONE": str(self.root / "gone")}
        argv = ("env", *(f"{key}={value}" for key, value in env.items()), *self.shell)
        return await process.run((*argv, "-c", text, *rest), deadline=deadline, stdin=stdin)

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return " ".join(argv)

    @property
    def executor(self) -> Executor:
        """The way there, as far as these scripts need one."""
        return cast("Executor", self)

    def has(self, number: int, system: str) -> None:
        """Give the profile a generation."""
        link = self.root / f"nix/var/nix/profiles/system-{number}-link"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(system)
        os.utime(link, (MADE, MADE), follow_symlinks=False)

    def lost(self, system: OutPath) -> None:
        """Collect a system as garbage."""
        (self.root / "gone").mkdir(exist_ok=True)
        (self.root / "gone" / system.path.removeprefix("/nix/store/")).touch()

    def write(self, path: str, text: str) -> None:
        """Write a file below the root."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def systems(self) -> HostSystems:
        """Ask."""
        return asyncio.run(ask_systems(self.executor, STATE, 30))


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """Make a machine without a generation."""
    (tmp_path / "bin").mkdir()
    tool = tmp_path / "bin/nix-store"
    tool.write_text(NIX_STORE)
    tool.chmod(0o755)
    shell = (request.param, "sh") if request.param == "busybox" else (request.param,)
    return Machine(tmp_path, shell)


def test_generations_are_told_newest_first(machine: Machine) -> None:
    """Generations are listed newest first by number, with the time of the profile's link."""
    version = machine.root / "version"
    version.mkdir()
    (version / "nixos-version").write_text("25.05.20250601.abcdef1 (Warbler)")
    for number, system in ((9, OLD.path), (10, NEW.path), (11, str(version))):
        machine.has(number, system)
    (machine.root / "nix/var/nix/profiles/system").symlink_to("system-11-link")
    made = datetime.fromtimestamp(MADE, UTC)
    assert machine.systems() == HostSystems(
        state=STATE,
        generations=(
            Generation(11, made, None, "25.05.20250601.abcdef1 (Warbler)"),
            Generation(10, made, NEW),
            Generation(9, made, OLD),
        ),
    )


def test_a_machine_without_a_profile_has_none(machine: Machine) -> None:
    """A machine without a system profile has no generations, and its store is not asked."""
    (machine.root / "bin/nix-store").write_text("#!/bin/sh\necho gone=asked\n")
    assert machine.systems() == HostSystems(STATE)


def test_what_was_collected_is_told(machine: Machine) -> None:
    """Generations and recorded systems that were collected are marked as such."""
    machine.has(1, OLD.path)
    machine.write("var/lib/orchestrator/record", f"target={NEW}\nrunning={OLD}\n")
    for system in (NEW, OLD):
        machine.lost(system)
    assert machine.systems().gone == {NEW, OLD}


def test_the_record_is_read_as_the_attempt_that_it_is(machine: Machine) -> None:
    """A host's record is read as an attempt, with what the host was before it."""
    machine.write("var/lib/orchestrator/record", f"{lines_of(ATTEMPT)}state=done\n")
    committed = machine.systems().committed
    assert committed is not None
    assert (committed.run, committed.target, committed.before.running) == (1, NEW, NEW)


def test_a_system_is_there_gone_or_none(tmp_path: Path, machine: Machine) -> None:
    """A path that is valid and no system is refused: it could not be activated."""
    system = OutPath("/nix/store/00000000000000000000000000000000-nixos-system-test")
    with pytest.raises(StepError, match="is no NixOS system"):
        asyncio.run(is_there(machine.executor, system, 30))
    machine.lost(system)
    assert not asyncio.run(is_there(machine.executor, system, 30))
    (tmp_path / "bin/nix-store").write_text("#!/bin/sh\nkill -9 $PPID\n")
    with pytest.raises(StepError, match="did not say"):
        asyncio.run(is_there(machine.executor, system, 30))


def test_a_host_that_does_not_say_is_an_error(machine: Machine) -> None:
    """An answer that is cut off is none."""
    machine.has(1, NEW.path)
    (machine.root / "bin/nix-store").write_text("#!/bin/sh\nkill -9 $PPID; sleep 1\n")
    with pytest.raises(StepError, match="did not say which generations"):
        machine.systems()


@pytest.mark.parametrize("line", ["x 1 /nix/store/y ", "1 x /etc ", "1  "])
def test_what_is_not_understood_is_left_out(line: str) -> None:
    """A link of another's making costs no other generation."""
    known = parse_systems(f"generation={line}\ngeneration=2 1700000000 {NEW} \n", STATE)
    assert known.generations[0] == Generation(2, datetime.fromtimestamp(MADE, UTC), NEW)


def test_many_generations_are_asked_at_once(machine: Machine) -> None:
    """The store is asked once, however many there are."""
    for number in range(1, 51):
        machine.has(number, NEW.path)
    (machine.root / "bin/nix-store").write_text(f"#!/bin/sh\necho >> {machine.root}/calls\n")
    assert len(machine.systems().generations) == 50
    assert (machine.root / "calls").read_text() == "\n"


def test_specialisations_of_generations_are_known_by_their_paths(machine: Machine) -> None:
    """Of each generation's specialisations the path and the name; the newest system first."""
    variant = OutPath(f"/nix/store/{'g' * 32}-nixos-system-p620")
    for number, name in ((1, "old"), (2, "new")):
        folder = machine.root / name / "specialisation"
        folder.mkdir(parents=True)
        (folder / "gaming").symlink_to(variant.path)
        (folder / "elsewhere").symlink_to("/etc")
        machine.has(number, str(machine.root / name))
    said = machine.systems()
    assert said.specialisations == {}  # These systems are no paths of the store.
    lines = f"generation=1 1 {OLD} \ngeneration=2 1 {NEW} \n"
    both = f"variant=1 {variant} gaming\nvariant=2 {variant} gaming\nvariant=2 {variant} .x\n"
    known = parse_systems(f"{lines}{both}variant=9 {variant} gone\n", STATE)
    assert known.specialisations == {
        variant: (Specialised(NEW, "gaming"), Specialised(OLD, "gaming"))
    }
