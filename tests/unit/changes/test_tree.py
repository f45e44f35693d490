"""The tree as Nix sees it, taken down from real git repositories."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.changes.plan import Tree
from orchestrator.changes.tree.snapshot import at_revision, snapshot, stamp
from orchestrator.core.errors import StepError
from orchestrator.core.values import replace


@pytest.fixture(autouse=True)
def nobodys_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own settings of git count, and none of the machine's."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "fleet")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "fleet@example.org")


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """A repository with one commit of a few files."""
    return made(tmp_path / "a fleet")


def made(folder: Path) -> Path:
    """Make a repository with one commit of a few files."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "d").mkdir()
    for name in ("flake.nix", "a.nix", "d/b.nix"):
        (folder / name).write_text(f"# {name}\n")
    committed(folder)
    return folder


def git(folder: Path, *argv: str) -> str:
    """Run git."""
    allow = ("-c", "protocol.file.allow=always", "-c", "safe.directory=*")
    done = subprocess.run(
        ["git", *allow, "-C", folder, *argv], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def committed(folder: Path) -> None:
    """Commit whatever there is."""
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "more")


def taken(folder: Path) -> Tree:
    """Take the tree down; nothing of the repository is touched by that."""
    before = everything(folder)
    tree = asyncio.run(snapshot(str(folder)))
    assert everything(folder) == before
    return tree


def everything(folder: Path) -> dict[str, object]:
    """Every file below a folder, ``.git`` too: what it contains and when it was changed."""
    found: dict[str, object] = {}
    for place in sorted(folder.rglob("*")):
        status = place.lstat()
        content = place.read_bytes() if place.is_file() and not place.is_symlink() else b""
        found[str(place)] = (status.st_mode, status.st_mtime_ns, status.st_ino, content)
    return found


def head(folder: Path) -> str:
    """The commit."""
    return git(folder, "rev-parse", "HEAD")


# Clean, and every way not to be.


def test_a_clean_tree_is_its_commit(fleet: Path) -> None:
    """Each file's mode and id as git has them, the commit, and where the flake is."""
    tree = taken(fleet)
    ids = {name: git(fleet, "hash-object", name) for name in ("flake.nix", "a.nix", "d/b.nix")}
    assert tree.entries == {name: f"100644 {blob}" for name, blob in ids.items()}
    assert (tree.head, tree.dirty, tree.flake, tree.root) == (head(fleet), False, "", str(fleet))
    assert not tree.indivisible


def test_what_git_does_not_track_is_not_there(fleet: Path) -> None:
    """A file that git does not track is no part of the tree, as Nix does not see it."""
    clean = taken(fleet)
    (fleet / "new.nix").write_text("new")
    assert taken(fleet) == clean


def edit(folder: Path) -> None:
    """Change bytes, and no more."""
    (folder / "a.nix").write_text("other\n")


def stage(folder: Path) -> None:
    """Change bytes and add them."""
    edit(folder)
    git(folder, "add", "a.nix")


def stage_and_edit(folder: Path) -> None:
    """Add one change and make another."""
    stage(folder)
    (folder / "a.nix").write_text("a third\n")


def delete(folder: Path) -> None:
    """Take a file away."""
    (folder / "a.nix").unlink()


def delete_staged(folder: Path) -> None:
    """Take a file away, from the index too."""
    git(folder, "rm", "--quiet", "a.nix")


def untrack(folder: Path) -> None:
    """Have git forget a file that stays where it is."""
    git(folder, "rm", "--quiet", "--cached", "a.nix")


def rename(folder: Path) -> None:
    """Call a file otherwise."""
    git(folder, "mv", "a.nix", "e.nix")


def rename_and_edit(folder: Path) -> None:
    """Call a file otherwise, and change its bytes then."""
    rename(folder)
    (folder / "e.nix").write_text("other\n")


def intend(folder: Path) -> None:
    """Tell git of a file without adding its bytes."""
    (folder / "new.nix").write_text("new\n")
    git(folder, "add", "--intent-to-add", "new.nix")


def add(folder: Path) -> None:
    """Add a file."""
    (folder / "new.nix").write_text("new\n")
    git(folder, "add", "new.nix")


def make_executable(folder: Path) -> None:
    """Set the bit to execute."""
    (folder / "a.nix").chmod(0o755)


def make_link(folder: Path) -> None:
    """Put a symbolic link in a file's place, the bytes of its target the same."""
    (folder / "a.nix").unlink()
    (folder / "a.nix").symlink_to("# a.nix\n")


def make_folder(folder: Path) -> None:
    """Put a tracked folder in a file's place."""
    (folder / "a.nix").unlink()
    (folder / "a.nix").mkdir()
    (folder / "a.nix/default.nix").write_text("{ }")
    git(folder, "add", "--all")


def make_file(folder: Path) -> None:
    """Put a file in a folder's place."""
    (folder / "d/b.nix").unlink()
    (folder / "d").rmdir()
    (folder / "d").write_text("a file")
    git(folder, "add", "--all")


EDITS = (
    *(edit, stage, stage_and_edit, delete, delete_staged, untrack, rename, rename_and_edit),
    *(intend, add, make_executable, make_link, make_folder, make_file),
)


@pytest.mark.parametrize("change", EDITS, ids=lambda one: one.__name__)
def test_a_change_is_seen_and_its_commit_changes_no_file(
    fleet: Path, change: Callable[[Path], None]
) -> None:
    """The files' digest is another one at once, and stays when all is committed."""
    clean = taken(fleet)
    change(fleet)
    dirty = taken(fleet)
    assert dirty.dirty
    assert dirty.head == clean.head
    assert dirty.digest != clean.digest
    if change is not untrack:
        committed(fleet)
    else:
        git(fleet, "commit", "--quiet", "-m", "gone")
    after = taken(fleet)
    assert not after.dirty
    assert after.head != clean.head
    assert after.digest == dirty.digest
    assert after.whole != dirty.whole
    assert after.entries == as_git_lists(fleet)


def as_git_lists(folder: Path) -> dict[str, str]:
    """The commit's files, by another of git's commands."""
    listed = git(folder, "ls-tree", "-r", "-z", "HEAD")
    pairs = (line.split("\t", 1) for line in listed.split("\0") if line)
    return {path: f"{mode} {blob}" for meta, path in pairs for mode, _, blob in [meta.split(" ")]}


def test_a_change_that_is_staged_and_taken_back_in_the_work_tree_is_dirty(fleet: Path) -> None:
    """Nix reads the work tree, whose files are the commit's, and tells of no revision."""
    clean = taken(fleet)
    stage(fleet)
    (fleet / "a.nix").write_text("# a.nix\n")
    tree = taken(fleet)
    assert tree.digest == clean.digest
    assert tree.dirty
    assert tree.whole != clean.whole


def test_a_touched_file_is_not_changed(fleet: Path) -> None:
    """A touched file has another time and the same bytes, so it is not changed."""
    clean = taken(fleet)
    os.utime(fleet / "a.nix", (1, 1))
    assert taken(fleet) == clean


def hide_behind_link(folder: Path) -> None:
    """Put a link to a folder with the same file in a folder's place."""
    (folder / "d").rename(folder / "elsewhere")
    (folder / "d").symlink_to("elsewhere")


def hide_behind_dangling_link(folder: Path) -> None:
    """Put a link to nowhere in a folder's place."""
    hide_behind_link(folder)
    (folder / "elsewhere").rename(folder / "away")


def hide_behind_file(folder: Path) -> None:
    """Put a file in a folder's place, and do not tell git."""
    (folder / "d/b.nix").unlink()
    (folder / "d").rmdir()
    (folder / "d").write_text("a file")


HIDING = (hide_behind_link, hide_behind_dangling_link, hide_behind_file)


@pytest.mark.parametrize("hide", HIDING, ids=lambda one: one.__name__)
@pytest.mark.parametrize("converted", [False, True])
def test_what_took_a_tracked_folders_place_is_an_error(
    fleet: Path, hide: Callable[[Path], None], converted: bool
) -> None:
    """Git tracks it not and calls what was below gone; some versions of Nix see it."""
    if converted:
        git(fleet, "config", "core.autocrlf", "input")
    hide(fleet)
    with pytest.raises(StepError, match="d is tracked as a folder, and is none"):
        taken(fleet)


def test_a_tracked_link_is_its_target(fleet: Path) -> None:
    """A tracked link stands in the tree by its target, also one that leads nowhere."""
    (fleet / "link").symlink_to("nowhere")
    committed(fleet)
    before = taken(fleet)
    assert before.entries["link"].startswith("120000 ")
    (fleet / "link").unlink()
    (fleet / "link").symlink_to("a.nix")
    assert taken(fleet).digest != before.digest


NAMES = [b"with space", b"two\nlines", b"tab\there", b"\xff\xfe", "übung".encode(), b'"quoted"']


@pytest.mark.parametrize("name", NAMES)
def test_any_name_that_a_file_can_have(fleet: Path, name: bytes) -> None:
    """Added, changed, gone: as with every other."""
    path = os.fsdecode(name)
    digests = [taken(fleet).digest]
    (fleet / path).write_text("1")
    committed(fleet)
    digests.append(taken(fleet).digest)
    assert path in taken(fleet).entries
    (fleet / path).write_text("2")
    digests.append(taken(fleet).digest)
    stamp(taken(fleet))
    (fleet / path).unlink()
    assert taken(fleet).digest == digests[0]
    assert len(set(digests)) == 3


@pytest.mark.parametrize("name", NAMES)
def test_a_renamed_file_of_any_name(fleet: Path, name: bytes) -> None:
    """What git prints of a staged rename has two names."""
    git(fleet, "mv", "a.nix", os.fsdecode(name))
    (fleet / os.fsdecode(name)).write_text("other")
    tree = taken(fleet)
    assert "a.nix" not in tree.entries
    committed(fleet)
    assert taken(fleet).digest == tree.digest


# Where nothing can be told.


def test_a_conflict_is_an_error(fleet: Path) -> None:
    """A file in conflict has no value, and is an error that names it."""
    git(fleet, "branch", "other")
    stage(fleet)
    git(fleet, "commit", "--quiet", "-m", "ours")
    git(fleet, "checkout", "--quiet", "other")
    (fleet / "a.nix").write_text("theirs\n")
    committed(fleet)
    with pytest.raises(subprocess.CalledProcessError):
        git(fleet, "merge", "main")
    with pytest.raises(StepError, match=r"a\.nix has a conflict"):
        taken(fleet)


def test_a_folder_in_no_repository_is_an_error(tmp_path: Path) -> None:
    """A folder in no git repository is an error: there is nothing to compare."""
    (tmp_path / "flake.nix").touch()
    with pytest.raises(StepError, match="in no git repository"):
        taken(tmp_path)


def test_a_fleet_without_a_flake_is_an_error(fleet: Path) -> None:
    """Nix would look above, and not beyond the repository."""
    (fleet / "flake.nix").unlink()
    with pytest.raises(StepError, match=r"no flake\.nix"):
        taken(fleet)


def test_a_folder_that_git_is_told_to_leave_alone_is_an_error(fleet: Path) -> None:
    """What git says of an error is in ours."""
    (fleet / ".git/HEAD").write_text("damage")
    with pytest.raises(StepError, match="git does not say") as error:
        taken(fleet)
    assert "not a git repository" in error.value.stderr


def test_a_pipe_in_a_files_place_is_not_waited_for(fleet: Path) -> None:
    """Reading it would never end. Git calls the file gone."""
    (fleet / "a.nix").unlink()
    os.mkfifo(fleet / "a.nix")
    with pytest.raises(StepError, match=r"a\.nix is tracked as a file, and is none"):
        taken(fleet)


# Where the repository is, and of what kind.


def test_before_the_first_commit(tmp_path: Path) -> None:
    """What is in the index is there; there is no commit."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "flake.nix").write_text("{ }")
    assert taken(tmp_path).entries == {}
    git(tmp_path, "add", "flake.nix")
    tree = taken(tmp_path)
    assert list(tree.entries) == ["flake.nix"]
    assert (tree.head, tree.dirty) == (None, True)


def test_a_detached_head(fleet: Path) -> None:
    """The branch's name does not count, the commit does."""
    on_branch = taken(fleet)
    git(fleet, "checkout", "--quiet", "--detach")
    assert taken(fleet) == on_branch


def test_a_linked_work_tree(fleet: Path, tmp_path: Path) -> None:
    """A linked work tree is known by its own index, commit and files."""
    other = tmp_path / "linked"
    git(fleet, "worktree", "add", "--quiet", str(other), "-b", "other")
    clean = taken(fleet)
    assert taken(other) == replace(clean, root=str(other))
    edit(other)
    assert taken(other).dirty
    assert taken(fleet) == clean
    before = stamp(taken(other))
    git(other, "commit", "--quiet", "--allow-empty", "-m", "more")
    assert stamp(taken(other)) != before


def test_a_flake_in_a_folder_of_the_repository(fleet: Path) -> None:
    """A flake's repository is found upwards, as by Nix, and all of its files count."""
    (fleet / "nix/deep").mkdir(parents=True)
    (fleet / "nix/flake.nix").touch()
    (fleet / "nix/deep/a").touch()
    committed(fleet)
    for folder in ("nix", "nix/deep"):
        tree = taken(fleet / folder)
        assert (tree.root, tree.flake) == (str(fleet), "nix")
        assert "a.nix" in tree.entries
    assert taken(fleet).flake == taken(fleet / "d").flake == ""
    assert taken(fleet).whole != taken(fleet / "nix").whole


def test_the_environment_of_a_hook_names_another_repository(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fleet's is looked at all the same."""
    expected = taken(fleet)
    other = made(tmp_path / "other")
    edit(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    tree = asyncio.run(snapshot(str(fleet)))
    assert tree == expected


@pytest.mark.parametrize("name", ["GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"])
def test_other_variables_of_gits_do_no_harm(
    fleet: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Git's other variables in the environment give either the same tree or an error."""
    expected = taken(fleet)
    monkeypatch.setenv(name, str(made(tmp_path / "other") / ".git"))
    with contextlib.suppress(StepError):
        assert asyncio.run(snapshot(str(fleet))) == expected


# Submodules.


@pytest.fixture
def nested(fleet: Path, tmp_path: Path) -> Path:
    """A fleet with a submodule ``m`` that has a submodule ``n``."""
    inner, outer = made(tmp_path / "inner"), made(tmp_path / "outer")
    git(outer, "submodule", "--quiet", "add", str(inner), "n")
    committed(outer)
    git(fleet, "submodule", "--quiet", "add", str(outer), "m")
    git(fleet, "submodule", "--quiet", "update", "--init", "--recursive")
    committed(fleet)
    return fleet


def test_a_submodule_that_is_not_checked_out_is_its_commit(nested: Path, tmp_path: Path) -> None:
    """A submodule that is not checked out stands by its commit, and has no files."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(nested), str(clone))
    tree = taken(clone)
    commit = head(nested / "m")
    assert tree.entries["m"] == f"160000 {commit}"
    assert taken(nested).entries["m"] != tree.entries["m"]
    assert "m/a.nix" not in tree.entries


@pytest.mark.parametrize("place", ["m", "m/n"])
@pytest.mark.parametrize("change", EDITS, ids=lambda one: one.__name__)
def test_a_change_within_a_submodule_is_seen(
    nested: Path, place: str, change: Callable[[Path], None]
) -> None:
    """At any depth: edited, and then committed there, the fleet's own commit unchanged."""
    clean = taken(nested)
    change(nested / place)
    dirty = taken(nested)
    assert dirty.entries["m"] != clean.entries["m"]
    committed(nested / place)
    after = taken(nested)
    assert len({tree.digest for tree in (clean, dirty, after)}) == 3
    assert after.dirty


@pytest.mark.parametrize("setting", ["diff.ignoreSubmodules", "submodule.m.ignore"])
def test_a_submodule_that_git_is_told_to_ignore_makes_the_tree_dirty(
    nested: Path, setting: str
) -> None:
    """An edited submodule makes the tree dirty, also where git is set to ignore it."""
    git(nested, "config", setting, "all")
    edit(nested / "m")
    assert git(nested, "status", "--porcelain") == ""
    assert taken(nested).dirty


# Where git converts, or does not look.


def test_line_ends_that_git_converts(fleet: Path) -> None:
    """The bytes that Nix reads of a clean tree are the commit's, of a dirty one the work tree's."""
    (fleet / ".gitattributes").write_text("*.nix text eol=crlf\n")
    committed(fleet)
    git(fleet, "rm", "--quiet", "--cached", "-r", ".")
    git(fleet, "reset", "--quiet", "--hard")
    assert (fleet / "a.nix").read_bytes() == b"# a.nix\r\n"
    clean = taken(fleet)
    assert not clean.dirty
    (fleet / "d/b.nix").write_text("other\r\n")
    dirty = taken(fleet)
    assert dirty.dirty
    # Nothing was done to a.nix, and yet Nix reads other bytes of it now.
    assert dirty.entries["a.nix"] != clean.entries["a.nix"]


def test_line_ends_that_git_takes_for_the_same(fleet: Path) -> None:
    """An edit that git does not call one, and that a dirty tree's evaluation sees."""
    (fleet / ".gitattributes").write_text("*.nix text\n")
    committed(fleet)
    (fleet / "d/b.nix").write_text("other\n")
    before = taken(fleet)
    (fleet / "a.nix").write_bytes(b"# a.nix\r\n")
    assert taken(fleet).entries["a.nix"] != before.entries["a.nix"]


def test_line_ends_that_git_converted_once(fleet: Path) -> None:
    """Git looks at no file again only because its attributes are gone; Nix reads the bytes."""
    (fleet / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (fleet / "a.txt").write_bytes(b"a\r\n")
    # Long ago: git looks again at what was written when its index was.
    os.utime(fleet / "a.txt", (10**9, 10**9))
    committed(fleet)
    (fleet / ".gitattributes").write_text("")
    assert git(fleet, "status", "--porcelain", "-uno") == "M .gitattributes"
    raw = git(fleet, "hash-object", "--no-filters", "a.txt")
    assert taken(fleet).entries["a.txt"] == f"100644 {raw}"


def test_a_setting_that_converts_line_ends(fleet: Path) -> None:
    """With ``core.autocrlf`` a change of line ends is seen, without any attribute."""
    git(fleet, "config", "core.autocrlf", "input")
    (fleet / "d/b.nix").write_text("other\n")
    before = taken(fleet)
    (fleet / "a.nix").write_bytes(b"# a.nix\r\n")
    assert taken(fleet).entries["a.nix"] != before.entries["a.nix"]


def test_a_folder_whose_files_are_gone_where_line_ends_are_converted(fleet: Path) -> None:
    """A tracked folder whose files are gone is in no list where line ends are converted."""
    (fleet / ".gitattributes").write_text("*.txt text eol=crlf\n")
    (fleet / "folder/below").mkdir(parents=True)
    (fleet / "folder/below/a.txt").write_bytes(b"a\r\n")
    committed(fleet)
    assert "folder" in taken(fleet).folders
    (fleet / "folder/below/a.txt").unlink()
    found = taken(fleet)
    assert not {"folder", "folder/below"} & found.folders.keys()
    assert "folder" not in found.folders[""]


def test_a_filter_is_no_way_around(fleet: Path) -> None:
    """Two contents that a filter such as git-lfs cleans to the same bytes are told apart."""
    (fleet / ".gitattributes").write_text("*.bin filter=constant\n")
    git(fleet, "config", "filter.constant.clean", "echo constant")
    git(fleet, "config", "filter.constant.smudge", "cat")
    (fleet / "x.bin").write_text("one")
    committed(fleet)
    (fleet / "a.nix").write_text("dirty")
    before = taken(fleet)
    (fleet / "x.bin").write_text("two")
    assert taken(fleet).entries["x.bin"] != before.entries["x.bin"]


@pytest.mark.parametrize("where", ["info", "person"])
def test_attributes_that_are_no_part_of_the_tree(fleet: Path, tmp_path: Path, where: str) -> None:
    """Attributes of this copy or the person make line ends count, though not in the tree."""
    places = {"info": fleet / ".git/info/attributes", "person": tmp_path / "config/git/attributes"}
    places[where].parent.mkdir(parents=True, exist_ok=True)
    places[where].write_text("*.nix text\n")
    (fleet / "d/b.nix").write_text("other\n")
    before = taken(fleet)
    (fleet / "a.nix").write_bytes(b"# a.nix\r\n")
    assert taken(fleet).entries["a.nix"] != before.entries["a.nix"]


def test_attributes_that_convert_nothing(fleet: Path) -> None:
    """The whole tree is not read for them, and its files can be told apart."""
    (fleet / ".gitattributes").write_text("*.png binary -text\n*.lock linguist-generated diff\n")
    committed(fleet)
    assert not taken(fleet).indivisible


@pytest.mark.parametrize("attribute", ["export-subst", "export-ignore"])
def test_what_an_archive_leaves_out_or_fills_in(fleet: Path, attribute: str) -> None:
    """Nix has given some versions' evaluations the archive: no file can be relied on."""
    (fleet / ".gitattributes").write_text(f"a.nix {attribute}\n")
    committed(fleet)
    assert "export" in taken(fleet).indivisible


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("core.fileMode", "false"),
        ("core.symlinks", "false"),
        ("core.checkStat", "minimal"),
        ("core.trustctime", "false"),
        ("core.ignoreStat", "true"),
    ],
)
def test_settings_that_keep_changes_from_git(fleet: Path, name: str, value: str) -> None:
    """Where settings keep changes from git, the tree counts as a whole and by its bytes."""
    git(fleet, "config", name, value)
    tree = taken(fleet)
    assert tree.indivisible == name.lower()


def test_the_bit_to_execute_where_git_does_not_look_at_it(fleet: Path) -> None:
    """Git calls the tree clean, and Nix, for a dirty one, does look."""
    git(fleet, "config", "core.fileMode", "false")
    before = taken(fleet)
    (fleet / "a.nix").chmod(0o755)
    assert taken(fleet).whole != before.whole


@pytest.mark.parametrize("option", ["--assume-unchanged", "--skip-worktree"])
def test_files_that_git_is_told_not_to_look_at(fleet: Path, option: str) -> None:
    """Files that git is told not to look at are looked at, and the whole tree counts."""
    git(fleet, "update-index", option, "a.nix")
    before = taken(fleet)
    assert before.indivisible
    edit(fleet)
    after = taken(fleet)
    assert not after.dirty
    assert after.whole != before.whole


def test_a_monitor_that_says_that_nothing_changed_is_not_believed(
    fleet: Path, tmp_path: Path
) -> None:
    """Git asks it in our stead where it may; Nix does not."""
    monitor = tmp_path / "monitor"
    monitor.write_text('#!/bin/sh\nprintf "token\\0"\n')
    monitor.chmod(0o755)
    git(fleet, "config", "core.fsmonitor", str(monitor))
    git(fleet, "update-index", "--fsmonitor")
    git(fleet, "status")
    clean = taken(fleet)
    edit(fleet)
    assert git(fleet, "status", "--porcelain") == ""
    assert taken(fleet).digest != clean.digest


def test_files_that_are_not_checked_out(fleet: Path) -> None:
    """A sparse checkout: Nix reads them from the commit, and not from a dirty work tree."""
    git(fleet, "sparse-checkout", "set", "--no-cone", "/flake.nix")
    assert not (fleet / "d").exists()
    clean = taken(fleet)
    assert clean.indivisible
    (fleet / "flake.nix").write_text("dirty")
    assert taken(fleet).entries["d/b.nix"] != clean.entries["d/b.nix"]


# When something moved.


def test_an_edit_that_is_undone_leaves_its_stamp(fleet: Path) -> None:
    """The same bytes and the same tree; an evaluation in between may have seen others."""
    before = taken(fleet)
    mark = stamp(before)
    assert stamp(before) == mark
    text = (fleet / "a.nix").read_text()
    edit(fleet)
    (fleet / "a.nix").write_text(text)
    assert taken(fleet) == before
    assert stamp(before) != mark


def test_a_commit_that_is_taken_back_leaves_its_stamp(fleet: Path) -> None:
    """No file moved, and for a while the revision was another one."""
    before = taken(fleet)
    mark = stamp(before)
    git(fleet, "commit", "--quiet", "--allow-empty", "-m", "never mind")
    git(fleet, "reset", "--quiet", "--soft", "HEAD~1")
    assert taken(fleet) == before
    assert stamp(before) != mark


def test_an_edit_in_a_submodule_that_is_undone_leaves_its_stamp(nested: Path) -> None:
    """An edit in a submodule that is undone leaves another stamp, at any depth."""
    before = taken(nested)
    mark = stamp(before)
    text = (nested / "m/n/a.nix").read_text()
    edit(nested / "m/n")
    (nested / "m/n/a.nix").write_text(text)
    assert taken(nested) == before
    assert stamp(before) != mark


def test_a_deleted_file_that_is_put_back_leaves_its_stamp(fleet: Path) -> None:
    """A deleted file that is put back leaves another stamp, even with the same times."""
    before = taken(fleet)
    mark = stamp(before)
    place, times = fleet / "a.nix", (fleet / "a.nix").stat()
    content = place.read_bytes()
    place.unlink()
    assert stamp(before) != mark
    place.write_bytes(content)
    os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert stamp(before) != mark


# A commit as a tree.


def test_a_commit_is_the_tree_that_its_checkout_would_be(fleet: Path) -> None:
    """A revision by branch, hash or relation is the tree that its checkout would be."""
    before = taken(fleet)
    rename_and_edit(fleet)
    committed(fleet)
    for name in ("HEAD~1", before.head or ""):
        assert asyncio.run(at_revision(str(fleet), name)) == before
    assert asyncio.run(at_revision(str(fleet), "main")) == taken(fleet)


def test_an_annotated_tag_means_its_commit(fleet: Path) -> None:
    """An annotated tag means its commit's tree, and not the tag's own hash."""
    git(fleet, "tag", "-a", "v1", "-m", "v1")
    assert asyncio.run(at_revision(str(fleet), "v1")) == taken(fleet)


@pytest.mark.parametrize("name", ["nowhere", "--all", "", "HEAD:a.nix", "HEAD^{tree}"])
def test_what_names_no_commit_is_an_error(fleet: Path, name: str) -> None:
    """An option, a file and a folder are none."""
    with pytest.raises(StepError, match="is no commit of"):
        asyncio.run(at_revision(str(fleet), name))


# Any sequence of edits.

FILES = ("a.nix", "d/b.nix", "new", "e/f/g")
moves = st.lists(
    st.tuples(
        st.sampled_from(FILES),
        st.sampled_from(["write", "program", "link", "remove"]),
        st.sampled_from("xyz"),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


def made_so(place: Path, kind: str, text: str) -> None:
    """Put a file, a program or a link somewhere, or nothing."""
    place.unlink(missing_ok=True)
    if kind == "remove":
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        place.symlink_to(text)
    else:
        place.write_text(text)
        place.chmod(0o755 if kind == "program" else 0o644)


def by_hand(folder: Path) -> str:
    """What Nix reads of a dirty tree: each tracked file's kind and bytes."""
    found = []
    for name in sorted(set(git(folder, "ls-files", "-z").split("\0")) - {""}):
        place = folder / name
        if place.is_symlink():
            found.append((name, "link", os.readlink(place)))  # noqa: PTH115
        elif place.exists():
            program = bool(place.stat().st_mode & 0o100)
            found.append((name, str(program), place.read_text()))
    return hashlib.sha256(repr(found).encode()).hexdigest()


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(moves=moves)
def test_the_digest_differs_exactly_where_bytes_kinds_or_names_do(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[str, str, str, bool]]
) -> None:
    """Along any way of edits, staged or not; and committing it all moves no file."""
    folder = made(tmp_path_factory.mktemp("walk") / "fleet")
    seen = {by_hand(folder): taken(folder).digest}
    for name, kind, text, staged in moves:
        made_so(folder / name, kind, text)
        if staged:
            git(folder, "add", "--all")
        digest = asyncio.run(snapshot(str(folder))).digest
        assert seen.setdefault(by_hand(folder), digest) == digest
    assert len(set(seen.values())) == len(seen)
    git(folder, "add", "--all")
    digest = asyncio.run(snapshot(str(folder))).digest
    committed(folder)
    assert taken(folder).digest == digest
