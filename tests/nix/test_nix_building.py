"""Builds of many systems at once, by a real Nix: one process, and each host its own end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.core.errors import StepError
from orchestrator.core.store import DrvPath, Evaluated
from orchestrator.deploy.delivering.batches import Member
from orchestrator.deploy.delivering.building import Builds
from orchestrator.nix.flake import output_of

DEADLINE = 300.0

EXPRESSION = """
let
  make = name: script: needs: derivation {
    inherit name needs;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-c" script ];
    salt = "@SALT@";
  };
  shared = make "shared" "echo shared > $out" [ ];
  broken = make "broken" "echo the last words; exit 3" [ shared ];
in
{
  a = make "system-a" "echo a > $out" [ shared ];
  b = make "system-b" "echo b > $out" [ shared ];
  bad = make "system-bad" "echo bad > $out" [ broken ];
  foreign = derivation {
    name = "system-foreign";
    system = "riscv64-none";
    builder = "/bin/sh";
    salt = "@SALT@";
  };
  slow = make "system-slow" "while :; do :; done" [ shared ];
}
"""


class Bench:
    """Systems that no store has built before, and a count of Nix's processes.

    Attributes:
        roots: Where roots are made.
        told: What each host's log and progress got.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.roots = folder / "roots"
        self.roots.mkdir()
        self.told: dict[str, list[str]] = {}
        (folder / "systems.nix").write_text(EXPRESSION.replace("@SALT@", str(uuid4())))

    def system(self, name: str) -> Evaluated:
        """One of the systems."""
        argv = ("nix-instantiate", str(self.folder / "systems.nix"), "-A", name)
        done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60)
        drv = DrvPath.parse(done.stdout)
        out = output_of(drv)
        assert out is not None
        return Evaluated(drv, out)

    def count_processes(self, patch: pytest.MonkeyPatch) -> Path:
        """Have each `nix build` leave a line in a file."""
        log, shims = self.folder / "processes", self.folder / "shims"
        shims.mkdir()
        real = subprocess.run(
            ("sh", "-c", "command -v nix"), capture_output=True, text=True, check=True
        ).stdout.strip()
        shim = shims / "nix"
        shim.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {real} "$@"\n')
        shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
        patch.setenv("PATH", f"{shims}{os.pathsep}{os.environ['PATH']}")
        log.touch()
        return log

    async def build(self, builds: Builds, name: str, deadline: float = DEADLINE) -> str:
        """Build a system for a host of its name; give ``built`` or the error's message."""
        told = self.told.setdefault(name, [])
        try:
            await builds.build(
                self.system(name),
                root=self.roots / name,
                deadline=deadline,
                member=Member(name, told.append, told.append),
            )
        except StepError as error:
            told += [error.hint or "", error.command or "", error.stderr]
            return error.message
        return "built"

    def all(self, *names: str, slots: int = 1) -> list[str]:
        """Build several at the same time."""

        async def inside() -> list[str]:
            builds = Builds(asyncio.Semaphore(slots))
            return await asyncio.gather(*(self.build(builds, name) for name in names))

        return asyncio.run(inside())


@pytest.fixture
def bench(nix: None, tmp_path: Path) -> Bench:
    """Make a bench."""
    return Bench(tmp_path)


def test_two_systems_are_one_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Built, each with its root; and the next time there is no process at all."""
    log = bench.count_processes(monkeypatch)
    assert bench.all("a", "b") == ["built", "built"]
    assert len(log.read_text().splitlines()) == 1
    for name in "ab":
        assert str((bench.roots / name).readlink()) == bench.system(name).out.path
        assert any(f"building system-{name} (2 of 2)" in text for text in bench.told[name])
        (bench.roots / name).unlink()
    assert bench.all("a", "b") == ["built", "built"]
    assert len(log.read_text().splitlines()) == 1
    assert (bench.roots / "a").is_symlink()


def test_a_root_keeps_a_system(bench: Bench) -> None:
    """Nix knows the link as a root."""
    assert bench.all("a") == ["built"]
    out = bench.system("a").out.path
    done = subprocess.run(
        ("nix-store", "--query", "--roots", out), capture_output=True, text=True, check=True
    )
    assert str(bench.roots / "a") in done.stdout


def test_one_that_fails_fails_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are built by the same process; the error names what broke, and how it ended."""
    log = bench.count_processes(monkeypatch)
    assert bench.all("a", "bad", "b") == [
        "built",
        "build failed: broken builder failed with exit code 3",
        "built",
    ]
    assert len(log.read_text().splitlines()) == 1
    hint, command, stderr = bench.told["bad"][-3:]
    assert hint.startswith("its whole log: nix log /nix/store/")
    assert hint.endswith("-broken.drv")
    assert command.startswith(f"nix build --no-link '{bench.system('bad').drv}^*'")
    assert "the last words" in stderr
    assert not any("broken" in text for name in "ab" for text in bench.told[name])


def test_what_stops_the_whole_process_is_nobody_elses_fault(bench: Bench) -> None:
    """A system that no machine here can build: the other is built all the same."""
    first, second = bench.all("a", "foreign")
    assert first == "built"
    assert "riscv64-none" in second


def test_the_command_by_hand_shows_the_same_failure(bench: Bench) -> None:
    """A person who repeats it sees the builder's words."""
    bench.all("bad")
    command = bench.told["bad"][-2].replace(
        "nix build", "nix --extra-experimental-features 'nix-command flakes' build"
    )
    done = subprocess.run(
        ("sh", "-c", command), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode != 0
    assert "the last words" in done.stderr


@pytest.mark.parametrize("leaves", ["by its deadline", "by Ctrl-C"])
def test_one_that_leaves_does_not_end_the_others(bench: Bench, leaves: str) -> None:
    """The other goes on as soon as it is built; with nobody left, no process is."""

    async def inside() -> str:
        builds = Builds(asyncio.Semaphore(1))
        deadline = 1.0 if leaves == "by its deadline" else DEADLINE
        goes = asyncio.create_task(bench.build(builds, "slow", deadline))
        stays = asyncio.create_task(bench.build(builds, "a"))
        assert await stays == "built"
        if leaves == "by Ctrl-C":
            goes.cancel()
        await asyncio.wait((goes,))
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return "cancelled" if goes.cancelled() else goes.result()

    gone = asyncio.run(inside())
    assert gone == (
        "the build did not end within 1 s" if leaves == "by its deadline" else "cancelled"
    )
    for stat_file in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            _, parent, *_ = stat_file.read_text().rpartition(")")[2].split()
            command = stat_file.with_name("cmdline").read_bytes().split(b"\0")
            assert parent != str(os.getpid()) or b"build" not in command
