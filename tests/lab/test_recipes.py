"""The failures of the hand-written Justfile, one by one: none of them may come back.

Each test names the old recipe and how it failed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from fleet_bench import REPOSITORY, Bench, Done, pinned, until

pytestmark = [pytest.mark.lab, pytest.mark.rotating]

HOSTS = ["p620", "razer", "samsung", "p510", "dex5550"]


def just(fleet: Bench, *arguments: str) -> Done:
    """Type a recipe."""
    tool = shutil.which("just", path=fleet.environment["PATH"])
    assert tool is not None
    return fleet.command(tool, *arguments)


@pytest.fixture
def broken(fleet: Bench) -> Bench:
    """A fleet in which razer does not evaluate."""
    fleet.module("razer", 'environment.etc."broken".text = throw "razer is broken";')
    return fleet


@pytest.fixture
def unbuildable(fleet: Bench) -> Bench:
    """A fleet in which razer evaluates and does not build."""
    body = 'environment.etc."broken".source = pkgs.runCommand "broken" { } "exit 7";'
    fleet.module("razer", body)
    return fleet


@pytest.fixture
def absent(fleet: Bench) -> Iterator[Bench]:
    """A fleet in which p620 does not answer."""
    assert fleet.run("lab", "fault", "p620", "stop").rc == 0
    yield fleet
    fleet.boot("p620", "start")


def test_quick_deploy_does_not_build_to_find_out(fleet: Bench) -> None:
    """quick-deploy built the whole system to find out whether anything had changed."""
    done = just(fleet, "quick-deploy", "p620", "--json")
    assert done.outcomes == {"p620": "unchanged"}
    phases = {event["phase"] for event in done.events if event["type"] == "phase"}
    assert phases - {"evaluate"} == {"ask"}


def test_quick_deploy_takes_no_answer_for_an_answer(absent: Bench) -> None:
    """quick-deploy let an empty remote answer match anything; a host that was down "changed"."""
    done = just(absent, "quick-deploy", "p620", "--json")
    assert done.rc == 1
    assert done.outcomes == {"p620": "failed"}
    assert done.report["hosts"]["p620"]["step"] == "connect"


def test_quick_deploy_does_not_deploy_what_does_not_build(unbuildable: Bench) -> None:
    """quick-deploy counted a failed build as "changes" and deployed."""
    before = unbuildable.state("razer")["running"]
    done = just(unbuildable, "quick-deploy", "razer", "--json")
    assert done.rc == 1
    assert done.report["hosts"]["razer"]["step"] == "build"
    assert unbuildable.state("razer")["running"] == before


def test_a_hosts_recipe_deploys_that_host(fleet: Bench) -> None:
    """A host's recipe deploys the host of its name, not the machine that it is typed on."""
    for host in ("p620", "razer"):
        fleet.module(host, 'environment.etc."marker".text = "by name";')
    here = Path("/run/current-system")
    before = here.readlink() if here.is_symlink() else None
    done = just(fleet, "p620", "--json")
    assert done.outcomes == {"p620": "deployed"}
    assert fleet.on("p620", "cat /etc/marker").out == "by name"
    assert fleet.on("razer", "test -e /etc/marker").rc != 0
    assert (here.readlink() if here.is_symlink() else None) == before


def test_deploy_is_refused_on_a_machine_that_is_no_host(fleet: Bench) -> None:
    """`deploy` means this machine, and this machine is none of the inventory's hosts."""
    done = just(fleet, "deploy")
    assert done.rc == 2
    assert "machine_id" in done.err


@pytest.mark.parametrize("recipe", ["deploy-all-parallel", "deploy-all"])
def test_deploying_all_tells_a_failure_and_ends_when_all_have_ended(
    broken: Bench, recipe: str
) -> None:
    """One returned 0 with a failed host and switches still running; one always refused."""
    broken.module("p510", 'system.activationScripts.slow.text = "sleep 3";')
    done = just(broken, recipe, "--json")
    assert done.rc == 1
    assert done.outcomes == {
        **dict.fromkeys(HOSTS, "unchanged"),
        "razer": "failed",
        "p510": "deployed",
    }
    units = broken.on("p510", "systemctl list-units --plain --no-legend 'orchestrator-*'")
    assert units.out == ""


def test_quick_all_deploys_nothing_where_one_host_does_not_build(unbuildable: Bench) -> None:
    """quick-all means "deploy all if every host builds", and deployed those that did."""
    unbuildable.module("p510", 'environment.etc."marker".text = "never";')
    done = just(unbuildable, "quick-all", "--json")
    assert done.rc == 1
    assert done.outcomes == {
        **dict.fromkeys(HOSTS, "unchanged"),
        "razer": "failed",
        "p510": "skipped",
    }
    assert unbuildable.on("p510", "test -e /etc/marker").rc != 0


def test_modules_are_tested_one_by_one(fleet: Bench) -> None:
    """A module that no host has yet is wrong before the first one names it."""
    assert just(fleet, "test-modules").rc == 0
    fleet.write("templates/features/new.nix", "{ fleet.nobody.declares = 1; }\n")
    done = just(fleet, "test-modules")
    assert done.rc == 1
    assert "templates/features/new.nix, by itself" in done.err
    assert "1 of " in done.err


@pytest.mark.parametrize("recipe", ["test-all", "test-all-parallel", "quick-test"])
def test_testing_all_tells_a_failing_host(unbuildable: Bench, recipe: str) -> None:
    """A recipe that tests all hosts exits with an error when a host fails, and leaves none out."""
    done = just(unbuildable, recipe, "--json")
    assert done.rc == 1
    assert done.outcomes == {**dict.fromkeys(HOSTS, "completed"), "razer": "failed"}


def test_ci_reports_a_host_that_does_not_build(unbuildable: Bench) -> None:
    """The pipeline left a host out, and took output for failure; JSON has what failed."""
    done = just(unbuildable, "ci", "--json")
    assert done.rc == 1
    found = json.loads(done.out)
    assert not found["ok"]
    assert found["checks"]["syntax"]["ok"]
    build = found["checks"]["build"]
    assert (build["checked"], list(build["errors"])) == (len(HOSTS), ["razer"])


def test_two_tests_at_once_do_not_meet(fleet: Bench) -> None:
    """Two builds at once have run folders of their own, not one log name in /tmp."""
    first, second = (fleet.start("build", "--json") for _ in range(2))
    reports = [json.loads(one.communicate()[0].splitlines()[-1]) for one in (first, second)]
    assert [one["exit_code"] for one in reports] == [0, 0]
    assert reports[0]["folder"] != reports[1]["folder"]


def test_ci_passes_on_a_fleet_that_is_right(fleet: Bench) -> None:
    """A passing test with output was reported as failed."""
    done = just(fleet, "ci", "--json")
    assert done.rc == 0
    found = json.loads(done.out)
    assert all(check["ok"] for check in found["checks"].values())
    assert set(found["checks"]) >= {"inventory", "syntax", "build"}


def test_validate_evaluates_what_exists_and_tells(broken: Bench) -> None:
    """Validate evaluated an attribute that does not exist, and the pipe hid it."""
    done = just(broken, "validate")
    assert done.rc == 1
    assert "razer is broken" in done.err
    assert just(broken, "validate", "p620").rc == 0
    assert just(broken, "validate-quick").rc == 0


def test_check_syntax_exits_non_zero(fleet: Bench) -> None:
    """`just check-syntax` exits with 1 where a file does not parse, and names the file."""
    assert just(fleet, "check-syntax").rc == 0
    fleet.write("templates/wrong.nix", "{ a = ; }\n")
    for recipe in ("check-syntax", "validate-quick"):
        done = just(fleet, recipe)
        assert done.rc == 1
        assert "templates/wrong.nix" in done.err


def test_emergency_deploy_deploys_and_skips_what_it_says(fleet: Bench) -> None:
    """emergency-deploy always refused; normal deploys ran no tests, so it skipped nothing."""
    fleet.write("hosts/dex5550/test_never.py", "def test_never(host):\n    assert False\n")
    fleet.module("dex5550", 'environment.etc."marker".text = "urgent";')
    assert just(fleet, "quick-deploy", "dex5550").rc == 1
    done = just(fleet, "emergency-deploy", "dex5550", "--json", "--emergency", "fire")
    assert done.outcomes == {"dex5550": "deployed"}
    assert just(fleet, "emergency-deploy", "*").rc == 2


def test_deploy_fast_and_local_build_deploy_and_verify(fleet: Bench) -> None:
    """Fewer build steps, or built here whatever the inventory says; none is left unverified."""
    fleet.module("samsung", 'environment.etc."marker".text = "fast";')
    fast = just(fleet, "deploy-fast", "samsung", "--json")
    assert fast.outcomes == {"samsung": "deployed"}
    assert "verify" in {event.get("phase") for event in fast.events}
    fleet.module("samsung", 'environment.etc."marker".text = "local";')
    local = just(fleet, "deploy-local-build", "samsung", "--json")
    assert local.outcomes == {"samsung": "deployed"}


def test_deploy_cached_asks_whether_the_cache_answers(fleet: Bench) -> None:
    """deploy-cached never checked that the cache answers."""
    none = just(fleet, "deploy-cached", "samsung")
    assert none.rc == 4
    assert "no binary cache is configured" in none.err


def test_diff_compares_with_the_hosts_own_system(fleet: Bench) -> None:
    """Diff compared with the local machine's system."""
    fleet.module("dex5550", "environment.systemPackages = [ pkgs.hello ];")
    done = just(fleet, "diff", "dex5550", "--json")
    assert done.rc == 0, done
    found = json.loads(done.out)
    assert found["running"] == fleet.state("dex5550")["running"]
    assert {"package": "hello", "before": [], "after": ["0-stand-in"]} in found["changes"]
    same = just(fleet, "diff", "p620", "--json")
    assert json.loads(same.out)["changes"] == []


def test_ping_hosts_pings_the_hosts(absent: Bench) -> None:
    """`ping-hosts` asks each host by its own name, and exits with 1 if one does not answer."""
    done = just(absent, "ping-hosts", "--json")
    assert done.rc == 1
    answers = {name: host["reachable"] for name, host in json.loads(done.out).items()}
    assert answers == {**dict.fromkeys(HOSTS, True), "p620": False}


def test_updated_pins_are_committed_only_if_every_host_evaluates(
    fleet: Bench, tmp_path: Path
) -> None:
    """The lock moved and was never committed, or was committed and broken."""
    for name in ("fine", "bad"):
        shutil.copytree(fleet.lab_folder / "nixpkgs", tmp_path / name)
    text = (fleet.root / "flake.nix").read_text()

    def pin(name: str) -> None:
        fleet.write("flake.nix", pinned(text, f"{tmp_path}/{name}"))
        subprocess.run(("git", "commit", "-qam", "pins"), cwd=fleet.root, check=True)

    def outside(*arguments: str) -> Done:
        """Pins are moved outside of the lab's network; the lab's Nix serves where there is none."""
        with_nix = str(REPOSITORY / "scripts/lib/with-nix")
        return fleet.command(with_nix, "just", *arguments)

    start = fleet.command("git", "rev-parse", "HEAD").out.strip()
    try:
        pin("fine")
        done = outside("update-flake")
        assert done.rc == 0, done
        committed = fleet.command("git", "show", "--name-only", "--format=%s", "HEAD").out
        assert committed.split("\n\n") == ["flake: update all inputs", "flake.lock\n"]
        (tmp_path / "bad/nixos/default.nix").write_text('throw "bad pins"')
        pin("bad")
        before = (fleet.root / "flake.lock").read_text()
        bad = outside("update-input", "nixpkgs")
        assert bad.rc == 1
        assert "bad pins" in bad.err
        assert (fleet.root / "flake.lock").read_text() == before
        assert fleet.command("git", "status", "--porcelain").out == ""
    finally:
        fleet.command("git", "reset", "--quiet", "--hard", start)


def test_update_deploys_what_changed_with_pins_that_build(fleet: Bench) -> None:
    """Every host evaluates and builds, commit, deployment; else the lock file is as it was."""
    pins = fleet.root.parent / "pins"
    pins.mkdir()
    (pins / "flake.nix").write_text("{ outputs = _: { number = 1; }; }\n")
    flake = fleet.root / "flake.nix"
    start = fleet.command("git", "rev-parse", "HEAD").out.strip()
    with_nix = str(REPOSITORY / "scripts/lib/with-nix")

    def update() -> Done:
        """Pins are moved outside of the lab's network, by the lab's Nix where there is no other."""
        return fleet.command(with_nix, "just", "update", "pins", seconds=300)

    def commit(text: str) -> None:
        flake.write_text(text)
        assert fleet.command("git", "commit", "-qam", "pins").rc == 0

    try:
        text = pinned(flake.read_text(), f"{fleet.lab_folder}/nixpkgs")
        commit(
            text.replace("inputs.nixpkgs", f'inputs.pins.url = "path:{pins}";\n  inputs.nixpkgs', 1)
        )
        for host in HOSTS:
            # What the input says is a part of every system.
            file = fleet.root / f"hosts/{host}/default.nix"
            fleet.write(f"hosts/{host}/plain.nix", file.read_text())
            fleet.write(
                f"hosts/{host}/default.nix",
                "{ inputs, pkgs, ... }: { imports = [ ./plain.nix ];\n"
                '  environment.etc."pins".source = inputs.pins.made or pkgs.writeText "pins"'
                ' "${toString inputs.pins.number}"; }\n',
            )
        fleet.command("git", "commit", "-qam", "pins in systems")
        done = update()
        assert done.rc == 0, done
        assert fleet.on("p510", "cat /etc/pins").out == "1"
        head = fleet.command("git", "log", "-1", "--format=%s").out.strip()
        assert head == "flake: update pins"

        before = (fleet.root / "flake.lock").read_text()
        (pins / "flake.nix").write_text(
            '{ outputs = _: { made = derivation { name = "pins"; system = "x86_64-linux";'
            ' builder = "/nowhere"; }; }; }\n'
        )
        bad = update()
        assert bad.rc == 1, bad
        assert "flake.lock is put back as it was" in bad.err
        assert (fleet.root / "flake.lock").read_text() == before
        assert fleet.on("p510", "cat /etc/pins").out == "1"
        assert fleet.command("git", "status", "--porcelain").out == ""
    finally:
        fleet.command("git", "reset", "--quiet", "--hard", start)
        back = fleet.deploy("--skip-preflight", "older")
        assert back.rc == 0, back


def test_every_recipe_is_one_call(fleet: Bench) -> None:
    """The recipes' names are those that people type, and none has logic of its own."""
    done = just(fleet, "--dump", "--dump-format", "json")
    recipes = json.loads(done.out)["recipes"]
    wanted = {
        *("validate", "validate-quick", "check-syntax", "format", "test-host", "test-all"),
        *("test-all-parallel", "quick-test", "quick-all", "ci", "deploy", "quick-deploy"),
        *("deploy-fast", "deploy-local-build", "deploy-cached", "deploy-all"),
        *("deploy-all-parallel", "emergency-deploy", "ping-hosts", "diff", "update-flake"),
        *("update-input", "update", "test-modules", *HOSTS),
    }
    assert wanted <= recipes.keys()
    text = (fleet.root / "justfile").read_text()
    bodies = re.findall(r"^[a-z][a-z0-9-]*[^\n]*:\n((?:    .*\n)+)", text, re.MULTILINE)
    assert len(bodies) >= len(wanted)
    for body in bodies:
        assert len(body.splitlines()) == 1, body


def test_format_formats_with_the_formatter_that_is_there(fleet: Bench, tmp_path: Path) -> None:
    """Format changes what the formatter changes, and with --check nothing."""
    none = just(fleet, "format")
    assert none.rc == 2
    assert "nixfmt" in none.err
    tool = tmp_path / "nixfmt"
    tool.write_text("#!/bin/sh\nfor file; do sed -i 's/[ \\t]*$//' \"$file\"; done\n")
    tool.chmod(0o755)
    fleet.more["PATH"] = f"{tmp_path}:{fleet.environment['PATH']}"
    try:
        untidy = "{ }   \n"
        fleet.write("templates/untidy.nix", untidy)
        assert just(fleet, "format", "--check").rc == 1
        assert (fleet.root / "templates/untidy.nix").read_text() == untidy
        assert just(fleet, "format").rc == 0
        assert (fleet.root / "templates/untidy.nix").read_text() == "{ }\n"
    finally:
        del fleet.more["PATH"]


def test_a_run_that_is_killed_leaves_its_host_and_the_next_run_succeeds(fleet: Bench) -> None:
    """SIGKILL in the middle of an activation: the next run is right, and leaves no unit."""
    fleet.module("samsung", 'system.activationScripts.slow.text = "sleep 3";')
    process = fleet.start("deploy", "--json", "samsung")
    until(lambda: "orchestrator-" in fleet.on("samsung", "systemctl list-units 'orch*'").out)
    process.kill()
    process.communicate()
    done = fleet.deploy("samsung")
    assert done.rc == 0, done
    assert "orchestrator-" not in fleet.on("samsung", "systemctl list-units 'orch*'").out
    state = fleet.state("samsung")
    assert state["running"] == state["profile"] == state["boot_default"]
