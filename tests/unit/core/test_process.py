"""The one gate for processes."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.core import bounds, process
from orchestrator.core.errors import StepError
from orchestrator.core.process import CommandResult, how_it_ended


def run(argv: Sequence[str], deadline: float = 60, **options: object) -> CommandResult:
    """Run a command to its end."""
    return asyncio.run(process.run(argv, deadline=deadline, **options))  # type: ignore[arg-type]


def shell(text: str, **options: object) -> CommandResult:
    """Run a shell script to its end."""
    return run(("sh", "-c", text), **options)  # type: ignore[arg-type]


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it not reaped yet."""
    for _ in range(1000):
        try:
            text = Path(f"/proc/{pid}/stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return True
        if text.rpartition(")")[2].split()[0] in ("Z", "X"):
            return True
        time.sleep(0.01)
    return False


def pids(folder: Path, count: int) -> list[int]:
    """The process ids that a test's processes wrote into a folder."""
    files = [file for file in folder.iterdir() if file.name.startswith("pid")]
    assert len(files) == count
    return [int(file.read_text()) for file in files]


def test_a_command_gives_its_output_and_its_code() -> None:
    """Both streams come back whole and apart; a non-zero exit is a result and no error."""
    done = shell("echo ' out '; echo err >&2; exit 3")
    assert (done.rc, done.stdout, done.stderr) == (3, b" out \n", b"err\n")
    assert (done.out, done.err) == ("out", "err")


def test_arguments_reach_the_command_as_they_are() -> None:
    """Arguments reach the command byte for byte, as no shell sees them."""
    nasty = ("a b", "$(reboot)", "'\"", "*", "", "-n", "\n", "é")
    assert run(("printf", r"%s\0", *nasty)).stdout == ("\0".join(nasty) + "\0").encode()


def test_standard_input_is_fed_and_then_ends() -> None:
    """A command reads what it is given, however much, and then the end of the file."""
    data = os.urandom(1 << 20)
    assert run(("cat",), stdin=data).stdout == data
    assert run(("cat",)).stdout == b""


def test_a_command_need_not_read_its_input() -> None:
    """One that ends without reading is no error."""
    assert run(("true",), stdin=b"x" * (1 << 20)).rc == 0


def test_the_environment_is_added_to() -> None:
    """Given variables are set, the others stay; the folder is the one that is given."""
    done = run(("sh", "-c", 'echo "$WORD ${PATH:+path}"; pwd'), env={"WORD": "w"}, cwd="/")
    assert done.out == "w path\n/"


def test_a_missing_command_is_told(tmp_path: Path) -> None:
    """A command that is not there, or not executable, or no folder to start it in, is an error."""
    with pytest.raises(StepError, match=r"no-such-command could not be started: No such file"):
        run(("no-such-command", "--now"))
    (tmp_path / "plain").write_text("")
    with pytest.raises(StepError, match="Permission denied"):
        run((str(tmp_path / "plain"),))
    with pytest.raises(StepError, match="could not be started"):
        run(("true",), cwd=str(tmp_path / "missing"))


def test_huge_output_and_endless_lines_are_read() -> None:
    """A line of megabytes is told in pieces; of what is told, the result has the end."""
    text = (
        "head -c 3000000 /dev/zero | tr '\\0' x >&2; head -c 3000000 /dev/zero; "
        "echo >&2; echo last >&2"
    )
    lines: list[bytes] = []
    done = shell(text, on_stderr=lines.append)
    assert len(done.stdout) == 3_000_000
    assert (b"".join(lines), lines[-1]) == (b"x" * 3_000_000 + b"last", b"last")
    assert max(len(line) for line in lines) < 2 * bounds.LINE
    assert done.stderr.endswith(b"x\nlast\n")
    assert bounds.TAIL <= len(done.stderr) <= 2 * bounds.TAIL
    assert shell(text).stderr == b"x" * 3_000_000 + b"\nlast\n"


def test_each_line_of_standard_error_is_told() -> None:
    """Without its newline, in order, the last one without a newline too, and in the result."""
    lines: list[bytes] = []
    done = shell("printf 'one\\n\\ntwo\\nrest' >&2", on_stderr=lines.append)
    assert lines == [b"one", b"", b"two", b"rest"]
    assert done.stderr == b"one\n\ntwo\nrest"


def test_lines_come_while_the_command_runs(tmp_path: Path) -> None:
    """A line is told when it comes: here the command goes on only once it was."""
    go = tmp_path / "go"
    done = shell(
        f"echo ready >&2; while [ ! -e '{go}' ]; do sleep 0.01; done",
        on_stderr=lambda _: go.touch(),
    )
    assert done.rc == 0


def test_a_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    """A command, its children and theirs are gone once the deadline has passed."""
    text = (
        f"cd '{tmp_path}'; echo $$ > pid1; "
        "sh -c 'echo $$ > pid2; sleep 1000 & echo $! > pid3; wait' & wait"
    )
    with pytest.raises(StepError, match=r"sh did not end within 1 s and was stopped") as caught:
        shell(text, deadline=1)
    assert caught.value.command is not None
    assert caught.value.command.startswith("sh -c ")
    assert all(is_gone(pid) for pid in pids(tmp_path, 3))


def test_a_deadline_ends_what_the_command_left_behind(tmp_path: Path) -> None:
    """A command that has ended, but whose child holds its output open, is not waited for."""
    with pytest.raises(StepError, match="did not end"):
        shell(f"sleep 1000 & echo $! > '{tmp_path}/pid'", deadline=0.5)
    assert is_gone(*pids(tmp_path, 1))


def test_what_ignores_the_polite_signal_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TERM first, and KILL for the group after the grace, the leader's own end notwithstanding."""
    monkeypatch.setattr(process, "GRACE", 0.2)
    stubborn = f"sh -c \"trap '' TERM; echo \\$\\$ > '{tmp_path}/pid'; while :; do sleep 1; done\""
    for text in (f"{stubborn} & wait", f"trap '' TERM; {stubborn}"):
        with pytest.raises(StepError, match="did not end"):
            shell(text, deadline=0.5)
        assert is_gone(*pids(tmp_path, 1))


def test_a_child_in_a_session_of_its_own_is_not_waited_for(tmp_path: Path) -> None:
    """What left the group may live on and hold the output: the deadline holds all the same."""
    with pytest.raises(StepError, match="did not end"):
        shell(f"setsid sh -c 'echo $$ > \"{tmp_path}/pid\"; exec sleep 1000' & wait", deadline=0.5)
    (escaped,) = pids(tmp_path, 1)
    assert not Path(f"/proc/{escaped}/stat").read_text().rpartition(")")[2].startswith(" Z")
    os.kill(escaped, signal.SIGKILL)


def test_cancellation_leaves_no_child(tmp_path: Path) -> None:
    """A cancelled command is gone with its children before the cancellation goes on."""

    async def cancelled() -> None:
        ready = asyncio.Event()
        text = f"cd '{tmp_path}'; echo $$ > pid1; sleep 1000 & echo $! > pid2; echo go >&2; wait"
        task = asyncio.create_task(
            process.run(("sh", "-c", text), deadline=60, on_stderr=lambda _: ready.set())
        )
        await ready.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert all(is_gone(pid) for pid in pids(tmp_path, 2))


def test_cancellation_kills_what_ignores_the_polite_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The grace holds in a task that was cancelled too."""
    monkeypatch.setattr(process, "GRACE", 0.2)

    async def cancelled() -> None:
        ready = asyncio.Event()
        text = f"trap '' TERM; echo $$ > '{tmp_path}/pid1'; echo go >&2; while :; do sleep 1; done"
        task = asyncio.create_task(
            process.run(("sh", "-c", text), deadline=60, on_stderr=lambda _: ready.set())
        )
        await ready.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert is_gone(*pids(tmp_path, 1))


@pytest.mark.parametrize("turns", range(12))
def test_cancellation_while_starting_does_not_hang(turns: int, tmp_path: Path) -> None:
    """At whichever moment it comes, be the command there or not, it goes on and nothing is left."""

    async def cancelled(command: str) -> None:
        task = asyncio.create_task(process.run((command, "1000"), deadline=60))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait((task,), timeout=30)
        assert done
        assert task.cancelled() or isinstance(task.exception(), StepError)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(cancelled("sleep"))
    asyncio.run(cancelled("no-such-command"))


def test_a_bug_in_a_listener_leaves_no_child(tmp_path: Path) -> None:
    """Whatever the caller's callback raises comes out, and the command is gone."""

    def broken(_: bytes) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shell(f"echo $$ > '{tmp_path}/pid'; echo x >&2; sleep 1000", on_stderr=broken)
    assert is_gone(*pids(tmp_path, 1))


def test_signals_that_are_not_allowed_are_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """What sudo started may refuse our signals: it is given up, and said so."""
    monkeypatch.setattr(process, "GRACE", 0.1)
    children: list[int] = []

    def refuse(pid: int, _: int) -> None:
        children.append(pid)
        raise PermissionError

    monkeypatch.setattr(os, "killpg", refuse)
    with pytest.raises(StepError, match="did not end within"):
        run(("sleep", "1000"), deadline=0.1)
    assert children


def test_no_process_is_sent_to_another_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a hook git says which index it is at; a caller may still name one."""
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR"):
        monkeypatch.setenv(name, "/elsewhere")
    assert shell("env | grep -c elsewhere").out == "0"
    assert shell("echo $GIT_DIR", env={"GIT_DIR": "here"}).out == "here"


@pytest.mark.parametrize(
    ("rc", "words"),
    [
        (0, "exit 0"),
        (1, "exit 1"),
        (100, "exit 100"),
        (126, "the command could not be executed (exit 126)"),
        (127, "the command was not found (exit 127)"),
        (128, "exit 128"),
        (137, "it was killed by SIGKILL (exit 137)"),
        (-9, "it was killed by SIGKILL"),
        (-40, "it was killed by signal 40"),
        (255, "exit 255"),
    ],
)
def test_an_end_is_put_in_words(rc: int, words: str) -> None:
    """A signal, a missing command and an exit code are three things."""
    assert how_it_ended(rc) == words


def test_a_command_is_known_by_its_group_and_killed_by_it() -> None:
    """Whoever runs it is told the process id at its start, and sees it end by SIGKILL."""
    done = shell("sleep 1000 & wait", on_start=process.kill_group)
    assert done.rc == -signal.SIGKILL
