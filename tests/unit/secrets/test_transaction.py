"""Several files change all or none, whatever is killed, full, or done by somebody else."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from killer import When, run_and_kill

from orchestrator.core.errors import RefusedError, StepError, UsageError
from orchestrator.secrets.files import transaction
from orchestrator.secrets.files.journal import FOLDER
from orchestrator.secrets.files.transaction import pending, writing

OLD = {"a.age": b"old a" * 50, "deep/b.age": b"old b", "secrets.nix": b"{ }"}
NEW = {
    "a.age": b"new a" * 70,
    "deep/b.age": b"new b",
    "made/for/c.age": b"new c",
    "secrets.nix": b"{ c }",
}
EXPECTED = {
    "a.age": hashlib.sha256(OLD["a.age"]).hexdigest(),
    "deep/b.age": hashlib.sha256(OLD["deep/b.age"]).hexdigest(),
    "made/for/c.age": None,
    "secrets.nix": hashlib.sha256(OLD["secrets.nix"]).hexdigest(),
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with three files."""
    return fill(tmp_path / "repo")


def fill(root: Path) -> Path:
    """Write the old files."""
    for path, content in OLD.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return root


def content(root: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(f.relative_to(root)): f.read_bytes() for f in root.rglob("*") if f.is_file()}


def folders(root: Path) -> set[str]:
    """Every folder below a folder."""
    return {str(f.relative_to(root)) for f in root.rglob("*") if f.is_dir()}


def change(root: Path) -> None:
    """Commit the new files."""
    with writing(root) as writer:
        writer.commit("rekey", NEW, EXPECTED)


def recover(root: Path) -> None:
    """Bring to an end what was interrupted."""
    with writing(root, recovering=True) as writer:
        writer.recover()


def test_all_files_are_replaced_and_nothing_else_is_left(root: Path) -> None:
    """The new contents are there, with their folders; of the change itself nothing remains."""
    change(root)
    assert content(root) == NEW
    assert folders(root) == {"deep", "made", "made/for"}
    assert pending(root) is None


def test_the_mode_of_a_file_stays(root: Path) -> None:
    """A file that only its owner may read stays so; a new one is as the umask says."""
    (root / "a.age").chmod(0o600)
    change(root)
    assert (root / "a.age").stat().st_mode & 0o777 == 0o600
    assert (root / "made/for/c.age").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_equal_content_is_not_written(root: Path) -> None:
    """A file that would become what it is keeps its inode, and is not named as changed."""
    before = (root / "a.age").stat()
    with writing(root) as writer:
        changed = writer.commit("edit", {"a.age": OLD["a.age"]}, {})
    assert changed == ()
    assert (root / "a.age").stat() == before


def every_call(folder: Path) -> None:
    """Kill a change at each of its calls, and recover."""
    ends = set()
    number, killed = 0, True
    while killed:
        number += 1
        root = fill(folder / str(number))
        killed = run_and_kill(lambda at=root: change(at), number, When.TORN)  # type: ignore[misc]
        interrupted = pending(root)
        recover(root)
        now = content(root)
        assert now in (OLD, NEW), f"a mixture after call {number}"
        assert folders(root) == ({"deep"} if now == OLD else {"deep", "made", "made/for"})
        if interrupted is not None:
            assert interrupted.committed == (now == NEW)
        assert pending(root) is None
        ends.add(now == NEW)
    assert number > 40
    assert ends == {True, False}


def calls_of_the_recovery(folder: Path) -> None:
    """Kill a change at calls all over, then its recovery at calls all over, and recover."""
    first = 0
    killed = True
    while killed:
        first += 7
        second = 0
        again = True
        while again:
            second += 5
            root = fill(folder / f"{first}-{second}")
            killed = run_and_kill(lambda at=root: change(at), first, When.TORN)  # type: ignore[misc]
            committed = (found := pending(root)) is not None and found.committed
            again = run_and_kill(lambda at=root: recover(at), second, When.TORN)  # type: ignore[misc]
            recover(root)
            assert content(root) in ((NEW,) if committed or not killed else (OLD, NEW))
            assert pending(root) is None
    assert first > 40


def apart(work: Callable[[Path], None], folder: Path) -> None:
    """Have a small process do it: a fork of this one, which holds all tests, takes far longer."""
    program = (
        f"import sys, pathlib, {__name__} as own; own.{work.__name__}(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run(
        (sys.executable, "-c", program, str(folder)),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_killed_at_any_call_it_is_all_or_none(tmp_path: Path) -> None:
    """After SIGKILL at each call and a recovery: all old or all new, and no trace."""
    apart(every_call, tmp_path)


def test_killed_again_in_the_recovery_it_is_all_or_none(tmp_path: Path) -> None:
    """A second SIGKILL, all over the recovery from calls all over, changes nothing of that."""
    apart(calls_of_the_recovery, tmp_path)


def test_the_next_writer_removes_what_was_never_committed(tmp_path: Path) -> None:
    """What was cut off before its commit is in nobody's way."""
    root = fill(tmp_path / "repo")
    assert run_and_kill(lambda: change(root), 14, When.AFTER)
    assert content(root).keys() > OLD.keys()
    with writing(root) as writer:
        writer.commit("edit", {"a.age": b"mine"}, {})
    assert content(root) == {**OLD, "a.age": b"mine"}


@cache
def commits_at() -> int:
    """The number of the call that commits."""
    number, is_committed = 1, False
    while not is_committed:
        number += 1
        with TemporaryDirectory() as folder:
            root = fill(Path(folder))
            assert run_and_kill(lambda at=root: change(at), number, When.AFTER)  # type: ignore[misc]
            is_committed = (found := pending(root)) is not None and found.committed
    return number


def committed(root: Path) -> Path:
    """Be killed right after the commit."""
    assert run_and_kill(lambda: change(root), commits_at(), When.AFTER)
    assert (found := pending(root)) is not None
    assert found.committed
    return root


def test_nobody_writes_before_a_committed_change_has_ended(root: Path) -> None:
    """The next writer is told to recover, and touches nothing."""
    committed(root)
    before = content(root)
    with pytest.raises(RefusedError) as refused, writing(root):
        pass
    assert "recover" in (refused.value.hint or "")
    assert content(root) == before or content(root).keys() >= OLD.keys()


def test_a_file_that_somebody_changed_since_stops_the_recovery(root: Path) -> None:
    """A file that somebody changed since stops the recovery, and the cure that it names works."""
    committed(root)
    (root / "deep/b.age").write_bytes(b"somebody's")
    before = content(root)
    with pytest.raises(RefusedError, match=r"deep/b\.age") as refused:
        recover(root)
    after = content(root)
    assert {p: c for p, c in after.items() if FOLDER not in p} == {
        p: c for p, c in before.items() if FOLDER not in p
    }
    cure = (refused.value.hint or "").splitlines()[0].partition(": ")[2]
    subprocess.run(("sh", "-c", cure), check=True)
    recover(root)
    assert content(root) == {**NEW, "deep/b.age.mine": b"somebody's"}


def test_staged_files_that_were_removed_before_any_was_renamed(root: Path) -> None:
    """Without any staged file there is nothing to go forward with, and all stays old."""
    committed(root)
    for staged in root.rglob(".orchestrator-*-*"):
        if staged.is_file():
            staged.unlink()
    recover(root)
    assert content(root) == OLD


ONE = '{"path": "a.age", "staged": ".orchestrator-00000000-0", "old": null, "new": "0"}'
SAID = '"id": "x", "what": "rekey", "folders": [], "committed": true'


@pytest.mark.parametrize("name", ["journal", "plan"])
def test_a_journal_of_a_newer_orchestrator_is_left_for_that_one(root: Path, name: str) -> None:
    """What it began is neither carried out nor forgotten, whatever shape its journal has."""
    file = root / FOLDER / name
    file.parent.mkdir()
    file.write_text('{"version": 2, "changes": []}')
    with pytest.raises(StepError, match="cannot be used: version 2 is of a newer orchestrator"):
        recover(root)
    assert file.read_text() == '{"version": 2, "changes": []}'
    assert {p: c for p, c in content(root).items() if FOLDER not in p} == OLD


@pytest.mark.parametrize(("name", "committed"), [("journal", True), ("plan", False)])
def test_the_file_s_name_says_whether_a_change_goes_forward(
    root: Path, name: str, committed: bool
) -> None:
    """A journal as it was always written is read, and what it says of itself does not count."""
    (root / FOLDER).mkdir()
    (root / FOLDER / name).write_text(f'{{"version": 1, {SAID}, "replacements": [{ONE}]}}')
    found = pending(root)
    assert found is not None
    assert found.committed == committed
    assert [one.path for one in found.replacements] == ["a.age"]


def test_a_damaged_journal_says_what_is_wrong_with_it(root: Path) -> None:
    """The file, the field and what it should be are in the message; the hint says what to do."""
    (root / FOLDER).mkdir()
    wrong = ONE.replace('"0"', "7")
    (root / FOLDER / "journal").write_text(f'{{"version": 1, {SAID}, "replacements": [{wrong}]}}')
    with pytest.raises(
        StepError, match=r"journal: .* is damaged: replacements\[0\]\.new: expected a text"
    ) as caught:
        recover(root)
    assert "git status" in str(caught.value.hint)


def test_a_damaged_journal_touches_nothing(root: Path) -> None:
    """What cannot be believed is not carried out."""
    (root / FOLDER).mkdir()
    (root / FOLDER / "journal").write_text('{"version": 1, "id": "x"')
    with pytest.raises(StepError, match="damaged"):
        recover(root)
    assert {p: c for p, c in content(root).items() if FOLDER not in p} == OLD


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ["journal", "plan"])
@pytest.mark.parametrize("kind", ["fifo", "device", "sparse", "nested"])
def test_a_hostile_journal_neither_holds_up_nor_fills_up(root: Path, kind: str, name: str) -> None:
    """A hostile journal, which a mere check reads, neither blocks nor fills the memory."""
    file = root / FOLDER / name
    file.parent.mkdir()
    match kind:
        case "fifo":
            os.mkfifo(file)
        case "device":
            file.symlink_to("/dev/zero")
        case "sparse":
            file.touch()
            os.truncate(file, 5 * 2**40)
        case _:
            file.write_bytes(b"[" * 100_000)
    if kind == "nested" and name == "plan":
        assert pending(root) is None
    else:
        with pytest.raises(StepError, match=f"{name}: "):
            pending(root)


def test_a_journal_that_leads_out_of_the_repository_is_not_believed(root: Path) -> None:
    """A repository of somebody else's cannot have files of mine replaced."""
    (root / FOLDER).mkdir()
    (root / FOLDER / "journal").write_text(
        '{"version": 1, "id": "x", "what": "rekey", "folders": [], "committed": true, '
        '"replacements": [{"path": "../mine", "staged": "a.age", "old": null, "new": "0"}]}'
    )
    with pytest.raises(StepError, match="damaged"):
        recover(root)


def test_a_file_that_changed_meanwhile_refuses_the_change(root: Path) -> None:
    """Told by name, and nothing is written; also where the file is only read."""
    for path in ("a.age", "secrets.nix"):
        expected = {**EXPECTED, path: "0" * 64}
        new = {"deep/b.age": b"mine"}
        with pytest.raises(RefusedError, match=path), writing(root) as writer:
            writer.commit("edit", new, expected)
        assert content(root) == OLD


@pytest.mark.parametrize("path", ["../out.age", "/etc/out.age", "a\0b", "", "link/out.age", "ln"])
def test_nothing_is_written_outside(root: Path, path: str) -> None:
    """Nothing is written outside of the repository, by a path or by a symbolic link."""
    (root / "link").symlink_to(root.parent)
    (root / "ln").symlink_to("a.age")
    with pytest.raises(UsageError), writing(root) as writer:
        writer.commit("create", {path: b"x"}, {})
    assert {p: c for p, c in content(root).items() if p in OLD} == OLD


def test_two_writers_at_once_one_wins_and_the_other_is_told(root: Path) -> None:
    """Of many that start from the same file exactly one writes; each other has a refusal."""
    writers = 8
    begin_read, begin_write = os.pipe()
    children = []
    for number in range(writers):
        child = os.fork()
        if child == 0:
            os.close(begin_write)
            os.read(begin_read, 1)
            code = 7
            try:
                with writing(root) as writer:
                    mine = f"writer {number}".encode()
                    expected = {"a.age": EXPECTED["a.age"]}
                    writer.commit("edit", {"a.age": mine, "deep/b.age": mine}, expected)
                code = 0
            except RefusedError:
                code = 4
            finally:
                os._exit(code)
        children.append(child)
    os.close(begin_read)
    os.close(begin_write)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(codes) == [0] + [4] * (writers - 1)
    winner = f"writer {codes.index(0)}".encode()
    assert content(root) == {**OLD, "a.age": winner, "deep/b.age": winner}


def test_a_writer_that_does_not_end_is_not_waited_for_for_ever(root: Path) -> None:
    """The second is refused, and says why."""
    with writing(root), pytest.raises(RefusedError, match="another"), writing(root, wait=0.1):
        pass
    assert content(root) == OLD


def test_an_error_while_staging_goes_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's error is told, and nothing of the change is left."""

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(transaction.beneath.os, "write", full)
    with pytest.raises(StepError, match="No space left on device"):
        change(root)
    monkeypatch.undo()
    assert content(root) == OLD
    assert folders(root) == {"deep"}
