"""What is kept in files: values come back as they were, and nothing damaged does."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import files
from orchestrator.core.plan import Goal
from orchestrator.core.store import OutPath
from orchestrator.core.stored import DamagedError, NewerError, Time, decode, encode, kebab, snake

OUT = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system")


@dataclass(frozen=True, slots=True)
class Kept:
    """Something of each kind that is kept."""

    host: str
    goal: Goal
    at: Time
    out: OutPath | None = None
    tries: int = 0
    names: tuple[str, ...] = ()
    more: dict[str, float] = field(default_factory=dict)


KEPT = Kept("p620", Goal.SWITCH, datetime(2024, 5, 6, tzinfo=UTC), OUT, 3, ("a",), {"x": 0.5})


@given(st.text(), st.lists(st.text()), st.dictionaries(st.text(), st.floats(-1e9, 1e9)))
def test_a_value_comes_back_as_it_was(host: str, names: list[str], more: dict[str, float]) -> None:
    """Whatever its texts are, in one line."""
    kept = Kept(host, Goal.BOOT, datetime(2024, 5, 6, tzinfo=UTC), OUT, 1, tuple(names), more)
    assert b"\n" not in encode(kept)
    assert decode(Kept, encode(kept)) == kept


def test_a_text_that_is_no_unicode_is_kept_without_what_is_none() -> None:
    """Such as the name of a file that is not UTF-8; nobody's run ends for that."""
    assert decode(str, encode("a\udcffb")) == "a?b"


WHOLE = encode(KEPT).decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (WHOLE.replace('"tries":3', '"tries":"3"'), "tries: expected a whole number, not a text"),
        (WHOLE.replace('"tries":3', '"tries":true'), "tries: expected .*, not true or false"),
        (WHOLE.replace('"tries":3', '"tries":1.5'), "tries: expected a whole number"),
        (WHOLE.replace('"host":"p620",', ""), "host is missing"),
        (WHOLE.replace('"p620"', "null"), "host: expected a text, not null"),
        (WHOLE.replace('["a"]', '["a",1]'), r"names\[1\]: expected a text"),
        (WHOLE.replace('"switch"', '"fly"'), "goal: unknown value 'fly'"),
        (WHOLE.replace("/nix/store/n", "/etc/"), "out: not a store path"),
        (WHOLE.replace("2024-05-06T00:00:00Z", "2024-05-06T00:00:00"), "at: .* timezone"),
        (WHOLE.replace("2024-05", "2024-99"), "at: .*datetime"),
        (WHOLE.replace("0.5", "1e999"), "out of range"),
        (WHOLE.replace("0.5", "NaN"), "it is no JSON from byte [0-9]+ on"),
        (WHOLE[:40], "it is cut off"),
        ("", "it is cut off"),
        ("[]", "expected a mapping, not a list"),
        ("[" * 1_000_000, "."),
        ('{"host":' + "[" * 1_000_000, "."),
        (WHOLE.replace("p620", "\udcff"), "it is no UTF-8"),
    ],
    ids=range(18),
)
def test_damage_is_an_error_that_says_where(text: str, why: str) -> None:
    """Wrong types, missing fields, other values, texts that are cut off or too deep."""
    with pytest.raises(DamagedError, match=why):
        decode(Kept, text.encode(errors="surrogateescape"))


@dataclass(frozen=True, slots=True)
class Versioned:
    """Something whose fields another version may have otherwise."""

    text: str
    format: int = 2


@pytest.mark.parametrize("key", ["format", "version"])
def test_what_a_newer_version_kept_is_not_called_damaged(key: str) -> None:
    """A newer version may have other fields: the error says that it is newer, whatever is in it."""
    with pytest.raises(NewerError, match="version 3 is of a newer orchestrator"):
        decode(Versioned, f'{{"words":[],"{key}":3}}'.encode(), newest=2)
    with pytest.raises(DamagedError, match="text is missing") as caught:
        decode(Versioned, f'{{"words":[],"{key}":2}}'.encode(), newest=2)
    assert not isinstance(caught.value, NewerError)
    assert decode(Versioned, b'{"text":"x"}', newest=2) == Versioned("x")


def test_what_a_stranger_wrote_is_quoted_in_part(tmp_path: Path) -> None:
    """A message about a damaged file does not grow with what is in the file."""
    word = b"- at `$.host` " * 10_000
    (tmp_path / "file").write_bytes(encode(KEPT).replace(b"switch", word))
    with pytest.raises(DamagedError, match=r"^goal: unknown value") as caught:
        files.load(tmp_path, "file", Kept)
    assert len(str(caught.value)) < 1000


def test_a_path_is_kept_as_text_and_comes_back() -> None:
    """A path in a value is a text in the file; what is no text is no path."""
    assert decode(dict[str, Path], encode({"a": Path("/x")})) == {"a": Path("/x")}
    with pytest.raises(DamagedError, match="path"):
        decode(dict[str, Path], b'{"a":1}')


THREADS = """
import sys, threading
from orchestrator.core.stored import decode
from orchestrator.runs.model import Entry
sys.setswitchinterval(1e-6)
together, told = threading.Barrier(8), []
def read():
    together.wait()
    told.append(decode(Entry, b'{"at":"2025-06-01T12:00:00Z","event":{"type":"notice","text":""}}'))
threads = [threading.Thread(target=read) for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join()
assert len(told) == 8, told
"""


def test_threads_that_read_the_first_values_of_a_type_at_once_do_not_crash() -> None:
    """Msgspec builds what it knows of a type on its first use, and not for several at a time."""
    for _ in range(5):
        done = subprocess.run((sys.executable, "-c", THREADS), capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_file_is_replaced_whole_and_its_owner_alone_may_read_it(tmp_path: Path) -> None:
    """A link in its place is replaced, and never written through."""
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "file").symlink_to(tmp_path / "elsewhere")
    files.save(tmp_path / "file", KEPT, sync=True)
    assert files.load(tmp_path, "file", Kept) == KEPT
    assert (tmp_path / "file").lstat().st_mode & 0o777 == 0o600
    assert (tmp_path / "elsewhere").read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"file", "elsewhere"}


def test_a_file_that_cannot_be_replaced_is_as_it_was(tmp_path: Path) -> None:
    """A file that cannot be replaced keeps its content, and no part is left beside it."""
    (tmp_path / "folder/x").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        files.save(tmp_path / "folder", KEPT)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_file_that_is_huge_or_leads_elsewhere_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks is told that it cannot be."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "elsewhere").write_bytes(encode(KEPT))
    (root / "link").symlink_to(tmp_path / "elsewhere")
    (root / "huge").write_bytes(encode(KEPT))
    monkeypatch.setattr(files, "MOST", 20)
    for name in ("link", "huge"):
        with pytest.raises(OSError, match=r"leads out|more than 20 bytes"):
            files.load(root, name, Kept)


def test_a_class_s_name_in_a_file_is_of_small_letters() -> None:
    """Between the words a dash, or a bar."""
    assert (kebab("RunStarted"), snake("RolledBack"), kebab("Paused")) == (
        *("run-started", "rolled_back", "paused"),
    )
