"""Learning what evaluations read; one learner a fleet, and none in a deployment's way."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from known_fleet import HOSTS, KnownFleet, found_tracer, system

from orchestrator.changes import learn
from orchestrator.changes.knowledge import NOT_LEARNED
from orchestrator.changes.plan import Asked, Known, Read, Unknown
from orchestrator.changes.tracing.twin import Trace
from orchestrator.changes.turns import BusyError, learning, stop_learning
from orchestrator.core.errors import StepError
from orchestrator.core.values import replace
from orchestrator.nix.verbs import OutOfMemoryError

NAMES = tuple(HOSTS)


def changed(fleet: KnownFleet) -> dict[str, tuple[str, ...]]:
    """What changed that counts, of each host; of those that are known, nothing."""
    found = fleet.known()
    return {name: one.changed if isinstance(one, Unknown) else () for name, one in found.items()}


def test_what_is_learned_is_known_until_a_file_that_is_read_changes(fleet: KnownFleet) -> None:
    """Another host's file and a file that nobody reads change nothing."""
    lessons = fleet.learn()
    assert [lesson.problem for lesson in lessons.values()] == ["", ""]
    assert all(isinstance(one, Known) for one in fleet.known().values())
    fleet.write("README")
    assert changed(fleet) == {"p620": (), "razer": ()}
    fleet.write("hosts/razer.nix")
    assert changed(fleet) == {"p620": (), "razer": ("hosts/razer.nix",)}
    fleet.commit()
    assert changed(fleet) == {"p620": (), "razer": ("hosts/razer.nix",)}
    fleet.write("flake.nix")
    assert changed(fleet)["p620"] == ("flake.nix",)


def test_what_is_learned_says_what_was_read(fleet: KnownFleet) -> None:
    """Files, folders, and the types on the way; how many files it is."""
    lesson = fleet.learn("p620")["p620"]
    assert lesson.fresh
    assert lesson.fingerprint is not None
    assert lesson.fingerprint.reads == {
        Read(Asked.CONTENT, "flake.nix"),
        Read(Asked.TYPE, "flake.nix"),
        Read(Asked.CONTENT, "hosts/p620.nix"),
        Read(Asked.TYPE, "hosts/p620.nix"),
        Read(Asked.LIST, "hosts"),
        Read(Asked.TYPE, "hosts"),
    }
    assert (lesson.fingerprint.files, lesson.fingerprint.run) == (2, None)


def test_what_a_run_evaluated_keeps_the_runs_number(fleet: KnownFleet) -> None:
    """The reason in later reports names it."""
    fleet.run(14)
    lesson = fleet.learn("p620")["p620"]
    assert lesson.fingerprint is not None
    assert lesson.fingerprint.run == 14


def test_what_is_learned_already_is_not_learned_again(fleet: KnownFleet) -> None:
    """What is learned already is not learned again, unless ``again`` asks for it."""
    fleet.learn()
    fleet.evaluated.clear()
    lessons = fleet.learn()
    assert not any(lesson.fresh for lesson in lessons.values())
    assert fleet.evaluated == []
    fleet.learn(again=True)
    assert fleet.evaluated == list(NAMES)


def test_equal_hosts_are_learned_once_by_the_name_of_their_class(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many members of a class are one evaluation; each of them is known then."""
    members = {f"p-{n}": replace(HOSTS["p620"], name=f"p-{n}", of="p") for n in range(9)}
    monkeypatch.setattr("known_fleet.HOSTS", members)
    lessons = fleet.learn()
    assert (list(lessons), fleet.evaluated) == (["p"], ["p620"])
    assert all(isinstance(one, Known) for one in fleet.known().values())


def test_what_is_learned_outlives_a_commit(fleet: KnownFleet) -> None:
    """What was learned of a dirty tree still holds once its files are committed."""
    fleet.write("README")
    fleet.learn()
    fleet.commit()
    fleet.evaluated.clear()
    assert not any(lesson.fresh for lesson in fleet.learn().values())
    assert fleet.evaluated == []


def test_a_twin_that_differs_makes_the_whole_tree_count(fleet: KnownFleet) -> None:
    """A twin that differs makes the whole tree count, until something changes."""
    fleet.twins["p620"] = Trace(system("x").drv, frozenset())
    lesson = fleet.learn("p620")["p620"]
    assert lesson.fingerprint is not None
    assert lesson.fingerprint.reads is None
    assert lesson.fingerprint.why_whole == learn.WHOLE_TREE
    fleet.evaluated.clear()
    assert not fleet.learn("p620")["p620"].fresh
    assert fleet.evaluated == []
    fleet.write("README")
    assert changed(fleet)["p620"] == ("README",)


def test_a_twin_without_a_result_says_why(fleet: KnownFleet) -> None:
    """The reason is told to who asks ``why``."""
    fleet.twins["p620"] = Trace(None, frozenset(), "it looks into the submodule m")
    lesson = fleet.learn("p620")["p620"]
    assert lesson.fingerprint is not None
    assert lesson.fingerprint.reads is None
    assert lesson.fingerprint.why_whole == "it looks into the submodule m"


def test_where_files_cannot_be_told_apart_the_whole_tree_counts(fleet: KnownFleet) -> None:
    """Where files cannot be distinguished, the whole tree counts, whatever was traced."""
    fleet.write(".gitattributes", "README export-subst\n")
    fleet.commit()
    lesson = fleet.learn("p620")["p620"]
    assert lesson.fingerprint is not None
    assert lesson.fingerprint.reads is None
    assert "export" in lesson.fingerprint.why_whole


def test_without_a_tracer_the_whole_tree_counts(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a tracer the whole tree counts, and nothing is evaluated twice for no gain."""
    monkeypatch.setattr(learn, "find", found_tracer(None))
    lesson = fleet.learn("p620")["p620"]
    assert lesson.fingerprint is not None
    assert (lesson.fingerprint.reads, lesson.fingerprint.why_whole) == (None, NOT_LEARNED)
    assert not fleet.learn("p620")["p620"].fresh
    assert fleet.evaluated == ["p620"]
    monkeypatch.setattr(learn, "find", found_tracer(object()))
    again = fleet.learn("p620")["p620"]
    assert again.fingerprint is not None
    assert again.fingerprint.reads is not None


def test_a_host_that_does_not_evaluate_stops_no_other(fleet: KnownFleet) -> None:
    """A host that does not evaluate is reported, keeps nothing, and stops no other."""
    fleet.systems["p620"] = StepError("evaluation failed: no such attribute")
    lessons = fleet.learn()
    assert lessons["p620"].problem == "evaluation failed: no such attribute"
    assert lessons["razer"].problem == ""
    known = fleet.known()
    assert isinstance(known["p620"], Unknown)
    assert isinstance(known["razer"], Known)


def test_what_is_edited_meanwhile_is_not_what_is_learned(fleet: KnownFleet) -> None:
    """All hosts are learned from what was there at the beginning."""
    fleet.during = lambda: fleet.write("hosts/p620.nix")
    assert [lesson.problem for lesson in fleet.learn().values()] == ["", ""]
    assert changed(fleet) == {"p620": ("hosts/p620.nix",), "razer": ()}
    fleet.write("hosts/p620.nix", "hosts/p620.nix")
    assert all(isinstance(one, Known) for one in fleet.known().values())


def test_what_a_run_evaluated_is_not_evaluated_again(fleet: KnownFleet) -> None:
    """Only its twin is; by hand, and again, all is."""
    fleet.run(1)
    fleet.evaluated.clear()
    assert [lesson.problem for lesson in fleet.learn("p620").values()] == [""]
    assert fleet.evaluated == []
    fleet.learn("p620", again=True)
    assert fleet.evaluated == ["p620"]


def test_a_database_that_cannot_be_written_is_told(fleet: KnownFleet) -> None:
    """Else a person would wait for what never comes."""
    fleet.database.mkdir(parents=True)
    lessons = fleet.learn()
    assert {one.problem for one in lessons.values()} == {
        "the database of fingerprints cannot be written"
    }


def test_inputs_that_float_are_an_error(fleet: KnownFleet) -> None:
    """Inputs that float are an error, whose hint says to run ``nix flake lock``."""
    fleet.metadata = fleet.metadata and fleet.metadata.replace(
        '"root": {}', '"a": {"locked": {}}, "root": {}'
    )
    with pytest.raises(StepError, match=r"flake\.lock does not pin a") as error:
        fleet.learn()
    assert "nix flake lock" in (error.value.hint or "")


def test_a_flake_elsewhere_cannot_be_learned(fleet: KnownFleet) -> None:
    """There is no tree to look at."""
    flake = replace(fleet.setup.flake, reference="github:a/b")
    fleet.setup = replace(fleet.setup, flake=flake)
    with pytest.raises(StepError, match="given by a URL"):
        fleet.learn()


def test_hosts_are_learned_at_the_same_time_as_evaluations_are(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of two waits for the other one to be traced: one after the other, neither would end."""
    limits = replace(fleet.setup.fleet.limits, evaluations=2)
    fleet.setup = replace(fleet.setup, fleet=replace(fleet.setup.fleet, limits=limits))
    monkeypatch.setattr("orchestrator.nix.evaluation.may_start", lambda *_, **__: True)
    begun: list[str] = []
    both = asyncio.Event()

    async def together(flake: object, attr: str, *others: object, **more: object) -> Trace:
        begun.append(attr)
        if len(begun) == 2:
            both.set()
        await asyncio.wait_for(both.wait(), 60)
        return await fleet.trace(flake, attr, *others, **more)

    monkeypatch.setattr(learn, "trace", together)
    lessons = fleet.learn()
    assert sorted(begun) == sorted(NAMES)
    assert [one.problem for one in lessons.values()] == ["", ""]
    assert {one.of for one in lessons.values()} == {2}


def test_a_host_is_learned_once_more_where_memory_was_short(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traced evaluation that had to make room is no failure, and no whole tree."""
    tries: list[str] = []

    async def short(flake: object, attr: str, *others: object, **more: object) -> Trace:
        tries.append(attr)
        if len(tries) == 1:
            raise OutOfMemoryError("it was killed")
        return await fleet.trace(flake, attr, *others, **more)

    monkeypatch.setattr(learn, "trace", short)
    lesson = fleet.learn("p620")["p620"]
    assert tries == ["p620", "p620"]
    assert lesson.fingerprint is not None
    assert lesson.fingerprint.reads


def test_a_host_that_cannot_be_learned_keeps_no_other_from_it(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not seen is told so; its sibling is learned."""

    async def unseen(flake: object, attr: str, *others: object, **more: object) -> Trace:
        if attr == "p620":
            raise StepError("the tracer did not see the evaluation")
        return await fleet.trace(flake, attr, *others, **more)

    monkeypatch.setattr(learn, "trace", unseen)
    lessons = fleet.learn()
    assert lessons["p620"].problem == "the tracer did not see the evaluation"
    assert lessons["razer"].problem == ""


def test_an_error_that_is_no_hosts_own_is_told_as_it_is(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full, say: in its own words, whichever of several hosts met it."""

    async def full(*_: object, **__: object) -> Trace:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(learn, "trace", full)
    with pytest.raises(OSError, match="No space left"):
        fleet.learn()


# One learner, in nobody's way.

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from orchestrator.changes.turns import learning\n"
    "with learning(Path(sys.argv[1])):\n"
    "    print('learning', flush=True)\n"
    "    time.sleep(600)\n"
)


@contextmanager
def another(state: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that learns the fleet."""
    argv = [sys.executable, "-c", HOLD, str(state)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "learning\n"
            yield process
        finally:
            process.kill()


def test_a_second_learner_is_told(fleet: KnownFleet) -> None:
    """A second learner says that there is one, and does nothing until the first has ended."""
    with another(fleet.setup.state):
        with pytest.raises(BusyError, match="another process is learning"):
            fleet.learn()
        assert fleet.evaluated == []
    assert fleet.learn().keys() == HOSTS.keys()


def test_a_deployment_stops_a_learner(tmp_path: Path) -> None:
    """A deployment asks a learner to end, and takes its place."""
    with another(tmp_path) as learner:
        stop_learning(tmp_path)
        assert learner.wait(30) == -signal.SIGUSR1
    with learning(tmp_path):
        pass


def test_a_learner_that_was_killed_is_in_nobodys_way(tmp_path: Path) -> None:
    """The number of a killed learner stays in the file and stops nobody, whoever has it now."""
    with another(tmp_path) as learner:
        learner.kill()
        learner.wait(30)
        (tmp_path / "learn.lock").write_text(str(os.getpid()))
        stop_learning(tmp_path)
    with learning(tmp_path):
        pass


def test_where_nobody_learns_nobody_is_stopped(tmp_path: Path) -> None:
    """No file, an empty file, a file that says something else."""
    stop_learning(tmp_path / "nowhere")
    with learning(tmp_path):
        pass
    stop_learning(tmp_path)
    (tmp_path / "learn.lock").write_text("-1")
    with another(tmp_path) as learner:
        (tmp_path / "learn.lock").write_text("-1")
        stop_learning(tmp_path)
        assert learner.poll() is None


def test_a_learner_that_fails_lets_go(tmp_path: Path) -> None:
    """A learner that fails or is cancelled releases its lock, so that another can begin."""

    async def fails() -> None:
        with learning(tmp_path):
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(fails())
    assert (tmp_path / "learn.lock").read_text() == ""
    with learning(tmp_path):
        assert (tmp_path / "learn.lock").read_text() == str(os.getpid())
