"""Managing secrets on a disk that is searched byte for byte, and on one that is full."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.errors import StepError
from orchestrator.secrets.manage import Plan, create
from orchestrator.secrets.sealing import recover
from tests.unit.secrets.killer import When, run_and_kill
from tests.unit.secrets.secret_bench import VALUES, Bench, run

pytestmark = pytest.mark.lab
ROOT = Path(__file__).parents[2]
EDIT = """
import asyncio, os, sys
from pathlib import Path
from orchestrator.secrets.files.editor import edit as in_editor
from orchestrator.secrets.manage import edit
from tests.unit.secrets.secret_bench import keys_of, rule, vault
folder, me, host = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
secret = rule("a.age", me, host)
change = lambda old: in_editor(old, "a.age", os.environ, warn=print)
work = edit(vault(folder / "repo", secret), secret, keys_of(folder, "me"), change, without_me=False)
asyncio.run(work)
"""


class Disk:
    """A file system in a file, through a loop device."""

    def __init__(self, image: Path, mounted: Path) -> None:
        self.image = image
        self.mounted = mounted

    def raw(self) -> bytes:
        """Every byte of it, after it was unmounted."""
        subprocess.run(("umount", str(self.mounted)), check=True)
        found = self.image.read_bytes()
        subprocess.run(("mount", "-o", "loop", str(self.image), str(self.mounted)), check=True)
        return found


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """32 MiB of ext4."""
    image, mounted = tmp_path / "image", tmp_path / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(32 << 20)
    subprocess.run(("mkfs.ext4", "-q", str(image)), check=True)
    subprocess.run(("mount", "-o", "loop", str(image), str(mounted)), check=True)
    yield Disk(image, mounted)
    subprocess.run(("umount", str(mounted)), check=True)


def edit_with(editor: str, bench: Bench) -> int:
    """Edit a secret in a process whose home and temporary folder are on the disk, too."""
    home = bench.folder / "home"
    home.mkdir(exist_ok=True)
    env = {**os.environ, "EDITOR": editor, "VISUAL": "", "PYTHONPATH": str(ROOT)}
    env |= {"HOME": str(home), "TMPDIR": str(home), "XDG_RUNTIME_DIR": "", "TERM": "dumb"}
    argv = (sys.executable, "-c", EDIT, str(bench.folder), bench.me, bench.host)
    return subprocess.run(argv, env=env, check=False, capture_output=True, cwd=home).returncode


def test_no_plaintext_is_on_the_disk_whatever_is_killed(disk: Disk) -> None:
    """Created, edited in vim, rekeyed; killed at each call, and with the editor open."""
    bench = Bench(disk.mounted / "work")
    assert edit_with("sh -c 'echo VALUE-cut >>\"$0\"; kill -9 $PPID'", bench) == -9
    assert edit_with("vim --not-a-term -c 'normal oVALUE-vim' -c w -c wq", bench) == 0
    assert b"VALUE-vim" in bench.values(bench.mine)["a.age"]
    plan = Plan(bench.rule("made/new.age"))
    number, killed = 0, True
    while killed:
        number += 1
        killed = run_and_kill(
            lambda: run(create(bench.vault(), plan, bench.mine, lambda _: b"VALUE-new")),
            number,
            When.TORN,
        )
        asyncio.run(recover(bench.vault().place))
        (bench.root / "made/new.age").unlink(missing_ok=True)
    for at in range(1, 60, 3):
        run_and_kill(lambda: bench.rekey(bench.new, every=True), at, When.TORN)
        asyncio.run(recover(bench.vault().place))
    assert number > 20
    assert bench.values(bench.mine).keys() == VALUES.keys()
    assert b"VALUE" not in disk.raw()


def test_the_search_finds_what_was_removed(disk: Disk) -> None:
    """The test above is able to fail: what lay in a file for a moment is found."""
    file = disk.mounted / "plain"
    file.write_bytes(b"VALUE")
    os.sync()
    file.unlink()
    assert b"VALUE" in disk.raw()


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """However much is left: all old, and told; or all new."""
    ends = set()
    mounted = tmp_path / "small"
    mounted.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(mounted)), check=True)
    try:
        bench = Bench(mounted / "work")
        for left in (0, 4, 8, 12, 16, 64, 128, 208, 212, 216, 220, 224, 228, 232, 256, 512):
            old = bench.content()
            _fill(mounted, left * 1024)
            written = _rekeyed(bench)
            assert written or bench.content() == old
            ends.add(written)
            (mounted / "filler").unlink()
            asyncio.run(recover(bench.vault().place))
            assert bench.values(bench.mine) == VALUES
            changed = {path for path, content in bench.content().items() if content != old[path]}
            assert changed == (set(old) - {"secrets.nix"} if written else set())
    finally:
        subprocess.run(("umount", str(mounted)), check=True)
    assert ends == {True, False}


def _rekeyed(bench: Bench) -> bool:
    """Rekey, and give whether it was done; if not, the reason is the disk."""
    try:
        bench.rekey(every=True)
    except StepError as error:
        if "No space left on device" not in error.message:
            raise
        return False
    return True


def _fill(folder: Path, left: int) -> None:
    """Leave so many bytes."""
    free = os.statvfs(folder)
    with (folder / "filler").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free.f_bavail * free.f_bsize - left, 1))
