"""What a command is run in: its event loop, and what is left of it when it fails."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAILS = """
import asyncio, sys
from orchestrator.cli import console
from orchestrator.core import process
from orchestrator.core.errors import StepError

async def fails(turns):
    for _ in range(turns):
        await asyncio.sleep(0)
    raise StepError("no Nix")

async def work():
    await asyncio.gather(process.run(("sleep", "1000"), deadline=2000), fails(int(sys.argv[1])))

try:
    console.run(work())
except StepError as error:
    print(error.message)
"""


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
def test_a_command_that_fails_beside_a_child_that_is_being_started_ends(turns: int) -> None:
    """Whenever it fails: asyncio.run by itself waits for ever for a child cut off at its start."""
    argv = (sys.executable, "-c", FAILS, str(turns))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "no Nix\n", done.stderr


INTERRUPTED = """
import asyncio, os, signal, sys
from orchestrator.cli import console
from orchestrator.core import process

async def interrupts(turns):
    for _ in range(turns):
        await asyncio.sleep(0)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)

async def work():
    sleeps = process.run(("sleep", "1000"), deadline=2000)
    await asyncio.gather(sleeps, interrupts(int(sys.argv[1])))

try:
    console.run(work())
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("turns", [0, 1, 2, 3, 5, 8])
def test_who_interrupts_twice_does_not_wait_for_a_child_that_is_being_started(turns: int) -> None:
    """Whenever that is, the command ends, and says nothing of what it was at."""
    argv = (sys.executable, "-c", INTERRUPTED, str(turns))
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")
