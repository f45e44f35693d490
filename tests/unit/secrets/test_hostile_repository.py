"""A repository of somebody else's, just cloned, writes and deletes nothing outside of itself."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from secret_bench import Bench

from orchestrator.core.errors import RefusedError, StepError, UsageError
from orchestrator.fleet import files
from orchestrator.fleet.files import format_tracked
from orchestrator.inventory.add_host import NewHost, draft, write
from orchestrator.inventory.fleet_json import PATH, refresh
from orchestrator.inventory.load import load
from orchestrator.secrets.files.journal import FOLDER
from orchestrator.secrets.place import place_of

KEY = b"ssh-ed25519 AAAA attacker\n"
MINE = b"ssh-ed25519 AAAA mine\n"


def git(folder: Path, *words: str) -> None:
    """Run git as a person whom it knows."""
    who = (
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.org",
        "-c",
        "protocol.file.allow=always",
    )
    subprocess.run(("git", "-C", folder, *who, *words), check=True, capture_output=True)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A person's home, whose keys are what the attacker wants to replace or delete."""
    ssh = tmp_path / "home/.ssh"
    ssh.mkdir(parents=True)
    (ssh / "authorized_keys").write_bytes(MINE)
    return ssh.parent


def journal(name: str, folder: Path, path: str, staged: str, **more: object) -> None:
    """Write a journal, or a plan, such as ours, beside a ``secrets.nix``."""
    one = {"path": path, "staged": staged, "old": digest(MINE), "new": digest(KEY), **more}
    text = {"version": 1, "id": "x", "what": "rekey", "folders": [], "committed": True}
    (folder / FOLDER).mkdir(exist_ok=True)
    (folder / FOLDER / name).write_text(json.dumps({**text, "replacements": [one]}))


def digest(content: bytes) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(content).hexdigest()


def hostile(home: Path, name: str) -> Path:
    """A repository with a link to the home, a payload and a committed journal; its clone."""
    upstream, clone = home / "upstream", home / "clone"
    upstream.mkdir()
    git(upstream, "init", "-q")
    (upstream / "secrets.nix").write_text("{ }\n")
    (upstream / "link").symlink_to("../.ssh")
    (upstream / ".orchestrator-00000000-0").write_bytes(KEY)
    journal(name, upstream, "link/authorized_keys", ".orchestrator-00000000-0")
    git(upstream, "add", "--force", ".")
    git(upstream, "commit", "-q", "-m", "x")
    git(home, "clone", "-q", str(upstream), str(clone))
    return clone


def orchestrator(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command as a person types it there."""
    argv = (sys.executable, "-m", "orchestrator", *words)
    env = {**os.environ, "ORCHESTRATOR_LEARN": "never"}
    return subprocess.run(argv, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["journal", "plan"])
def test_a_committed_journal_is_refused_and_who_committed_it_is_told(home: Path, name: str) -> None:
    """The advised `secrets recover` writes no key of the attacker's, and deletes nothing."""
    clone = hostile(home, name)
    done = orchestrator(clone, "secrets", "recover", "--rules", "secrets.nix")
    assert done.returncode != 0
    assert f"git tracks {FOLDER}/{name}" in done.stderr
    assert "git log" in done.stderr
    assert (home / ".ssh/authorized_keys").read_bytes() == MINE


@pytest.mark.parametrize("name", ["journal", "plan"])
@pytest.mark.parametrize("staged", [".orchestrator-00000000-0", "link/.orchestrator-00000000-0"])
def test_a_journal_that_git_does_not_track_leads_nowhere_either(
    home: Path, name: str, staged: str
) -> None:
    """An untracked journal, as from an archive, leads to no write or deletion by a link."""
    clone = hostile(home, name)
    subprocess.run(("rm", "-rf", str(clone / ".git")), check=True)
    (home / ".ssh/.orchestrator-00000000-0").write_bytes(KEY)
    journal(name, clone, "link/authorized_keys", staged)
    for _ in range(2):
        orchestrator(clone, "secrets", "recover", "--rules", "secrets.nix")
    assert (home / ".ssh/authorized_keys").read_bytes() == MINE
    assert (home / ".ssh/.orchestrator-00000000-0").read_bytes() == KEY


@pytest.mark.parametrize(
    ("path", "staged"),
    [
        ("secrets.nix", "flake.nix"),
        ("secrets.nix", ".git/config"),
        (".git/hooks/post-checkout", ".git/hooks/.orchestrator-00000000-0"),
        (".GIT/config", ".GIT/.orchestrator-00000000-0"),
        ("a/b.age", ".orchestrator-00000000-0"),
    ],
)
def test_a_journal_takes_no_other_file_for_staged_and_none_of_gits(
    tmp_path: Path, path: str, staged: str
) -> None:
    """What it calls staged would be removed; what lies in ``.git`` would be run."""
    bench = Bench(tmp_path)
    before = bench.content()
    for name, damaged in (("journal", True), ("plan", False)):
        journal(name, bench.root, path, staged)
        done = orchestrator(bench.root, "secrets", "recover", "--rules", "secrets.nix")
        assert ("damaged" in done.stderr) == damaged
        subprocess.run(("rm", "-rf", str(bench.root / FOLDER)), check=True)
    assert bench.content() == before


async def _place(file: Path) -> str:
    return str((await place_of(file)).file)


@pytest.mark.parametrize("how", ["the file", "its folder", "another repository's"])
def test_rules_that_a_link_has_outside_of_the_repository_are_refused(home: Path, how: str) -> None:
    """Rules that are a link out of the repository are refused, and the hint names the file."""
    mine = home / "mine"
    mine.mkdir()
    (mine / "secrets.nix").write_text("{ }\n")
    if how == "another repository's":
        git(mine, "init", "-q")
    repository = home / "cloned"
    repository.mkdir()
    git(repository, "init", "-q")
    if how == "the file":
        file = repository / "secrets.nix"
        file.symlink_to("../mine/secrets.nix")
    else:
        (repository / "secrets").symlink_to("../mine")
        file = repository / "secrets/secrets.nix"
    with pytest.raises(UsageError, match="leads out of") as refused:
        asyncio.run(_place(file))
    assert str(mine / "secrets.nix") in (refused.value.hint or "")
    assert asyncio.run(_place(mine / "secrets.nix")) == str(mine / "secrets.nix")


def test_rules_that_a_link_has_within_the_repository_are_taken(home: Path) -> None:
    """A person's own way of laying things out."""
    git(home, "init", "-q")
    (home / "real.nix").write_text("{ }\n")
    (home / "secrets.nix").symlink_to("real.nix")
    assert asyncio.run(_place(home / "secrets.nix")) == str(home / "real.nix")


def fleet(home: Path) -> Path:
    """A fleet whose inventory's folder and files may be made links."""
    root = home / "fleet"
    (root / "inventory").mkdir(parents=True)
    (root / "inventory/hosts.yaml").write_text("hosts:\n  a: {}\n")
    return root


@pytest.mark.parametrize("what", ["the folder", "the file"])
def test_the_inventorys_json_is_not_written_through_a_link(home: Path, what: str) -> None:
    """The inventory's JSON is written through no link, be it a folder's or a file's."""
    root = fleet(home)
    inventory = load(root)
    if what == "the folder":
        (root / "inventory").rename(home / "elsewhere")
        (root / "inventory").symlink_to("../elsewhere")
        victim = home / "elsewhere/fleet.json"
    else:
        (root / PATH).symlink_to("../../.ssh/authorized_keys")
        victim = home / ".ssh/authorized_keys"
    before = victim.read_bytes() if victim.exists() else None
    with pytest.raises(UsageError, match=r"regular file|symbolic link"):
        refresh(root, inventory, frozen=False, create=True)
    assert (victim.read_bytes() if victim.exists() else None) == before


def test_a_host_is_not_added_through_a_link(home: Path) -> None:
    """One that was put into the file's place after it was read."""
    root = fleet(home)
    made = draft(root, NewHost("b", "10.0.0.2"))
    foreign = home / ".ssh/hosts.yaml"
    (root / made.file).rename(foreign)
    (root / made.file).symlink_to("../../.ssh/hosts.yaml")
    with pytest.raises(StepError, match="cannot be written"):
        write(root, made)
    assert foreign.read_bytes() == made.before


def test_a_formatter_is_given_no_link(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A formatter is given no link, as it would write where that leads."""
    (home / "bin").mkdir()
    (home / "bin/nixfmt").write_text('#!/bin/sh\nfor f; do echo formatted > "$f"; done\n')
    (home / "bin/nixfmt").chmod(0o755)
    monkeypatch.setenv("PATH", f"{home / 'bin'}:{os.environ['PATH']}")
    root = fleet(home)
    git(root, "init", "-q")
    (root / "own.nix").write_text("{ }\n")
    (root / "evil.nix").symlink_to("../.ssh/authorized_keys")
    git(root, "add", ".")
    for check, text in ((True, "{ }\n"), (False, "formatted\n")):
        assert asyncio.run(format_tracked(str(root), check=check)) == ("own.nix",)
        assert (root / "own.nix").read_text() == text
    assert (home / ".ssh/authorized_keys").read_bytes() == MINE


def test_a_lock_file_that_is_a_link_is_not_updated(home: Path) -> None:
    """Nix would write where it leads, and so would whoever puts it back."""
    root = fleet(home)
    (root / files.LOCK).symlink_to("../.ssh/authorized_keys")
    with pytest.raises(UsageError, match="link"):
        files.lock_of(root)
    assert (home / ".ssh/authorized_keys").read_bytes() == MINE


def test_an_ordinary_change_refuses_a_plan_that_came_with_the_repository(tmp_path: Path) -> None:
    """`secrets rekey`, and every other that writes, touches nothing then."""
    bench = Bench(tmp_path)
    git(bench.root, "init", "-q")
    journal("plan", bench.root, "a.age", ".orchestrator-00000000-0")
    git(bench.root, "add", "--force", ".")
    before = bench.content()
    with pytest.raises(RefusedError, match="git tracks"):
        bench.rekey(bench.new, every=True)
    assert bench.content() == before
