"""What is known needs no evaluation; what a change touches is evaluated, and nothing else."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from fleet_bench import REPOSITORY, Bench, Done, until

from orchestrator.core.values import replace

HOSTS = {"p620", "razer", "samsung", "p510", "dex5550"}
WITH_NIX = str(REPOSITORY / "scripts/lib/with-nix")

# Python tells of every process that it starts: https://docs.python.org/3/library/audit_events.html.
SITE = """
import json, os, sys

def hook(event, arguments):
    if event in ("subprocess.Popen", "os.posix_spawn", "os.exec"):
        with open(os.environ["STARTED"], "a") as log:
            print(json.dumps([str(word) for word in arguments[1]]), file=log)

sys.addaudithook(hook)
"""

pytestmark = pytest.mark.lab


def watched(fleet: Bench, folder: Path, *arguments: str) -> tuple[Done, list[list[str]]]:
    """Deploy, and take down each process that the command starts."""
    log = folder / "started"
    log.write_text("")
    (folder / "sitecustomize.py").write_text(SITE)
    more = {**fleet.more, "PYTHONPATH": str(folder), "STARTED": str(log)}
    done = replace(fleet, more=more).deploy(*arguments)
    return done, [json.loads(line) for line in log.read_text().splitlines()]


def others(started: list[list[str]]) -> list[list[str]]:
    """Those processes that are neither git's nor ssh's word on ssh_config, of which a lab has one.

    Before anything else, a lab looks whether the machine has a Nix of its own.
    """
    return [
        argv
        for argv in started
        if argv[1:] != ["--version"]
        and Path(argv[0]).name != "git"
        and not (Path(argv[0]).name == "ssh" and "-G" in argv)
    ]


def recalled(done: Done) -> dict[str, bool]:
    """Of each host, whether its system was known."""
    events = [event for event in done.events if event["type"] == "recalled"]
    return {event["host"]: event["known"] for event in events}


def evaluated(done: Done) -> set[str]:
    """The hosts that were evaluated."""
    events = [event for event in done.events if event["type"] == "phase"]
    return {event["host"] for event in events if event["phase"] == "evaluate"}


def why(fleet: Bench, host: str) -> dict[str, Any]:
    """What ``why`` says of a host."""
    done = fleet.run("changes", "why", host, "--json")
    assert done.rc == 0, done
    found = json.loads(done.out)
    assert isinstance(found, dict)
    return found


def append(fleet: Bench, name: str, text: str) -> None:
    """Add a line to a file of the fleet."""
    fleet.write(name, (fleet.root / name).read_text() + text)


def database(fleet: Bench) -> Path:
    """Where the fleet's fingerprints are kept."""
    (found,) = (fleet.home / "state/orchestrator/fleets").glob("*/fingerprints.db")
    return found


@pytest.fixture
def learned(fleet: Bench) -> Bench:
    """The five hosts, what they read learned."""
    done = fleet.run("changes", "learn")
    assert done.rc == 0, done
    return fleet


def test_an_unchanged_fleet_is_recognized_without_a_nix(fleet: Bench, tmp_path: Path) -> None:
    """Five "unchanged", each with its reason; git and ssh's reading of its files, nothing else."""
    done, started = watched(fleet, tmp_path)
    assert done.outcomes == dict.fromkeys(HOSTS, "unchanged")
    assert recalled(done) == dict.fromkeys(HOSTS, True)
    for host in done.report["hosts"].values():
        assert host["reason"].startswith("no file changed since run ")
        assert "; it runs that system" in host["reason"]
    assert others(started) == []
    assert any(Path(argv[0]).name == "git" for argv in started)


def test_what_is_learned_names_files_of_its_own(learned: Bench) -> None:
    """A host reads its own folder and its template, and no other host's."""
    found = why(learned, "p510")
    assert found["known"] is True
    assert found["whole_tree"] is None
    paths = {read["path"] for read in found["reads"] if read["asked"] == "content"}
    assert {"flake.nix", "inventory/fleet.json", "hosts/p510/default.nix"} <= paths
    assert not any(path.startswith("hosts/razer/") for path in paths)
    assert found["files"] == len(paths)


def test_an_unread_file_changes_nobody(learned: Bench, tmp_path: Path) -> None:
    """Added, edited, committed: no evaluation, and the reason counts the files that are read."""
    learned.write("NOTES.md", "nobody reads this")
    append(learned, "justfile", "\n# nor this\n")
    files = why(learned, "p620")["files"]
    done, started = watched(learned, tmp_path)
    assert done.outcomes == dict.fromkeys(HOSTS, "unchanged")
    reason = done.report["hosts"]["p620"]["reason"]
    assert reason.startswith(f"none of the {files} files that it reads changed since run ")
    assert others(started) == []
    assert learned.run("changes", "affected").out == ""


def test_a_change_is_evaluated_where_it_is_read(learned: Bench) -> None:
    """A template's hosts are evaluated and deployed; the three others are known and unchanged."""
    before = {name: learned.state(name)["running"] for name in HOSTS}
    text = (learned.root / "templates/laptop.nix").read_text()
    head, _, tail = text.rpartition("}")
    # No edit of another test or time: what was ever built here can be compared.
    edit = f'environment.etc."fleet/detected".text = "{uuid.uuid4()}";'
    learned.write("templates/laptop.nix", f"{head}  {edit}\n}}{tail}")
    laptops = {"razer", "samsung"}
    assert set(learned.run("changes", "affected").out.split()) == laptops
    found = why(learned, "razer")
    assert (found["known"], found["changed"]) == (False, ["templates/laptop.nix"])

    plan = learned.run("plan", "--json", "razer").report["hosts"]["razer"]
    assert plan["reason"].startswith("templates/laptop.nix changed; what that changes is known ")

    # What the plan evaluated is known from then on: another edit, so that something is not.
    learned.write("templates/laptop.nix", f"{head}  {edit}\n}}{tail}# a comment\n")
    done = learned.deploy()
    assert done.rc == 0, done
    assert evaluated(done) == laptops
    assert recalled(done) == {name: name not in laptops for name in HOSTS}
    for name in HOSTS:
        outcome = done.report["hosts"][name]
        assert outcome["outcome"] == ("deployed" if name in laptops else "unchanged")
        assert (learned.state(name)["running"] != before[name]) == (name in laptops)


def test_a_change_without_effect_is_evaluated_and_nothing_more(learned: Bench) -> None:
    """A comment: the same system, and the reason says both."""
    append(learned, "hosts/p510/default.nix", "# a comment\n")
    done = learned.deploy("p510")
    assert evaluated(done) == {"p510"}
    assert done.outcomes == {"p510": "unchanged"}
    reason = done.report["hosts"]["p510"]["reason"]
    assert reason.startswith("hosts/p510/default.nix changed, its system did not: already runs ")


def test_a_known_system_that_the_host_does_not_run_is_deployed_without_evaluation(
    learned: Bench,
) -> None:
    """There and back: the way back is known, and goes straight to build and copy."""
    before = learned.state("p510")["running"]
    learned.module("p510", 'environment.etc."marker".text = "there";')
    assert learned.deploy("p510").outcomes == {"p510": "deployed"}
    learned.reset()
    done = learned.deploy("p510")
    assert done.outcomes == {"p510": "deployed"}
    assert evaluated(done) == set()
    assert learned.state("p510")["running"] == before


def test_a_derivation_that_was_collected_is_evaluated_again(learned: Bench, tmp_path: Path) -> None:
    """Where it is needed; where the host runs its system, nobody misses it."""
    drv = why(learned, "p510")["drv_path"]
    gone = learned.command(WITH_NIX, "nix-store", "--delete", "--ignore-liveness", drv)
    assert gone.rc == 0, gone
    done, started = watched(learned, tmp_path, "p510")
    assert done.outcomes == {"p510": "unchanged"}
    assert others(started) == []

    forced = learned.deploy("p510", "--force")
    assert evaluated(forced) == {"p510"}
    assert forced.outcomes == {"p510": "deployed"}


@pytest.mark.parametrize("damage", [b"", b"garbage" * 999], ids=["empty", "garbage"])
def test_a_damaged_database_costs_an_evaluation_only(learned: Bench, damage: bytes) -> None:
    """All are evaluated and unchanged; the next run knows again."""
    database(learned).write_bytes(damage)
    done = learned.deploy()
    assert evaluated(done) == HOSTS
    assert done.outcomes == dict.fromkeys(HOSTS, "unchanged")
    assert recalled(learned.deploy()) == dict.fromkeys(HOSTS, True)


def test_no_cache_evaluates(learned: Bench) -> None:
    """``--no-cache`` evaluates whatever is known, and what it found is known afterwards."""
    done = learned.deploy("p510", "--no-cache")
    assert evaluated(done) == {"p510"}
    assert done.outcomes == {"p510": "unchanged"}
    assert why(learned, "p510")["known"] is True


def test_affected_since_a_commit(learned: Bench) -> None:
    """What CI builds: of two commits, one that a host reads and one that nobody does."""
    append(learned, "hosts/p510/default.nix", "# a comment\n")
    learned.write("NOTES.md", "nobody reads this")
    first = learned.command("git", "rev-parse", "HEAD").out.strip()
    for name in ("hosts", "NOTES.md"):
        learned.command("git", "add", name)
        assert learned.command("git", "commit", "--quiet", "-m", name).rc == 0
    try:
        assert learned.run("changes", "affected", "--since", "HEAD").out == "p510\n"
        assert learned.run("changes", "affected", "--since", "HEAD~2").out == "p510\n"
        found = learned.run("changes", "affected", "--since", "HEAD~2", "--json")
        assert json.loads(found.out) == {"p510": "hosts/p510/default.nix changed"}
        # Once it is learned, too, both ends are known to be the same system.
        assert learned.run("changes", "learn", "p510").rc == 0
        assert learned.run("changes", "affected", "--since", "HEAD~2").out == ""
    finally:
        assert learned.command("git", "reset", "--quiet", "--hard", first).rc == 0


def test_a_deployment_that_evaluated_learns_afterwards(fleet: Bench) -> None:
    """In the background, when it has ended: what it evaluated, and the rest of the fleet."""
    append(fleet, "flake.nix", "# a comment\n")
    done = replace(fleet, more={"ORCHESTRATOR_LEARN": ""}).deploy("p510")
    assert evaluated(done) == {"p510"}
    until(lambda: all(why(fleet, name).get("reads") for name in HOSTS), 120)
    lock = database(fleet).with_name("learn.lock")
    until(lambda: lock.read_text() == "")
