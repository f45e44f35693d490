"""What is known without an evaluation; and that nothing is, where anything is in doubt."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from known_fleet import HOSTS, KnownFleet, git, system

from orchestrator.changes.knowledge import IMPURE, NOT_LEARNED, KnownSystems
from orchestrator.changes.plan import Known, Unknown
from orchestrator.core.nix_settings import NixSettings
from orchestrator.core.values import replace
from orchestrator.nix.verbs import Flake


def reasons(fleet: KnownFleet, *, use: bool = True) -> set[str]:
    """Why each host has to be evaluated; empty where it is known."""
    found = fleet.known(use=use).values()
    return {one.reason if isinstance(one, Unknown) else "" for one in found}


def test_nothing_is_known_of_a_fleet_that_was_never_evaluated(fleet: KnownFleet) -> None:
    """Nothing is known of a fleet that was never evaluated, and looking writes nothing."""
    assert reasons(fleet) == {"it was not evaluated before"}
    assert not fleet.setup.state.exists()


def test_what_a_run_evaluated_is_known_until_anything_changes(fleet: KnownFleet) -> None:
    """Any file, for any host: what it reads is not learned yet."""
    assert fleet.run(7) is None
    known = fleet.known()
    for name, one in known.items():
        assert isinstance(one, Known)
        assert one.fingerprint.evaluated == fleet.systems[name]
        assert (one.fingerprint.run, one.fingerprint.files) == (7, 4)
    fleet.write("README")
    assert reasons(fleet) == {f"README changed, and {NOT_LEARNED}"}


def test_hosts_that_no_run_evaluated_stay_unknown(fleet: KnownFleet) -> None:
    """A run of one host teaches of that one."""
    fleet.run(1, names=("razer",))
    known = fleet.known()
    assert isinstance(known["p620"], Unknown)
    assert isinstance(known["razer"], Known)


def test_a_dirty_tree_is_known_too(fleet: KnownFleet) -> None:
    """What is edited is evaluated once; committing it is another tree for who may look at it."""
    fleet.write("README")
    fleet.run(1)
    assert reasons(fleet) == {""}
    fleet.commit()
    assert reasons(fleet) == {f"the commit changed, and {NOT_LEARNED}"}


def test_going_back_to_what_was_evaluated_before_is_known(fleet: KnownFleet) -> None:
    """Another branch and back: both are kept."""
    fleet.run(1)
    git(fleet.root, "checkout", "--quiet", "-b", "other")
    fleet.write("README")
    fleet.commit()
    fleet.systems = {"p620": system("x"), "razer": system("y")}
    fleet.run(2)
    git(fleet.root, "checkout", "--quiet", "main")
    known = fleet.known()["p620"]
    assert isinstance(known, Known)
    assert known.fingerprint.evaluated == system("a")


def test_no_cache_means_none(fleet: KnownFleet) -> None:
    """What is known does not count; what is evaluated then takes its place."""
    fleet.run(1)
    assert reasons(fleet, use=False) == {"what is known is not to be used"}
    fleet.systems["p620"] = system("x")
    fleet.run(2, use=False)
    known = fleet.known()["p620"]
    assert isinstance(known, Known)
    assert (known.fingerprint.run, known.fingerprint.evaluated) == (2, system("x"))


# Where the tree cannot be told.


def test_a_fleet_in_no_repository_is_evaluated(fleet: KnownFleet) -> None:
    """A fleet in no git repository is evaluated each time, which is no error."""
    shutil.rmtree(fleet.root / ".git")
    assert reasons(fleet) == {"the fleet is in no git repository"}
    assert fleet.run(1) is None
    assert not fleet.database.exists()


def test_a_machine_without_git_evaluates(
    fleet: KnownFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program is not there at all."""
    fleet.run(1)
    monkeypatch.setenv("PATH", str(tmp_path))
    (reason,) = reasons(fleet)
    assert "git could not be started" in reason


def test_a_flake_that_is_a_url_is_evaluated(fleet: KnownFleet) -> None:
    """A fleet whose flake is a URL is evaluated each time, since its files are not here."""
    flake = Flake("github:a/b", str(fleet.root))
    fleet.setup = replace(fleet.setup, flake=flake)
    assert reasons(fleet) == {"the flake is given by a URL"}
    assert fleet.run(1) is None


def test_an_input_that_may_change_unseen_is_evaluated(fleet: KnownFleet) -> None:
    """An input that may change unseen is a reason to evaluate, though a person gave it."""
    fleet.override(("nixpkgs", "github:NixOS/nixpkgs"))
    assert reasons(fleet) == {"the input github:NixOS/nixpkgs may change unseen"}


def test_another_nix_makes_all_unknown(fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """With other settings of Nix nothing is known; with the old ones all is known again."""
    fleet.run(1)
    monkeypatch.setenv("NIX_CONFIG", "cores = 1")
    assert reasons(fleet) == {"it was not evaluated before"}
    monkeypatch.delenv("NIX_CONFIG")
    assert reasons(fleet) == {""}


# What is not kept.


def edit(fleet: KnownFleet) -> None:
    """Change a file."""
    fleet.write("README")


def edit_and_undo(fleet: KnownFleet) -> None:
    """Change a file and put it back."""
    text = (fleet.root / "README").read_text()
    fleet.write("README")
    fleet.write("README", text)


def commit(fleet: KnownFleet) -> None:
    """Move on to another commit of the same files."""
    fleet.commit()


def commit_and_undo(fleet: KnownFleet) -> None:
    """Move on and back."""
    fleet.commit()
    git(fleet.root, "reset", "--quiet", "--soft", "HEAD~1")


def settings(fleet: KnownFleet) -> None:
    """Change Nix's settings."""
    os.environ["NIX_CONFIG"] = "cores = 1"


def disappear(fleet: KnownFleet) -> None:
    """Take the repository away."""
    shutil.rmtree(fleet.root / ".git", ignore_errors=True)


MOVES = [edit, edit_and_undo, commit, commit_and_undo, disappear]


@pytest.mark.parametrize("move", MOVES, ids=lambda one: one.__name__)
def test_what_moves_while_nix_evaluates_is_not_what_it_evaluates(
    fleet: KnownFleet, tmp_path: Path, move: Callable[[KnownFleet], None]
) -> None:
    """What was there at the beginning is known afterwards, and what is there then is not."""
    shutil.copytree(fleet.root, tmp_path / "before", symlinks=True)
    fleet.during = lambda: move(fleet)
    assert fleet.run(1, names=("p620",)) is None
    assert ("" in reasons(fleet)) == move.__name__.endswith("_undo")
    shutil.rmtree(fleet.root)
    (tmp_path / "before").rename(fleet.root)
    assert isinstance(fleet.known()["p620"], Known)


def test_settings_that_move_while_nix_evaluates_keep_nothing(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept where Nix's settings change while it evaluates."""
    monkeypatch.setenv("NIX_CONFIG", "")
    fleet.during = lambda: settings(fleet)
    assert fleet.run(1) is None
    assert not fleet.database.exists()


def test_what_does_not_move_is_kept(fleet: KnownFleet) -> None:
    """A file that git does not track, or a look at the state of things, is no move."""
    fleet.during = lambda: (fleet.root / "new").touch() or bool(git(fleet.root, "status"))
    fleet.run(1)
    assert reasons(fleet) == {""}


def test_inputs_that_float_are_told_and_nothing_is_kept(fleet: KnownFleet) -> None:
    """A person can mend that, by a lock file."""
    nodes = {"nixpkgs": {"locked": {"type": "github", "rev": "c"}}, "root": {}}
    fleet.metadata = json.dumps({"locks": {"nodes": nodes, "root": "root"}})
    assert fleet.run(1) == "every run evaluates: flake.lock does not pin nixpkgs"
    assert not fleet.database.exists()


def test_a_lock_file_that_is_not_tracked_pins_nothing(fleet: KnownFleet) -> None:
    """Nix does not read it; where it is tracked, it does."""
    locks = {"nodes": {"a": {"locked": {"type": "github", "rev": "c"}}, "root": {}}, "root": "root"}
    fleet.metadata = json.dumps({"locks": locks})
    fleet.write("flake.lock", json.dumps(locks))
    assert fleet.run(1) is not None
    git(fleet.root, "add", "flake.lock")
    assert fleet.run(1) is None
    assert reasons(fleet) == {""}


@pytest.mark.parametrize("metadata", [None, "no JSON", "{}"])
def test_where_nix_does_not_tell_of_inputs_nothing_is_kept(
    fleet: KnownFleet, metadata: str | None
) -> None:
    """Without a word: the deployment went well."""
    fleet.metadata = metadata
    assert fleet.run(1) is None
    assert not fleet.database.exists()


# The database.


def test_a_damaged_database_costs_an_evaluation(fleet: KnownFleet) -> None:
    """A damaged database costs one evaluation, after which it can be used again."""
    fleet.run(1)
    fleet.database.write_bytes(b"garbage" * 1000)
    assert reasons(fleet) == {"it was not evaluated before"}
    fleet.run(2)
    assert reasons(fleet) == {""}


def test_a_database_that_cannot_be_written_changes_no_run(fleet: KnownFleet) -> None:
    """A database that cannot be written changes no run: the next run evaluates again."""
    fleet.setup.state.touch()
    assert fleet.run(1) is None
    assert reasons(fleet) == {"it was not evaluated before"}


def test_another_fleets_database_tells_nothing_of_this_one(
    fleet: KnownFleet, tmp_path: Path
) -> None:
    """Another fleet's database says nothing of this one, even with hosts of the same names."""
    fleet.run(1)
    git(fleet.root, "checkout", "--quiet", "--orphan", "else")
    fleet.write("flake.nix", "another fleet")
    fleet.commit()
    assert reasons(fleet) == {f"flake.nix changed, and {NOT_LEARNED}"}


def test_the_same_commit_elsewhere_is_known(fleet: KnownFleet, tmp_path: Path) -> None:
    """A clone with the database beside it, as CI has it."""
    fleet.run(1)
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", fleet.root, clone], check=True)
    there = replace(fleet.setup.fleet, root=str(clone), flake=str(clone))
    flake = Flake.at(str(clone), str(clone))
    fleet.setup = replace(fleet.setup, fleet=there, flake=flake)
    assert reasons(fleet) == {""}


# What a run says of the fleet.


def test_the_revision_is_the_commit_and_whether_it_is_clean(fleet: KnownFleet) -> None:
    """Asked of git once, and by nobody else."""

    async def revision(*, use: bool = True) -> str | None:
        return await KnownSystems(fleet.setup, tuple(HOSTS.values()), use=use).revision()

    commit = git(fleet.root, "rev-parse", "HEAD")
    assert asyncio.run(revision()) == commit
    fleet.write("README")
    assert asyncio.run(revision()) == f"{commit}-dirty"
    assert asyncio.run(revision(use=False)) == f"{commit}-dirty"
    shutil.rmtree(fleet.root / ".git")
    assert asyncio.run(revision()) is None


def test_all_are_known_or_not(fleet: KnownFleet) -> None:
    """One that is not is enough to need a Nix."""

    async def every() -> bool:
        return await KnownSystems(fleet.setup, tuple(HOSTS.values())).all_known()

    fleet.run(1, names=("p620",))
    assert not asyncio.run(every())
    fleet.run(1)
    assert asyncio.run(every())


# What the inventory says to Nix.


def settle(fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch, **changes: NixSettings) -> None:
    """Give hosts settings of their own."""
    for name, settings in changes.items():
        monkeypatch.setitem(HOSTS, name, replace(HOSTS[name], nix=settings))
    fleet.setup = replace(fleet.setup, fleet=replace(fleet.setup.fleet, hosts=dict(HOSTS)))


def test_an_impure_host_is_evaluated_each_time(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is kept of it, and why is said; the other host is known as ever."""
    settle(fleet, monkeypatch, p620=NixSettings(impure=True))
    fleet.run(1)
    known = fleet.known()
    assert known["p620"] == Unknown(IMPURE)
    assert isinstance(known["razer"], Known)
    lessons = fleet.learn()
    assert (lessons["p620"].problem, lessons["p620"].never) == (IMPURE, True)
    assert lessons["razer"].fingerprint is not None


def test_a_hosts_own_settings_are_its_own(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another option for one host: that one is evaluated, and known with it from then on."""
    fleet.run(1)
    settle(fleet, monkeypatch, p620=NixSettings(options=(("cores", "2"),)))
    known = fleet.known()
    assert known["p620"] == Unknown("it was not evaluated before")
    assert isinstance(known["razer"], Known)
    fleet.systems["p620"] = system("x")
    fleet.run(2)
    known = fleet.known()
    assert isinstance(known["p620"], Known)
    assert known["p620"].fingerprint.evaluated == system("x")


def test_an_input_of_a_hosts_own_that_may_change_unseen(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That host is evaluated each time, which is said, and is no error; the other is known."""
    moving = NixSettings(override_inputs=(("nixpkgs", "github:NixOS/nixpkgs"),))
    settle(fleet, monkeypatch, p620=moving)
    fleet.run(1)
    known = fleet.known()
    assert known["p620"] == Unknown("the input github:NixOS/nixpkgs may change unseen")
    assert isinstance(known["razer"], Known)


def test_a_host_of_another_flake_knows_of_that_one(
    fleet: KnownFleet, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two repositories, one attribute: each host is known by its own repository's files alone."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "flake.nix").write_text("other")
    git(other, "init", "--quiet")
    git(other, "add", "--all")
    monkeypatch.setitem(HOSTS, "razer", replace(HOSTS["razer"], flake=str(other), attr="p620"))
    fleet.run(1)
    assert reasons(fleet) == {""}
    (other / "flake.nix").write_text("edited")
    known = fleet.known()
    assert isinstance(known["p620"], Known)
    assert isinstance(known["razer"], Unknown)
    assert known["razer"].changed == ("flake.nix",)
