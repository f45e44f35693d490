"""Below a folder that somebody else has filled nothing is read or written outside of it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core import beneath
from orchestrator.core.beneath import OutsideError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with files, links within, and links out of it; beside it a foreign file."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/foreign").write_bytes(b"foreign")
    root = tmp_path / "root"
    (root / "deep/er").mkdir(parents=True)
    (root / "deep/er/file").write_bytes(b"mine")
    (root / "near").symlink_to("deep/er")
    (root / "round").symlink_to("deep/../deep/er")
    (root / "up").symlink_to("..")
    (root / "out").symlink_to("../outside")
    (root / "far").symlink_to(tmp_path / "outside")
    (root / "deep/hop").symlink_to("../out")
    (root / "loop").symlink_to("loop")
    (root / "leaf").symlink_to("../outside/foreign")
    (root / "inner").symlink_to("deep/er/file")
    return root


OUT = (
    "out/foreign",
    "far/foreign",
    "up/outside/foreign",
    "deep/hop/foreign",
    "/etc/x",
    "../outside/f",
)

DEEDS: dict[str, Callable[[Path, str], object]] = {
    "write_new": lambda root, path: beneath.write_new(root, path, b"x", 0o600),
    "replace": lambda root, path: beneath.replace(root, path, b"x"),
    "remove": beneath.remove,
    "move from": lambda root, path: beneath.move(root, path, "here"),
    "move to": lambda root, path: beneath.move(root, "deep/er/file", path),
    "make_folder": beneath.make_folder,
    "remove_folder": beneath.remove_folder,
    "digest": beneath.digest,
    "read": lambda root, path: beneath.read(root, path, 100),
    "sync": lambda root, path: beneath.sync(root, path.rpartition("/")[0] or "/"),
}


def _all(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("path", OUT)
@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_leads_out(root: Path, deed: str, path: str) -> None:
    """Whatever is done, by whichever link: it is refused, and all is as it was."""
    before = _all(root.parent)
    with pytest.raises(OutsideError):
        DEEDS[deed](root, path)
    assert _all(root.parent) == before


@pytest.mark.parametrize("path", ["hooks/post-checkout", ".git/hooks/a", "deep/repo/x", ".GIT/x"])
@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_leads_into_what_is_gits(root: Path, deed: str, path: str) -> None:
    """No path or committed link leads into git's own folder, whose hooks git would run."""
    (root / ".git/hooks").mkdir(parents=True)
    (root / ".git/hooks/post-checkout").write_bytes(b"")
    (root / "hooks").symlink_to(".git/hooks")
    (root / "deep/repo").symlink_to("../.git")
    before = _all(root.parent)
    with pytest.raises(OutsideError, match="git's own folder"):
        DEEDS[deed](root, path)
    assert _all(root.parent) == before


@pytest.mark.parametrize("path", ["near/new", "round/new", "deep/er/new"])
def test_links_that_stay_below_are_followed(root: Path, path: str) -> None:
    """Links that stay below the root are followed, as a person's own links are."""
    beneath.write_new(root, path, b"new", 0o600)
    assert (root / "deep/er/new").read_bytes() == beneath.read(root, path, 3) == b"new"


def test_a_link_in_the_place_of_a_file_is_never_written_through(root: Path) -> None:
    """A link in a file's place is never written through, and removing it removes the link."""
    for path in ("leaf", "inner"):
        for deed in (beneath.replace, lambda *of: beneath.write_new(*of, 0o600)):
            with pytest.raises(OSError, match=r"regular|exists"):
                deed(root, path, b"x")
        with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
            beneath.digest(root, path)
        beneath.remove(root, path)
        assert not os.path.lexists(root / path)
    assert (root.parent / "outside/foreign").read_bytes() == b"foreign"
    assert (root / "deep/er/file").read_bytes() == b"mine"


def test_a_file_is_read_through_a_link_that_stays_below_and_no_other(root: Path) -> None:
    """A loop ends; a link out is an error of its own kind; what is too large is not read."""
    assert beneath.read(root, "inner", 4) == b"mine"
    with pytest.raises(OutsideError):
        beneath.read(root, "leaf", 100)
    with pytest.raises(OSError, match=os.strerror(errno.ELOOP)):
        beneath.read(root, "loop", 100)
    with pytest.raises(OSError, match="more than 3 bytes"):
        beneath.read(root, "inner", 3)
    os.mkfifo(root / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        beneath.read(root, "pipe", 3)


def test_a_folder_that_becomes_a_link_between_two_deeds_leads_nowhere(root: Path) -> None:
    """The folder that was opened is the one that is written to, whatever its name means now."""
    with beneath.parent(root, "deep/er/file") as (folder, name):
        (root / "deep/er").rename(root / "aside")
        (root / "deep/er").symlink_to(root.parent / "outside")
        os.unlink(name, dir_fd=folder)
    assert not (root / "aside/file").exists()
    assert (root.parent / "outside/foreign").exists()


def test_a_replaced_file_keeps_its_mode_and_a_new_one_has_the_umasks(root: Path) -> None:
    """A replaced file keeps its mode, a new one has the umask's, and nothing else is left."""
    (root / "deep/er/file").chmod(0o640)
    beneath.replace(root, "deep/er/file", b"other")
    beneath.replace(root, "fresh", b"new")
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((root / "deep/er/file").stat().st_mode) == 0o640
    assert stat.S_IMODE((root / "fresh").stat().st_mode) == 0o666 & ~umask
    assert [file.name for file in (root / "deep/er").iterdir()] == ["file"]


def test_no_descriptor_is_left_open(root: Path) -> None:
    """After deeds that went well and deeds that did not."""

    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = opened()
    for path in (*OUT, "near/x", "inner", "loop", "nothing/there"):
        for deed in DEEDS.values():
            with contextlib.suppress(OSError):
                deed(root, path)
    assert opened() == before


PIECES = st.sampled_from(["a", "b", "..", ".", "", "c"])


@given(
    links=st.lists(st.tuples(PIECES, st.lists(PIECES, min_size=1, max_size=4)), max_size=4),
    path=st.lists(PIECES, min_size=1, max_size=5),
)
def test_whatever_the_links_a_file_is_within_or_refused(
    tmp_path_factory: pytest.TempPathFactory, links: list[tuple[str, list[str]]], path: list[str]
) -> None:
    """The file that is made is below the root as realpath(3) sees it, or none is made."""
    top = tmp_path_factory.mktemp("top")
    root = top / "x/root"
    for folder in ("a/b", "b/c"):
        (root / folder).mkdir(parents=True)
    for name, target in links:
        place = root / "b" / name
        if name not in ("", ".", "..") and not os.path.lexists(place):
            place.symlink_to("/".join(target) or ".")
    try:
        beneath.write_new(root, "/".join(path), b"x", 0o600)
    except OSError:
        made = [file for file in top.rglob("*") if file.is_file() and not file.is_symlink()]
        assert made == []
        return
    (made_file,) = {file.resolve() for file in top.rglob("*") if file.is_file()}
    assert made_file.is_relative_to(root.resolve())
