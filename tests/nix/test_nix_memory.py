"""A host's Nix daemon cannot have the Nix here take any amount of memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.nix

# The worker protocol's greeting, then the length of a text that never comes.
_COPY = """
import asyncio, resource, struct, sys
from orchestrator.nix import verbs as nix
from orchestrator.core.errors import StepError
from orchestrator.core.store import OutPath

async def lie(reader, writer):
    await reader.read(8)
    writer.write(struct.pack("<QQQ", 0x6478696F, 0x123, 3 << 30))
    await writer.drain()
    await asyncio.sleep(3)
    writer.close()

async def main(socket):
    async with await asyncio.start_unix_server(lie, path=socket):
        try:
            await nix.copy(OutPath(sys.argv[2]), to=f"unix://{socket}", deadline=60)
        except StepError as error:
            print("refused")
    print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10)

asyncio.run(main(sys.argv[1]))
"""


def test_a_length_that_a_daemon_names_is_not_taken_as_memory(tmp_path: Path) -> None:
    """Three GiB are announced; the copy fails, and Nix took no more than one."""
    (tmp_path / "file").write_text("x")
    added = subprocess.run(
        ("nix-store", "--add", str(tmp_path / "file")), capture_output=True, text=True, check=True
    )
    argv = (sys.executable, "-c", _COPY, str(tmp_path / "socket"), added.stdout.strip())
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    said, peak = done.stdout.split()
    assert said == "refused"
    assert int(peak) <= 1024
