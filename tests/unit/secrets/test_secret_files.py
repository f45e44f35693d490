"""A secret's path may lead anywhere: nothing is followed out, waited for, or read without end."""

from __future__ import annotations

import os
import socket
import tracemalloc
from pathlib import Path

import pytest

from orchestrator.secrets.files.files import FileReadError, read
from orchestrator.secrets.gather import read_files
from orchestrator.secrets.model.ciphertext import Ciphertext, FormatFault
from orchestrator.secrets.plan.evidence import Unreadable


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository's folder, with a file beside it."""
    (tmp_path / "outside").write_text("outside")
    folder = tmp_path / "repository"
    folder.mkdir()
    return folder


def why(root: Path, path: str = "a") -> str:
    """Why a file is not read."""
    with pytest.raises(FileReadError) as caught:
        read(str(root), path, 10)
    return str(caught.value)


def test_a_files_beginning_its_size_and_its_last_byte_are_read(root: Path) -> None:
    """Of a file its beginning, size and last byte are read, and no more than was asked for."""
    (root / "a").write_bytes(b"0123456789\n")
    content = read(str(root), "a", 4)
    assert content is not None
    assert (content.data, content.size, content.last) == (b"0123", 11, b"\n")
    assert not content.whole
    (root / "a").write_bytes(b"")
    assert (empty := read(str(root), "a", 4)) is not None
    assert (empty.data, empty.size, empty.last, empty.whole) == (b"", 0, b"", True)


def test_what_is_not_there_is_none(root: Path) -> None:
    """What is not there counts as none: a file, its folder, or a file in a folder's place."""
    (root / "file").touch()
    assert [read(str(root), path, 1) for path in ("a", "b/a", "file/a")] == [None, None, None]


def test_a_link_within_the_repository_is_followed(root: Path) -> None:
    """A link within the repository is followed, as Nix follows it."""
    (root / "real").write_bytes(b"x")
    (root / "a").symlink_to("real")
    assert (content := read(str(root), "a", 1)) is not None
    assert content.data == b"x"


def test_a_link_out_of_the_repository_is_not(root: Path) -> None:
    """A link out of the repository is not followed, nor into a folder named alike."""
    (root / "a").symlink_to("../outside")
    assert why(root) == "is a symbolic link out of the repository"
    (root / "folder").symlink_to("..")
    assert why(root, "folder/outside") == "is a symbolic link out of the repository"
    sibling = root.with_name("repository2")
    sibling.mkdir()
    (sibling / "b").touch()
    (root / "b").symlink_to("../repository2/b")
    assert why(root, "b") == "is a symbolic link out of the repository"


def test_links_that_lead_nowhere_are_told(root: Path) -> None:
    """A loop, and a link to nothing."""
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    assert "Too many levels of symbolic links" in why(root)
    (root / "c").symlink_to("nothing")
    assert why(root, "c") == "is a symbolic link to nothing"


def test_what_is_no_regular_file_is_neither_waited_for_nor_read(root: Path) -> None:
    """A FIFO nobody writes to, a socket, a folder, a device without end."""
    os.mkfifo(root / "a")
    assert why(root) == "is a FIFO"
    (root / "folder").mkdir()
    assert why(root, "folder") == "is a folder"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(root / "s"))
        assert "cannot be read" in why(root, "s")
    assert why(Path("/"), "dev/zero") == "is a device"


def test_names_that_are_no_names_are_told(root: Path) -> None:
    """A NUL, and more characters than a file system takes."""
    assert "cannot be read" in why(root, "a\0b")
    assert "File name too long" in why(root, "a" * 5000)


def test_a_file_of_gigabytes_costs_kilobytes(root: Path) -> None:
    """Sparse, as binary and as armored: its beginning decides."""
    for name, head in (("zero", b""), ("armored", b"-----BEGIN AGE ENCRYPTED FILE-----\n")):
        with (root / name).open("wb") as file:
            file.write(head)
            file.truncate(5 * 2**30)
    tracemalloc.start()
    found = read_files(root, ["armored", "zero"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * 2**20
    for file in found.values():
        assert isinstance(file, Ciphertext)
        assert file.fault is not None
    armored = found["armored"]
    assert isinstance(armored, Ciphertext)
    assert armored.fault is FormatFault.TOO_LARGE


def test_files_that_cannot_be_read_are_values_beside_those_that_can(root: Path) -> None:
    """One of them does not end the check; a name that leads out is not even looked at."""
    os.mkfifo(root / "pipe")
    (root / "text").write_text("plain")
    found = read_files(root, ["../outside", "/etc/passwd", "none", "pipe", "text"])
    assert found["pipe"] == Unreadable("is a FIFO")
    assert set(found) == {"pipe", "text"}
