"""The VM tests of the flake, evaluated on the stand-in; their scripts; what they deploy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from nix_bench import REPOSITORY, Fleet, copy_of_the_tool, example_fleet, this_machine

VM = REPOSITORY / "tests/vm"
TESTS = {
    "vm-agenix": {"deployer", "web"},
    "vm-cache": {"deployer", "web"},
    "vm-container": {"deployer"},
    "vm-grub": {"deployer", "web"},
    "vm-sops": {"deployer", "web"},
    "vm-systemd-boot": {"deployer", "web"},
}
SOPS = """
{ outputs = _: { nixosModules.sops = { lib, ... }: {
    options.sops = lib.mkOption { type = lib.types.anything; };
    config.environment.etc = { };
  }; }; }
"""


@pytest.fixture
def whole(nixpkgs: Path, tmp_path: Path) -> Fleet:
    """The repository as far as its flake goes."""
    fleet = example_fleet(tmp_path / "fleet", nixpkgs)
    copy_of_the_tool(fleet)
    return fleet


@pytest.fixture
def sops_nix(tmp_path: Path) -> tuple[str, str, str]:
    """What gives the flake a sops-nix: a module with its options' root, and nothing else."""
    folder = tmp_path / "sops-nix"
    folder.mkdir()
    (folder / "flake.nix").write_text(SOPS)
    return ("--override-input", "sops-nix", f"path:{folder}")


def value(fleet: Fleet, attribute: str, apply: str, *more: str) -> Any:
    """Evaluate an attribute of the flake to a value."""
    done = fleet.evaluate(attribute, "--apply", apply, *more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_vm_test_evaluates(whole: Fleet, sops_nix: tuple[str, str, str]) -> None:
    """Each VM test is a derivation on both systems, with its machines, named as the check is."""
    apply = """checks: builtins.mapAttrs (_: one: {
      inherit (one) drvPath name;
      nodes = builtins.attrNames one.nodes;
    }) (removeAttrs checks [ "package" "unit" "inventory" "fleet" ])"""
    paths = set()
    for system in ("x86_64-linux", "aarch64-linux"):
        found = value(whole, f"checks.{system}", apply, *sops_nix)
        assert {name: set(one["nodes"]) for name, one in found.items()} == TESTS
        for name, one in found.items():
            assert one["name"] == f"vm-test-run-{name.replace('vm-', 'orchestrator-')}"
        paths |= {one["drvPath"] for one in found.values()}
    assert len(paths) == 2 * len(TESTS)


def test_without_sops_nix_there_is_no_test_of_it(whole: Fleet) -> None:
    """Nobody needs sops-nix for the other outputs: its test is there where it is given."""
    names = value(whole, "checks.x86_64-linux", "builtins.attrNames")
    assert {name for name in names if name.startswith("vm-")} == set(TESTS) - {"vm-sops"}


def test_a_vm_test_does_not_pass_where_nothing_is_run(whole: Fleet) -> None:
    """The stand-in, which has no virtual machines, fails the build of a test and says why."""
    done = whole.nix(
        *("build", "--no-link", "--print-build-logs"),
        f"path:{whole.root}#checks.{this_machine()}.vm-cache",
    )
    assert done.returncode != 0
    assert "evaluated, and not run" in done.stderr


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('{ name = "x"; testscript = ""; }', "The option `testscript' does not exist"),
        ('{ name = "x"; testScript = ""; skipTypecheck = true; }', "skipTypecheck"),
        ('{ name = "x"; testScript = ""; machines.a = { }; }', "machines"),
        ('{ name = "x"; testScript = 1; }', "testScript"),
        ('{ testScript = ""; }', "name"),
        ('{ name = "x"; testScript = ""; skipLint = "yes"; }', "skipLint"),
        (
            '{ name = "x"; testScript = ""; nodes.a.users.users.b.isNormalUsr = true; }',
            "users.users.b.isNormalUsr",
        ),
        (
            '{ name = "x"; testScript = ""; nodes.a.virtualisation.useBootloader = true; }',
            "virtualisation.useBootloader",
        ),
    ],
)
def test_an_argument_that_a_test_does_not_have_is_refused(
    nix: None, nixpkgs: Path, written: str, told: str
) -> None:
    """The stand-in takes a sound test, and none with a wrong option, which it names."""
    sound = '{ name = "x"; testScript = { nodes }: nodes.a.networking.hostName; nodes.a = { }; }'
    assert evaluated(nixpkgs, sound).returncode == 0
    done = evaluated(nixpkgs, written)
    assert done.returncode == 1
    assert told in done.stderr.rpartition("error:")[2], done.stderr


def evaluated(nixpkgs: Path, test: str) -> subprocess.CompletedProcess[str]:
    """Evaluate a test by the stand-in."""
    pkgs = f'(builtins.getFlake "path:{nixpkgs}").legacyPackages.x86_64-linux'
    expression = f"({pkgs}.testers.runNixOSTest {test}).drvPath"
    argv = ("nix", "--extra-experimental-features", "nix-command flakes", "eval", "--impure")
    return subprocess.run(
        (*argv, "--expr", expression), capture_output=True, text=True, timeout=120, check=False
    )


def test_scripts_are_sound_python_for_the_driver(
    whole: Fleet, sops_nix: tuple[str, str, str], tmp_path: Path
) -> None:
    """Each script passes linter and type checker behind what the driver puts in its scope."""
    apply = """checks: builtins.mapAttrs (_: one: one.config.testScriptString or null) checks"""
    found = value(whole, "checks.x86_64-linux", apply, *sops_nix)
    scripts = {name: script for name, script in found.items() if name in TESTS}
    assert set(scripts) == set(TESTS)
    for name, script in scripts.items():
        compile(script, name, "exec")
        (tmp_path / f"{name}.py").write_text(in_scope(script, TESTS[name]))
    files = [tmp_path / f"{name}.py" for name in scripts]
    done = checked("ruff", "check", "--isolated", "--no-cache", "--select", "F", *files)
    assert done.returncode == 0, done.stdout
    for file in files:
        done = checked(
            "mypy",
            "--config-file=",
            "--check-untyped-defs",
            "--cache-dir",
            tmp_path / "cache",
            file,
        )
        assert done.returncode == 0, done.stdout


def in_scope(script: str, machines: set[str]) -> str:
    """Write a script behind what the driver gives it."""
    named = "".join(f"{name} = Machine()\n" for name in sorted(machines))
    return f"{(VM / 'driver.py').read_text()}\n{named}\n{script}"


@pytest.mark.parametrize(
    ("wrong", "tool", "told"),
    [
        ("web.suceed('true')", "mypy", 'has no attribute "suceed"'),
        ("web.wait_for_open_port('22')", "mypy", "incompatible type"),
        ("wbe.succeed('true')", "ruff", "F821"),
        ("def f():\n    web.wait_for_unit()", "mypy", "Missing positional argument"),
    ],
)
def test_a_wrong_script_is_found(tmp_path: Path, wrong: str, tool: str, told: str) -> None:
    """A method, an argument or a machine that the driver does not have is an error."""
    file = tmp_path / "script.py"
    file.write_text(in_scope(wrong, {"web"}))
    arguments = {
        "ruff": ("check", "--isolated", "--no-cache", "--select", "F"),
        "mypy": ("--config-file=", "--check-untyped-defs", "--cache-dir", tmp_path / "cache"),
    }[tool]
    done = checked(tool, *arguments, file)
    assert done.returncode == 1
    assert told in done.stdout, done.stdout


def checked(tool: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a checker of Python."""
    return subprocess.run(
        (sys.executable, "-m", tool, *arguments),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def deployer_folder(whole: Fleet, copy: Path) -> Path:
    """Make the folder of vm-agenix's deployer; return the host's system, as evaluated."""
    check = f"path:{whole.root}#checks.{this_machine()}.vm-agenix.nodes"
    (made,) = printed(whole, f"{check}.deployer.environment.etc.fleet.source")
    shutil.copytree(made, copy)
    subprocess.run(["chmod", "-R", "u+w", copy], check=True)
    (copy / "chosen").mkdir()
    (copy / "chosen/web").write_text("next")
    (direct,) = printed(whole, f"{check}.web.system.build.variants.next")
    return direct


def test_the_deployer_builds_the_system_that_was_evaluated(whole: Fleet, tmp_path: Path) -> None:
    """The deployer's fleet, without nixpkgs, builds the same system but for its own path."""
    direct = deployer_folder(whole, copy := tmp_path / "deployed")
    done = subprocess.run(
        (sys.executable, "-m", "orchestrator", "build", "web", "--json", "--fleet", copy),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    host = json.loads(done.stdout.splitlines()[-1])["hosts"]["web"]
    assert host["outcome"] == "completed"
    system = Path(host["out_path"])
    assert system != direct
    assert (system / "etc/variant").read_text() == "next\n"
    files = [one for one in direct.rglob("*") if one.is_file() and not one.is_symlink()]
    assert len(files) > 10
    for file in files:
        there = (system / file.relative_to(direct)).read_bytes()
        assert there.replace(bytes(system), bytes(direct)) == file.read_bytes(), file


def test_the_host_knows_its_secret_by_the_fleets_path(whole: Fleet, tmp_path: Path) -> None:
    """The encrypted file has one store path, in the host's system and for the deployer."""
    direct = deployer_folder(whole, copy := tmp_path / "deployed")
    expression = f'"${{(import {copy}/age.nix).secrets.token.file}}"'
    done = whole.nix("eval", "--raw", "--impure", "--expr", expression)
    assert done.returncode == 0, done.stderr
    text = "\n".join(file.read_text() for file in direct.iterdir() if file.is_file())
    assert set(re.findall(r"/nix/store/[a-z0-9]{32}-token\.age", text)) == {done.stdout}


def printed(fleet: Fleet, *installables: str) -> list[Path]:
    """Build, and return the paths."""
    done = fleet.nix("build", "--no-link", "--print-out-paths", "--print-build-logs", *installables)
    assert done.returncode == 0, done.stderr
    return [Path(line) for line in done.stdout.split()]
