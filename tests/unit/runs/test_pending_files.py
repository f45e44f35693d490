"""What waits, in files: kept whole, and never a reason to crash."""

from __future__ import annotations

import json
import multiprocessing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.core.errors import StepError
from orchestrator.core.plan import Goal
from orchestrator.core.run import Reboot
from orchestrator.core.specialisation import SpecialisePolicy
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.core.values import replace
from orchestrator.runs.pending import FORMAT, Pending, PendingSystems

NOW = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")
WAITS = Pending(
    host="razer",
    system=Evaluated(DrvPath(f"{OUT}.drv"), OUT),
    run=7,
    who="me@here",
    revision=None,
    reason="no route to host",
    since=NOW,
    expires=NOW + timedelta(days=7),
    goal=Goal.BOOT,
    verify=False,
    skip_preflight=("clock", "store"),
    reboot=Reboot.IF_NEEDED,
    specialisation=SpecialisePolicy.parse("gaming"),
    tries=2,
    last_try=NOW,
    problem="rolled back",
)


class Files:
    """A state folder, and what was told of it."""

    def __init__(self, state: Path) -> None:
        self.folder = state / "pending"
        self.told: list[str] = []
        self.pending = PendingSystems(state, self.told.append)

    def write(self, host: str, text: str) -> None:
        """Put any text where what waits for a host is."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{host}.json").write_text(text)

    def changed(self, **fields: object) -> str:
        """A file in which something is otherwise."""
        self.pending.put(WAITS)
        return json.dumps({**json.loads((self.folder / "razer.json").read_text()), **fields})

    def root(self, host: str) -> Path:
        """Keep something for a host."""
        root = self.pending.root(host)
        root.parent.mkdir(parents=True, exist_ok=True)
        root.symlink_to(OUT.path)
        return root


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """Nothing waits."""
    return Files(tmp_path)


def test_what_waits_is_found_again_whole(files: Files, tmp_path: Path) -> None:
    """Every field, by another process too; hosts in the order of their names."""
    other = replace(WAITS, host="dex", revision="abc", last_try=None, problem=None)
    files.pending.put(WAITS)
    files.pending.put(other)
    assert PendingSystems(tmp_path, files.told.append).all() == (other, WAITS)
    assert files.pending.of("razer") == WAITS
    assert files.pending.of("p510") is None
    assert files.told == []


def test_nothing_was_ever_deferred(files: Files) -> None:
    """No folder is made only to look."""
    assert files.pending.all() == ()
    assert files.pending.drop_expired(NOW) == ()
    assert not files.folder.exists()


def test_dropping_takes_the_root_too(files: Files) -> None:
    """Nothing is kept in the store for what waits no more."""
    files.pending.put(WAITS)
    root = files.root("razer")
    assert files.pending.drop(WAITS)
    assert not root.is_symlink()
    assert not files.pending.drop(WAITS)
    assert files.pending.all() == ()


def test_what_took_its_place_meanwhile_is_neither_dropped_nor_changed(files: Files) -> None:
    """A catch-up that delivered the old system does not lose the new one."""
    newer = replace(WAITS, run=9, since=NOW + timedelta(hours=1), tries=0)
    files.pending.put(WAITS)
    files.pending.put(newer)
    root = files.root("razer")
    assert not files.pending.drop(WAITS)
    files.pending.change(WAITS, tries=40)
    assert files.pending.of("razer") == newer
    assert root.is_symlink()


def test_a_change_keeps_the_rest(files: Files) -> None:
    """To change what is pending counts its tries and keeps everything else."""
    files.pending.put(WAITS)
    files.pending.change(WAITS, tries=3)
    assert files.pending.of("razer") == replace(WAITS, tries=3)


def test_what_has_expired_goes_with_its_root(files: Files) -> None:
    """Others stay; a root that nothing needs goes, too."""
    fresh = replace(WAITS, host="dex", expires=NOW + timedelta(days=9))
    files.pending.put(WAITS)
    files.pending.put(fresh)
    roots = {host: files.root(host) for host in ("razer", "dex", "gone")}
    assert files.pending.drop_expired(NOW + timedelta(days=8)) == (WAITS,)
    assert files.pending.all() == (fresh,)
    assert [host for host, root in roots.items() if root.is_symlink()] == ["dex"]


@pytest.mark.parametrize(
    "fields",
    [
        {"system": {"drv": "/etc/passwd", "out": {"path": OUT.path}}},
        {"system": {"drv": {"path": "/etc/passwd"}, "out": {"path": OUT.path}}},
        {"since": "yesterday"},
        {"since": "2024-05-06T07:08:09"},
        {"host": "another"},
        {"goal": "fly"},
        {"format": None},
        {"tries": "many"},
        {"tries": float("inf")},
        {"expires": "0001-01-01T00:00:00+14:00"},
        {"skip_preflight": 3},
    ],
    ids=str,
)
def test_a_damaged_file_is_named_and_set_aside(files: Files, fields: dict[str, object]) -> None:
    """Nothing crashes, the others are found, and it is told once."""
    files.write("razer", files.changed(**fields))
    other = replace(WAITS, host="dex")
    files.pending.put(other)
    assert files.pending.all() == (other,)
    (told,) = files.told
    assert "razer" in told
    (aside,) = files.folder.glob("razer.damaged-*")
    assert str(aside) in told
    assert files.pending.all() == (other,)
    assert len(files.told) == 1


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '"x"', "\x00"], ids=repr)
def test_what_is_no_entry_at_all_is_set_aside(files: Files, text: str) -> None:
    """Whatever a full disk has left in a pending file's place is set aside."""
    files.write("razer", text)
    assert files.pending.of("razer") is None
    assert len(files.told) == 1


def test_bytes_that_are_no_text_are_set_aside(files: Files) -> None:
    """A pending file that is not UTF-8 is set aside with one notice."""
    files.write("razer", "")
    (files.folder / "razer.json").write_bytes(b"\xff\xfe")
    assert files.pending.all() == ()
    assert len(files.told) == 1


def test_a_file_of_a_newer_orchestrator_is_left_alone(files: Files) -> None:
    """A pending file of a newer version is reported and neither read nor lost."""
    files.write("razer", files.changed(format=FORMAT + 1))
    assert files.pending.all() == ()
    assert "newer" in files.told[0]
    assert (files.folder / "razer.json").exists()


def test_a_newer_file_of_another_shape_is_not_set_aside_as_damaged(files: Files) -> None:
    """The newer orchestrator finds its pending file where it left it, whatever is in it."""
    files.write("razer", f'{{"format": {FORMAT + 1}, "systems": ["x"]}}')
    assert files.pending.all() == ()
    assert files.told == [
        f"{files.folder / 'razer.json'} is not touched: "
        f"version {FORMAT + 1} is of a newer orchestrator"
    ]
    assert [file.name for file in files.folder.glob("razer*")] == ["razer.json"]


def test_a_damaged_file_is_reported_with_the_field_that_is_wrong(files: Files) -> None:
    """The message names the field and what it should be, and the command that waits again."""
    files.write("razer", files.changed(tries="3"))
    assert files.pending.all() == ()
    assert "is damaged (tries: expected a whole number, not a text)" in files.told[0]
    assert "`orchestrator deploy razer`" in files.told[0]


def test_where_nothing_can_be_written_that_is_said(tmp_path: Path) -> None:
    """The folder's place is taken by a file."""
    (tmp_path / "pending").write_text("")
    with pytest.raises(StepError, match="cannot be written"):
        PendingSystems(tmp_path, print).put(WAITS)


def _write_often(state: Path, run: int) -> None:
    """Put and change, again and again."""
    pending = PendingSystems(state, print)
    for tries in range(50):
        pending.put(replace(WAITS, run=run))
        pending.change(WAITS, tries=tries)


def test_two_processes_write_at_the_same_time(files: Files, tmp_path: Path) -> None:
    """Of two processes that write one pending file neither fails, and readers see a whole one."""
    files.pending.put(WAITS)
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_write_often, args=(tmp_path, run)) for run in (7, 8)]
    for one in both:
        one.start()
    while any(one.is_alive() for one in both):
        assert files.pending.of("razer") is not None
    for one in both:
        one.join()
    assert [one.exitcode for one in both] == [0, 0]
    assert files.told == []
