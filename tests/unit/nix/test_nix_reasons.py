"""What errors and warnings of Nix's mean: texts that Nix 2.18 to 2.31 print."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.nix import reasons
from orchestrator.nix.flake import Flake


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            "error: unable to download 'https://h/a': Couldn't resolve host name (6)",
            "no network: https://h/a cannot be fetched",
            "run it again",
        ),
        (
            "fatal: unable to access 'https://h/r.git/': Could not resolve host: h\nerror: program",
            "no network: https://h/r.git/ cannot be fetched",
            "run it again",
        ),
        (
            "error: a 'aarch64-linux' with features {} is required to build '/nix/store/x.drv'",
            "this machine does not build for aarch64-linux",
            'emulatedSystems = [ "aarch64-linux" ]',
        ),
        (
            "error: Cannot build '/nix/store/x.drv'.\n  Required system: 'aarch64-linux' with",
            "this machine does not build for aarch64-linux",
            "`build: target`",
        ),
        (
            "fatal: detected dubious ownership in repository at '/srv/a fleet'",
            "",
            "safe.directory '/srv/a fleet'",
        ),
        (
            "error: repository path '/srv/f/.git/' is not owned by current user",
            "",
            "safe.directory /srv/f,",
        ),
        ("error: HTTP error 403: API rate limit exceeded for 1.2.3.4", "", "`access-tokens`"),
        ("error: path '/f' is not part of a flake (neither it", "", "`fleet: {flake: FOLDER}`"),
    ],
)
def test_a_cause_is_known_with_its_cure(said: str, message: str, hint: str) -> None:
    """The same kind in the words of several versions, git's and curl's."""
    found = reasons.reason(said)
    assert found is not None
    assert found.message == message
    assert hint in found.hint
    assert found.network == message.startswith("no network")


@pytest.mark.parametrize(
    "said",
    [
        "error: undefined variable 'x'",
        "error: unable to download 'https://h/a': HTTP error 404",
        "warning: error: unable to download 'https://h/a': timeout; retrying in 1 ms",
    ],
)
def test_what_nix_says_best_is_left_to_it(said: str) -> None:
    """A server that answered is no missing network."""
    assert reasons.reason(said) is None


def test_only_a_file_of_the_fleet_is_one_to_be_added(tmp_path: Path) -> None:
    """A path that leads out of the repository, or to nothing, is no file that git forgot."""
    (tmp_path / "fleet").mkdir()
    (tmp_path / "fleet/a b.nix").write_text("")
    (tmp_path / "out.nix").write_text("")
    flake = Flake(".", str(tmp_path / "fleet"))
    store = f"/nix/store/{'a' * 32}-source"
    found = reasons.untracked(flake, f"error: path '{store}/a b.nix' does not exist")
    assert found is not None
    assert found.hint == f"git -C {tmp_path}/fleet add 'a b.nix'"
    for path in (f"{store}/../out.nix", f"{store}/none.nix", "/etc/passwd"):
        assert reasons.untracked(flake, f"error: path '{path}' does not exist") is None


def test_a_file_of_a_submodule_is_none_to_be_added(tmp_path: Path) -> None:
    """Git has it, in another repository: `git add` would refuse, and it is not what is missing."""
    (tmp_path / "sub/hosts").mkdir(parents=True)
    (tmp_path / "sub/.git").write_text("gitdir: ../.git/modules/sub\n")
    (tmp_path / "sub/hosts/a.nix").write_text("")
    said = f"error: path '/nix/store/{'a' * 32}-source/sub/hosts/a.nix' does not exist"
    found = reasons.untracked(Flake(".", str(tmp_path)), said)
    assert found is not None
    assert found.message.startswith("sub/hosts/a.nix is there, but in a submodule")
    assert "git" not in found.hint


@pytest.mark.parametrize(
    ("line", "heard"),
    [
        ("warning: Git tree '/f' is dirty", None),
        ("warning: error: unable to download 'https://h': x; retrying in 1 ms", None),
        ("warning: input 'a' has an override for a non-existent input 'b'", None),
        ("evaluation warning: an option was renamed", None),
        (
            "warning: ignoring the client-specified setting 'cores', because it is a restricted",
            "Nix warns: ignoring the client-specified setting 'cores', because it is a restricted",
        ),
        (
            "warning: ignoring untrusted flake configuration setting 'post-build-hook'.",
            "the flake's nixConfig is ignored: post-build-hook, which runs a program on this "
            "machine: only its nix.conf may say so",
        ),
        ("warning: unknown setting 'x'", "Nix warns: unknown setting 'x'"),
    ],
)
def test_a_warning_that_counts_is_heard(line: str, heard: str | None) -> None:
    """What Nix says of what it was told to do, or while it tries again, is noise."""
    assert reasons.warning(line) == heard
