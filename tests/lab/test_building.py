"""What is ready is built by one `nix build`; what does not build fails its own host alone."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from fleet_bench import HOSTS, Bench, Done, log_of

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

BAD = "p510"
FAILS = 'environment.etc."bad".source = pkgs.runCommand "breaks" { } "echo the last words; exit 3";'


def builds(done: Done) -> dict[str, set[str]]:
    """Each `nix build` of a run and the hosts that it was for, by the hosts' logs."""
    found: dict[str, set[str]] = {}
    for host in HOSTS:
        log = log_of(done.report["folder"], host)
        for number in re.findall(r"nix build (\d+), for", log):
            found.setdefault(number, set()).add(host)
    return found


def marker(host: str) -> str:
    """A change that no store has built before: this machine's outlives the lab."""
    return f'environment.etc."marker".text = "{host} {uuid4()}";'


def all_changed(fleet: Bench) -> None:
    """Change every host."""
    for host in HOSTS:
        fleet.module(host, marker(host))


def test_five_hosts_that_are_ready_together_are_one_build(fleet: Bench) -> None:
    """What is known of all five makes them ready at once: one process builds all."""
    all_changed(fleet)
    assert fleet.run("changes", "learn", seconds=600).rc == 0
    done = fleet.run("build", "--json")
    assert set(done.outcomes.values()) == {"completed"}, done
    assert builds(done) == {"1": set(HOSTS)}
    again = fleet.run("build", "--json")
    assert set(again.outcomes.values()) == {"completed"}, again
    assert builds(again) == {}, "what is in the store needs no build"


def test_each_system_is_kept_from_garbage_collection(fleet: Bench) -> None:
    """Built with others or found built, each host's system has its root."""
    all_changed(fleet)
    for done in (fleet.run("build", "--json"), fleet.run("build", "--json")):
        for host in HOSTS:
            root = Path(done.report["folder"]).parents[1] / "roots" / host
            assert str(root.readlink()) == done.report["hosts"][host]["out_path"]


def test_one_that_does_not_build_leaves_four_deployed(fleet: Bench) -> None:
    """The failing host names what failed, its last words, and both commands."""
    all_changed(fleet)
    fleet.module(BAD, FAILS)
    before = fleet.state(BAD)["running"]
    done = fleet.deploy()
    assert done.rc == 1
    assert done.outcomes == {host: "failed" if host == BAD else "deployed" for host in HOSTS}
    assert fleet.state(BAD)["running"] == before
    failed = done.report["hosts"][BAD]
    assert "breaks" in failed["reason"], failed
    assert failed["step"] == "build"
    assert "nix log /nix/store/" in failed["hint"]
    assert "-breaks.drv" in failed["hint"]
    assert failed["command"].startswith("nix build --no-link '/nix/store/")
    assert "the last words" in "\n".join(failed["stderr"])


def test_progress_counts_each_hosts_own_part(fleet: Bench) -> None:
    """A host is told of its own derivations: how many, and never of another's."""
    for host in HOSTS:
        own = f'pkgs.runCommand "own-of-{host}" {{ }} "echo {uuid4()} > $out"'
        fleet.module(host, f'environment.etc."own".source = {own};')
    done = fleet.run("build", "--json")
    told = [event for event in done.events if event["type"] == "progress"]
    for host in HOSTS:
        mine = [event["text"] for event in told if event["host"] == host]
        assert any(re.fullmatch(rf"building own-of-{host} \(\d+ of \d+\)", text) for text in mine)
        assert not any("own-of-" in text and host not in text for text in mine)


def test_a_machine_of_the_inventory_builds(fleet: Bench) -> None:
    """What is new is built on the named machine, reached by Nix's own ssh; its result is used."""
    builders = "builders: ['ssh-ng://root@p510 x86_64-linux - 64']\n"
    fleet.write("inventory/builders.yaml", builders)
    fleet.module("razer", marker("razer"))
    done = fleet.deploy("razer")
    assert done.outcomes == {"razer": "deployed"}, done
    told = [event["text"] for event in done.events if event["type"] == "progress"]
    assert any(" on ssh-ng://root@p510 (" in text for text in told), told
    assert not any(re.fullmatch(r"building \S+ \(.*\)", text) for text in told), told
    wanted = done.report["hosts"]["razer"]["out_path"]
    assert fleet.on("p510", f"nix-store --check-validity {wanted}").rc == 0


def test_a_builder_that_is_down_is_said(fleet: Bench) -> None:
    """Nix says which machine did not answer, and builds here."""
    fleet.write("inventory/builders.yaml", "builders: ['ssh-ng://root@nowhere x86_64-linux - 2']\n")
    fleet.module("razer", marker("razer"))
    done = fleet.run("build", "--json", "razer")
    assert done.outcomes == {"razer": "completed"}, done
    log = log_of(done.report["folder"], "razer")
    assert "ssh-ng://root@nowhere" in log


def test_what_another_host_builds_is_said_and_may_be_forbidden(fleet: Bench) -> None:
    """Root on the builder is root on the host: the plan says it; a host may refuse it."""
    fleet.module("razer", marker("razer"))
    for command in ("plan", "deploy"):
        done = fleet.run(command, "--json", "--build-on", "p510", "razer")
        assert done.outcomes == {"razer": "deployed"}, done
        told = " / ".join(event["text"] for event in done.events if event["type"] == "notice")
        assert "built on p510 and not signed: whoever is root there" in told
    fleet.module("razer", marker("razer"))
    hosts = fleet.root / "inventory/hosts.yaml"
    refuses = "  razer:\n    unsigned_builds: refuse\n    build: p510\n"
    hosts.write_text(hosts.read_text().replace("  razer:\n", refuses))
    before = fleet.state("razer")["running"]
    for command in ("plan", "deploy"):
        done = fleet.run(command, "--json", "razer")
        assert done.rc == 4, done
        assert "unsigned_builds: refuse" in done.report["hosts"]["razer"]["message"]
    assert fleet.state("razer")["running"] == before
    assert fleet.deploy("--build-on", "here", "razer").outcomes == {"razer": "deployed"}
