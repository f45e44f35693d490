"""Seeing what a real Nix reads: both tracers, the choice between them, the twin evaluation."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from orchestrator.changes.tracing import evaluation, ways
from orchestrator.changes.tracing.evaluation import Trace
from orchestrator.changes.tracing.tracer import Tracer
from orchestrator.changes.tracing.twin import trace, trace_fragment
from orchestrator.changes.tree.snapshot import snapshot
from orchestrator.core.errors import StepError, UsageError
from orchestrator.nix import verbs as nix
from orchestrator.nix.verbs import Flake

pytestmark = pytest.mark.usefixtures("nix")

FLAKE = """{
  outputs = { self }: let
    mk = name: value: derivation {
      inherit name;
      system = "none";
      builder = "none";
      value = builtins.toJSON value;
    };
    imported = derivation {
      name = "imported";
      system = "none";
      builder = "none";
    };
  in {
    c = {
      file = mk "file" (builtins.readFile ./files/one);
      list = mk "list" (builtins.attrNames (builtins.readDir ./files));
      type = mk "type" (builtins.pathExists ./absent/file);
      all = mk "all" "${self}";
      revision = mk "revision" (self.rev or "none");
      dirty = mk "dirty" (self.dirtyRev or "none");
      built = mk "built" (import imported);
      broken = mk "broken" (builtins.readFile ./absent);
      copied = mk "copied" (builtins.readFile "${./.}/files/one");
      copiedToo = mk "copiedToo" (builtins.readFile "${./.}/files/one");
      module = mk "module" (builtins.pathExists ./module/x);
    };
    nixosConfigurations."h".config.system.build.toplevel = self.c.file;
  };
}
"""
SEEN = {("open", "flake.nix"), ("stat", "flake.lock")}


async def _found() -> Tracer:
    return ways.found()


TRACERS: dict[str, Callable[[], Awaitable[Tracer]]] = {"shim": ways.compiled, "strace": _found}


@pytest.fixture(params=TRACERS)
def tracer(request: pytest.FixtureRequest) -> Tracer:
    """Each way to trace; here, both have to work."""

    async def ready() -> Tracer:
        return await TRACERS[request.param]()

    return asyncio.run(ready())


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clean repository with the flake."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "fleet")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "fleet@example.org")
    root = tmp_path / "a fleet"
    (root / "files").mkdir(parents=True)
    (root / "flake.nix").write_text(FLAKE)
    (root / "files/one").write_text("1\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "first")
    return root


def git(root: Path, *words: str) -> None:
    """Run git."""
    subprocess.run(["git", "-C", root, *words], check=True, capture_output=True)


def traced(root: Path, attribute: str, tracer: Tracer, deadline: float = 120) -> Trace:
    """Trace one attribute of ``c``."""

    async def go() -> Trace:
        tree = await snapshot(str(root))
        flake = Flake(".", str(root))
        return await trace_fragment(flake, f"c.{attribute}", tree, tracer, deadline=deadline)

    return asyncio.run(go())


def real(root: Path, attribute: str) -> str:
    """What the tree itself evaluates to."""
    argv = ["nix", "path-info", "--derivation", "--no-eval-cache", f".#c.{attribute}"]
    return subprocess.run(argv, cwd=root, check=True, capture_output=True, text=True).stdout.strip()


def is_same(seen: Trace, root: Path, attribute: str) -> bool:
    """Whether the twin gave what the tree gives."""
    return seen.drv is not None and seen.drv.path == real(root, attribute)


def test_a_tracer_sees_all_that_nix_reads(tracer: Tracer) -> None:
    """The self-test's flake, by the Nix that is here."""
    asyncio.run(evaluation.check(tracer))


def test_a_tracer_that_sees_nothing_fails_the_self_test(tmp_path: Path) -> None:
    """A tracer that sees nothing, as with a static Nix, fails its self test."""
    library = tmp_path / "other.so"
    subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", "-o", library], check=True)
    with pytest.raises(StepError, match="does not see Nix read"):
        asyncio.run(evaluation.check(ways.Shim(library)))


def test_the_first_that_works_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shim; strace where there is no compiler; nothing, and why, where there is neither."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert isinstance(asyncio.run(evaluation.find()), ways.Shim)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("nix", "nix-store", "strace"):
        (programs / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(programs))
    chosen = asyncio.run(evaluation.choose())
    assert isinstance(chosen.tracer, ways.Strace)
    assert chosen.sentence.startswith("strace works; preloaded shim: there is no C compiler")
    (programs / "strace").unlink()
    chosen = asyncio.run(evaluation.choose())
    assert chosen.tracer is None
    assert "there is no strace" in chosen.sentence


def test_a_success_is_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For this Nix and this tracer; the shim is not compiled again, either."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    first = asyncio.run(evaluation.find())
    made = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}

    async def fails(tracer: Tracer) -> None:
        raise StepError("it was tested again")

    monkeypatch.setattr(evaluation, "check", fails)
    assert asyncio.run(evaluation.find()) == first
    assert made == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*")}


@pytest.mark.parametrize("state", ["clean", "dirty"])
def test_what_is_read_is_seen_and_nothing_else(fleet: Path, tracer: Tracer, state: str) -> None:
    """A content, a list, and what was looked for in vain; in a tree of either state."""
    (fleet / "files/two").touch()
    git(fleet, "add", "files/two")
    if state == "clean":
        git(fleet, "commit", "-q", "-m", "second")
    for attribute, expected in {
        "file": {("open", "files/one")},
        "list": {("open", "files")},
        "type": {("stat", "absent")},
    }.items():
        seen = traced(fleet, attribute, tracer)
        assert is_same(seen, fleet, attribute)
        assert seen.accesses >= SEEN | expected
        opened = {path for call, path in seen.accesses if call == "open"}
        assert opened == {"flake.nix"} | {path for call, path in expected if call == "open"}


@pytest.mark.parametrize("state", ["clean", "dirty"])
@pytest.mark.parametrize("attribute", ["all", "revision", "dirty", "built", "broken"])
def test_what_files_cannot_tell_is_told(
    fleet: Path, tracer: Tracer, attribute: str, state: str
) -> None:
    """The whole tree, its revision, whether it is clean, a build, an error: no derivation comes."""
    if state == "dirty":
        (fleet / "files/one").write_text("2\n")
    seen = traced(fleet, attribute, tracer)
    if attribute == "built":
        assert (seen.drv, seen.why) == (None, "it imports from a derivation")
    elif attribute == "broken":
        assert seen.drv is None
        assert seen.why.startswith("its twin fails: ")
    else:
        assert not is_same(seen, fleet, attribute)


def test_what_another_evaluation_copied_is_read_again(fleet: Path, tracer: Tracer) -> None:
    """A copy of the whole tree that is in the store already would be read in the tree's place."""
    for attribute in ("copied", "copied", "copiedToo"):
        seen = traced(fleet, attribute, tracer)
        assert is_same(seen, fleet, attribute)
        assert ("open", "files/one") in seen.accesses


def test_a_look_into_a_submodule_is_told(fleet: Path, tracer: Tracer) -> None:
    """What Nix sees there depends on more than the commit that is recorded."""
    git(fleet, "init", "-q", "module")
    git(fleet / "module", "commit", "-q", "--allow-empty", "-m", "inner")
    git(fleet, "add", "module")
    git(fleet, "commit", "-q", "-m", "second")
    assert traced(fleet, "module", tracer).why == "it looks into the submodule module"
    assert is_same(traced(fleet, "file", tracer), fleet, "file")


def test_a_host_of_a_flake_in_a_subfolder(fleet: Path, tracer: Tracer) -> None:
    """A host of a flake in a subfolder is traced, and its files are the repository's."""
    (fleet / "nix").mkdir()
    git(fleet, "mv", "flake.nix", "files", "nix/")
    flake = Flake(".", str(fleet / "nix"))

    async def go() -> None:
        tree = await snapshot(flake.folder)
        expected = await nix.evaluate(flake, "h", deadline=60)
        seen = await trace(flake, "h", tree, tracer, deadline=120)
        assert seen.drv == expected.drv
        assert ("open", "nix/files/one") in seen.accesses
        with pytest.raises(UsageError):
            await trace(flake, 'h"', tree, tracer, deadline=120)

    asyncio.run(go())


class Sleeping:
    """A tracer that never comes to the evaluation."""

    name = "sleeping"

    def command(self, log: Path) -> tuple[str, ...]:  # noqa: ARG002
        """In front of the command, which is not started."""
        return ("sh", "-c", "exec sleep 300")

    def environment(self, log: Path, folder: str) -> dict[str, str]:  # noqa: ARG002
        """Nothing."""
        return {}

    def calls(self, log: Path, folder: str) -> Iterator[tuple[str, str]]:  # noqa: ARG002
        """Never asked."""
        raise AssertionError


def test_nothing_is_left(
    fleet: Path, tmp_path: Path, tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an evaluation that went well, of one that fails, of one that takes too long."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    mark = f"only-here-{secrets.token_hex(8)}"
    (fleet / mark).touch()
    git(fleet, "add", mark)
    before = set(tmp_path.iterdir())
    for attribute in ("file", "all", "broken"):
        traced(fleet, attribute, tracer)
    with pytest.raises(StepError, match="did not end within"):
        traced(fleet, "file", Sleeping(), deadline=8)
    assert set(tmp_path.iterdir()) == before
    assert list(Path("/nix/store").glob(f"*-source/{mark}")) == []


def test_an_evaluation_that_was_not_seen_is_an_error(fleet: Path, tmp_path: Path) -> None:
    """An evaluation that the tracer did not see is an error, not a host that reads nothing."""
    library = tmp_path / "other.so"
    subprocess.run(["cc", "-shared", "-x", "c", "/dev/null", "-o", library], check=True)
    with pytest.raises(StepError, match="did not see"):
        traced(fleet, "file", ways.Shim(library))


PROGRAM = """
import os, sys, threading
root = sys.argv[1]
os.chdir(root)
folder = os.open("folder", os.O_RDONLY)

def look(number):
    for name in range(200):
        try:
            os.stat(f"{number}-{name}", dir_fd=folder)
        except FileNotFoundError:
            pass

threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
if os.fork() == 0:
    os.access("child", os.R_OK)
    os._exit(0)
os.wait()
for name in ("x" * 200 + "/") * 19 + "end", "y" * 5000:
    try:
        os.stat(name)
    except OSError:
        pass
os.closerange(3, 800)
os.access("last", os.R_OK)
"""


def run_shim(folder: Path, log: Path) -> subprocess.CompletedProcess[str]:
    """Run a program that does not go easy on its tracer."""
    tool = asyncio.run(ways.compiled())
    env = {**os.environ, **tool.environment(log, folder.name)}
    argv = [sys.executable, "-c", PROGRAM, str(folder)]
    return subprocess.run(argv, env=env, check=False, capture_output=True, text=True)


def test_the_shim_loses_nothing(tmp_path: Path) -> None:
    """Threads, forks, long paths, paths relative to anything, a program that closes all it sees."""
    root = tmp_path / "unlike-any-other"
    (root / "folder").mkdir(parents=True)
    assert run_shim(root, tmp_path / "log").returncode == 0
    tool = asyncio.run(ways.compiled())
    seen = [path for _, path in tool.calls(tmp_path / "log", root.name)]
    expected = {f"{root}/folder/{one}-{two}" for one in range(8) for two in range(200)}
    expected |= {f"{root}/child", f"{root}/last", f"{root}/" + ("x" * 200 + "/") * 19 + "end"}
    assert expected <= set(seen)


def test_a_record_that_cannot_be_written_ends_the_program(tmp_path: Path) -> None:
    """A full disk must not look like an evaluation that read nothing."""
    root = tmp_path / "unlike-any-other"
    (root / "folder").mkdir(parents=True)
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    done = run_shim(root, log)
    assert done.returncode == 125
    assert "a record cannot be written" in done.stderr


def test_a_log_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    """A trace whose last record lacks its end is an error: it was cut off."""
    (tmp_path / "log").write_bytes(b"o/a\0o/b")
    with pytest.raises(StepError, match="cut off"):
        list(ways.Shim(tmp_path).calls(tmp_path / "log", "a"))
