"""A plaintext is in memory while an editor has it, and nowhere else at any time."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.secrets.files.editor import edit, editor_of

ROOT = Path(__file__).parents[3]
WORK = """
import os, sys
from orchestrator.secrets.files.editor import edit
from orchestrator.core.errors import OrchestratorError
try:
    left = edit(sys.argv[1].encode(), "deep/token.json.age", os.environ, warn=lambda text: print("warned:", text, flush=True))
except OrchestratorError as error:
    sys.exit(f"{type(error).__name__}: {error.message}")
sys.stdout.write(repr(left))
"""  # noqa: E501
UNPRIVILEGED = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def nobody_can() -> bool:
    """Whether we can become nobody, and nobody may read the program."""
    argv = (*UNPRIVILEGED, sys.executable, "-c", "import orchestrator.secrets.files.editor")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return (
        os.geteuid() == 0
        and subprocess.run(argv, env=env, stderr=subprocess.DEVNULL).returncode == 0
    )


AS = [
    pytest.param((), id="who-runs-this"),
    pytest.param(
        UNPRIVILEGED,
        id="nobody",
        marks=pytest.mark.skipif(not nobody_can(), reason="nobody cannot read the program here"),
    ),
]


def script(folder: Path, text: str) -> str:
    """An editor that is a shell script; ``$1`` is the file."""
    ours = [above for above in folder.parents if "pytest-of-" in str(above)]
    for above in (folder, *ours):  # nobody has to come by
        above.chmod(0o755)
    file = folder / "editor"
    file.write_text(f"#!/bin/sh\n{textwrap.dedent(text)}")
    file.chmod(0o755)
    return str(file)


def run(
    editor: str, plaintext: str = "old", user: tuple[str, ...] = (), **env: str
) -> subprocess.CompletedProcess[str]:
    """Edit a plaintext in a process of its own, which may move into namespaces."""
    return subprocess.run(
        (*user, sys.executable, "-c", WORK, plaintext),
        env={**os.environ, "EDITOR": editor, "VISUAL": "", "PYTHONPATH": str(ROOT), **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def left_in_memory() -> list[Path]:
    """What is left of private folders, where anybody could look."""
    return list(Path(os.environ["XDG_RUNTIME_DIR"]).glob("orchestrator-plaintext-*"))


@pytest.fixture(autouse=True)
def _memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder in memory of the test's own."""
    folder = tempfile.mkdtemp(dir="/dev/shm")
    Path(folder).chmod(0o777)
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    yield
    shutil.rmtree(folder)


@pytest.mark.parametrize("user", AS)
def test_what_the_editor_leaves_is_given_back(tmp_path: Path, user: tuple[str, ...]) -> None:
    """Bytes are kept as they are, and nothing is left in memory."""
    editor = script(tmp_path, 'printf " and\\0new" >>"$1"')
    done = run(editor, user=user)
    assert done.stdout == repr(b"old and\0new"), done.stderr
    assert left_in_memory() == []


@pytest.mark.parametrize("user", AS)
def test_nobody_else_sees_the_plaintext(tmp_path: Path, user: tuple[str, ...]) -> None:
    """From outside the folder is empty; from inside it is in memory, and its owner's alone."""
    editor = script(
        tmp_path,
        """
        stat -f -c %T "$(dirname "$1")"
        stat -c %a "$(dirname "$1")" "$1"
        echo "$1"; echo "$TMPDIR"
        echo ready; read -r _; echo new >"$1"
        """,
    )
    env = {**os.environ, "EDITOR": editor, "VISUAL": "", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        (*user, sys.executable, "-c", WORK, "old"),
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = [process.stdout.readline().strip() for _ in range(6)]
        assert said[:3] == ["tmpfs", "700", "600"], said
        assert Path(said[3]).name == "token.json"
        assert Path(said[4]) == Path(said[3]).parent
        assert list(Path(said[4]).iterdir()) == []
        rest, _ = process.communicate("\n")
    assert rest == repr(b"new\n")
    assert left_in_memory() == []


def test_without_namespaces_it_is_a_folder_of_our_own_and_that_is_said(tmp_path: Path) -> None:
    """Where the kernel allows no private mount, a person is told before they type."""
    editor = script(tmp_path, 'stat -c %a "$(dirname "$1")"; echo new >"$1"')
    server = tmp_path / "code"
    server.symlink_to(editor)
    done = run(str(server))
    assert "warned: this editor asks a server" in done.stdout
    assert "/orchestrator-plaintext-" in done.stdout
    assert done.stdout.endswith(repr(b"new\n"))
    assert left_in_memory() == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo new >\"$1\"; exit 1", "ended badly: exit 1"),
        ("echo new >\"$1\"; kill -9 $$", "killed by SIGKILL"),
        ("rm \"$1\"", "left no file"),
        ("rm \"$1\"; mkdir \"$1\"", "left no file"),
        ("ln -sf /etc/passwd \"$1\"", "left no file"),
        ("truncate -s 100M \"$1\" 2>&1", ""),
    ],
)  # fmt: skip
def test_an_editor_that_fails_is_not_believed(tmp_path: Path, text: str, said: str) -> None:
    """An editor that fails is not believed, whatever it wrote before it ended."""
    done = run(script(tmp_path, text))
    assert done.returncode == 1
    assert "StepError" in done.stderr
    assert said in done.stderr
    assert left_in_memory() == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
@pytest.mark.parametrize("name", ["editor", "code"])
def test_killed_while_the_editor_is_open(tmp_path: Path, number: int, name: str) -> None:
    """A signal ends the editor with us; after SIGKILL the next one removes what was left."""
    editor = Path(script(tmp_path, 'echo "$1"; exec sleep 30'))
    editor = editor.rename(tmp_path / name)
    env = {**os.environ, "EDITOR": str(editor), "VISUAL": "", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        (sys.executable, "-c", WORK, "old"), env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        while "token.json" not in process.stdout.readline().replace("warned", ""):
            pass
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        process.wait(timeout=60)
        if number == signal.SIGKILL:
            assert name == "code" or not any(any(f.iterdir()) for f in left_in_memory())
            os.kill(int(children[0]), signal.SIGKILL)
            assert run("true").returncode == 0
    for _ in range(100):
        if not left_in_memory():
            break
        time.sleep(0.05)
    assert left_in_memory() == []


def test_an_open_folder_of_another_session_is_left_alone(tmp_path: Path) -> None:
    """Only what nobody holds any more is removed."""
    inner = script(tmp_path, 'echo inner >>"$1"').replace(str(tmp_path), str(tmp_path))
    outer = tmp_path / "code"
    outer.write_text(
        f'#!/bin/sh\nEDITOR={inner} "{sys.executable}" -c "$WORK" x >/dev/null\ncat "$1"\n'
    )
    outer.chmod(0o755)
    done = run(str(outer), "outer", WORK=WORK)
    assert done.stdout.endswith(f"outer{b'outer'!r}"), done


def test_vim_leaves_nothing_although_it_is_told_to(tmp_path: Path) -> None:
    """No swap, backup, undo or viminfo file outside the private folder, whatever the vimrc says."""
    home = tmp_path / "home"
    kept = tmp_path / "kept"
    for folder in (home, kept):
        folder.mkdir()
    (home / ".vimrc").write_text(
        f"set backup writebackup backupdir={kept} backupskip= patchmode=.orig\n"
        f"set swapfile directory={kept} undofile undodir={kept} updatecount=1\n"
        f"set viminfo='100,<1000,n{kept}/info\n"
    )
    seen = tmp_path / "seen"
    argv = f"vim --not-a-term -c 'normal oPLAINTEXT' -c 'w' -c '!ls -A {kept} >{seen}' -c 'wq'"
    done = run(argv, "first", HOME=str(home), TERM="dumb")
    assert done.stdout.endswith(repr(b"first\nPLAINTEXT")), done
    assert seen.read_text() == ""
    assert list(kept.iterdir()) == []
    assert "PLAINTEXT" not in "".join(f.read_text() for f in home.rglob("*") if f.is_file())


def test_vim_keeps_the_end_of_a_file(tmp_path: Path) -> None:
    """A password without a newline gets none."""
    done = run("vim --not-a-term -c 's/old/new/' -c 'wq'", "old", HOME=str(tmp_path), TERM="dumb")
    assert done.stdout.endswith(repr(b"new"))


def test_the_editor_is_the_persons() -> None:
    """VISUAL, then EDITOR, then vi; with its options, in a shell's quotes."""
    path = {"PATH": os.environ["PATH"]}
    assert editor_of({**path, "VISUAL": "sh -c 'a b'", "EDITOR": "cat"}) == ("sh", "-c", "a b")
    assert editor_of({**path, "VISUAL": " ", "EDITOR": "cat -A"}) == ("cat", "-A")
    for text in ("'open", "no-such-editor"):
        with pytest.raises(UsageError, match="EDITOR"):
            editor_of({**path, "EDITOR": text})


def test_no_editor_touches_nothing() -> None:
    """Found out before the plaintext is written anywhere."""
    with pytest.raises(UsageError):
        edit(b"old", "a.age", {"PATH": "", "EDITOR": "vim"}, warn=print)
