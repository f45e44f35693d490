"""Two clones of one fleet deploy to a real host, the older one second."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from fleet_bench import Bench, Done, example_fleet, in_lab

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOST = "dex5550"


def commit(fleet: Bench, message: str) -> None:
    """Commit what was edited."""
    done = fleet.command("git", "commit", "--quiet", "--all", "--message", message)
    assert done.rc == 0, done


def configured(fleet: Bench, body: str) -> None:
    """Give the host something to be deployed."""
    fleet.write(f"hosts/{HOST}/more.nix", f"{{\n  {body}\n}}\n")


def marked(fleet: Bench, text: str) -> None:
    """Give the host a file to be deployed."""
    configured(fleet, f'environment.etc."marker".text = "{text}";')


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Bench, Bench]]:
    """Two clones whose hosts are the same lab's; the first one deployed a commit more."""
    newer = example_fleet(tmp_path_factory.mktemp("older"))
    root, own = newer.root.with_name("clone"), f"hosts/{HOST}"
    newer.write(f"{own}/plain.nix", (newer.root / own / "default.nix").read_text())
    newer.write(f"{own}/default.nix", "{ imports = [ ./plain.nix ./more.nix ]; }\n")
    marked(newer, "older")
    commit(newer, "first")
    with in_lab(newer, HOST):
        assert newer.deploy(HOST).rc == 0
        assert newer.command("git", "clone", "--quiet", ".", str(root)).rc == 0
        older = Bench(root, newer.home)
        for key, value in (("name", "lab"), ("email", "lab@localhost")):
            assert older.command("git", "config", f"user.{key}", value).rc == 0
        lab, key = newer.lab_folder, hashlib.sha256(str(root).encode()).hexdigest()[:8]
        shutil.copytree(lab, lab.with_name(key), ignore=shutil.ignore_patterns("hosts"))
        marked(newer, "newer")
        commit(newer, "a marker")
        done = newer.deploy(HOST)
        assert done.rc == 0, done
        yield newer, older


def host_of(done: Done) -> dict[str, Any]:
    """What the report says of the host."""
    host: dict[str, Any] = done.report["hosts"][HOST]
    return host


def refused(fleet: Bench, done: Done, before: dict[str, Any]) -> dict[str, Any]:
    """What the report says of a host that was left as it was."""
    host = host_of(done)
    assert (done.rc, host["refused"], host["checks"]) == (4, True, ["older"]), done
    after = fleet.state(HOST)
    for key in ("running", "profile", "boot_default"):
        assert after[key] == before[key]
    return host


def test_the_older_of_two_clones_is_refused(clones: tuple[Bench, Bench]) -> None:
    """Both commits are named; ``plan`` says so before, and what is pending is refused as well."""
    newer, older = clones
    before = newer.state(HOST)
    planned = older.run("plan", HOST)
    assert "preflight would refuse: a step backwards" in planned.out + planned.err, planned
    compared = older.run("diff", HOST, "--json")
    (warning,) = json.loads(compared.out)["warnings"]
    assert warning.startswith("preflight would refuse: a step backwards"), compared
    host = refused(older, older.deploy(HOST), before)
    for fleet, subject in ((newer, "'a marker', "), (older, "'first', ")):
        head = fleet.command("git", "rev-parse", "HEAD").out[:12]
        assert f"{head} ({subject}" in host["message"], host
    assert "--skip-preflight older" in host["hint"]
    assert older.run("run", "retry").rc == 4

    assert newer.run("lab", "fault", HOST, "partition").rc == 0
    try:
        waits = older.deploy(HOST, "--unreachable", "defer")
        assert host_of(waits)["outcome"] == "deferred", waits
    finally:
        assert newer.run("lab", "fault", HOST, "heal").rc == 0
    delivered = older.run("pending", "deliver", "--json", HOST)
    refused(older, delivered, before)


def test_uncommitted_changes_are_one_folder_s(clones: tuple[Bench, Bench]) -> None:
    """The daily loop passes where it is; from another clone, its changes are not undone.

    An amended commit passes as well, and so does a branch beside: of that a warning tells.
    """
    newer, older = clones
    assert older.command("git", "pull", "--quiet", "--ff-only").rc == 0
    for text in ("one", "two"):
        marked(newer, text)
        done = newer.deploy(HOST)
        assert done.rc == 0, done
        assert not [text for text in host_of(done)["warnings"] if "older" in text]
    host = refused(older, older.deploy(HOST), newer.state(HOST))
    assert "and uncommitted changes" in host["message"]

    commit(newer, "two")
    assert newer.deploy(HOST).rc == 0
    marked(newer, "three")
    assert newer.command("git", "commit", "--quiet", "--amend", "--all", "--no-edit").rc == 0
    done = newer.deploy(HOST)
    assert (done.rc, host_of(done)["outcome"]) == (0, "deployed"), done
    assert not [text for text in host_of(done)["warnings"] if "older" in text]

    marked(older, "aside")
    commit(older, "aside")
    assert older.command("git", "fetch", "--quiet").rc == 0
    done = older.deploy(HOST)
    assert done.rc == 0, done
    (warning,) = [text for text in host_of(done)["warnings"] if "older" in text]
    assert "which diverged: it lacks 1 commit of what is deployed, and has 1 others" in warning


def test_an_older_nixpkgs_is_refused_and_a_rollback_is_not(clones: tuple[Bench, Bench]) -> None:
    """By what NixOS calls its version; what is gone past is recorded on the host."""
    newer, _ = clones
    for date in ("20260601", "20260531"):
        configured(newer, f'system.nixos.version = "26.05.{date}.abcdef1";')
        done = newer.deploy(HOST)
    host = refused(newer, done, newer.state(HOST))
    assert "nixpkgs is older: the host has 26.05.20260601.abcdef1" in host["message"]
    past = newer.deploy(HOST, "--skip-preflight", "older")
    assert past.rc == 0, past
    record = newer.on(HOST, "cat /var/lib/orchestrator/record").out
    assert "\nskipped=older\n" in record
    assert newer.run("rollback", HOST).rc == 0
    assert newer.run("rollback", HOST).rc == 0
