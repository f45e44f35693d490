"""The end of the process: at once, and with all that was to be written where it belongs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PROGRAM = """
import atexit, sys, threading, time
from orchestrator.cli import main, start
atexit.register(lambda: sys.stderr.write("the interpreter was asked"))
def command():
    {body}
main.main = command
start.start()
"""


def run(body: str, stdout: int | None = subprocess.PIPE) -> subprocess.CompletedProcess[str]:
    """Run a program whose command line does something, in a process of its own."""
    # Buffered, as standard output is where it is no terminal.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    program = PROGRAM.format(body=body.replace("\n", "\n    "))
    return subprocess.run(
        (sys.executable, "-c", program),
        cwd=ROOT,
        env=env,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("code", [0, 1, 3, 130])
def test_a_command_that_ended_takes_nothing_down(code: int) -> None:
    """All that it wrote is there, its exit code is its own, and the interpreter is not asked."""
    done = run(f"print('x' * 1_000_000)\nsys.stderr.write('said')\nsys.exit({code})")
    assert done.returncode == code
    assert done.stdout == "x" * 1_000_000 + "\n"
    assert done.stderr == "said"


def test_a_full_disk_is_in_the_exit_code() -> None:
    """What is in a buffer yet and cannot be written is no success."""
    with Path("/dev/full").open("w") as full:
        done = run("print('a result')\nsys.exit(0)", full.fileno())
    assert done.returncode not in (0, -6)
    assert "No space left on device" in done.stderr


def test_a_reader_that_is_gone_is_in_the_exit_code() -> None:
    """A pipe that nobody reads takes no result."""
    reader, writer = os.pipe()
    os.close(reader)
    done = run("print('a result')\nsys.exit(0)", writer)
    os.close(writer)
    assert done.returncode != 0
    assert "Broken pipe" in done.stderr


def test_a_thread_that_is_at_work_is_waited_for() -> None:
    """What a thread has to write is written, though the command has ended."""
    late = "lambda: (time.sleep(0.05), sys.stdout.write('done'))"
    done = run(f"threading.Thread(target={late}).start()\nsys.exit(0)")
    assert (done.returncode, done.stdout) == (0, "done")


def test_a_bug_is_told_by_the_interpreter() -> None:
    """A bug has Python's own traceback and exit code."""
    done = run("raise RuntimeError('a bug')")
    assert done.returncode == 1
    assert "RuntimeError: a bug" in done.stderr


def test_a_tracer_is_told_of_the_end() -> None:
    """Coverage and debuggers do their work when the interpreter ends."""
    done = run("sys.settrace(lambda *_: None)\nsys.exit(0)")
    assert done.stderr == "the interpreter was asked"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_error_and_no_files_place(tmp_path: Path, closed: str) -> None:
    """Whoever starts a command with none gets no traceback, and nothing is written into a file."""
    program = PROGRAM.format(
        body="file = open('kept', 'w'); print('out'); print('err', file=sys.stderr)\n"
        "    import subprocess; subprocess.run(['sh', '-c', 'echo out; echo err >&2'])\n"
        "    file.write('its own'); file.close(); sys.stdout.isatty(); sys.exit(3)"
    )
    (tmp_path / "program.py").write_text(program)
    done = subprocess.run(
        ("sh", "-c", f"exec {sys.executable} program.py {closed}"),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert (tmp_path / "kept").read_text() == "its own"
    assert "Traceback" not in done.stderr
