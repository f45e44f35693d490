"""The root flake's outputs beside the example fleet, evaluated on the stand-in."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from nix_bench import REPOSITORY, Fleet, copy_of_the_tool, this_machine

from orchestrator.lab import image

SYSTEMS = ("x86_64-linux", "aarch64-linux")
VM_TESTS = {f"vm-{name}" for name in ("agenix", "cache", "container", "grub", "systemd-boot")}
PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


@pytest.fixture
def whole(fleet: Fleet) -> Fleet:
    """The fleet with the tool beside it, as the repository has both."""
    copy_of_the_tool(fleet)
    return fleet


def asked(fleet: Fleet, attribute: str, apply: str = "value: value") -> Any:
    """Evaluate an output of the flake to a value."""
    done = fleet.evaluate(attribute, "--apply", apply)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def built(fleet: Fleet, attribute: str) -> Path:
    """Build an output for this machine."""
    done = fleet.nix(
        *("build", "--no-link", "--print-out-paths", "--print-build-logs"),
        f"path:{fleet.root}#{attribute}",
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_every_output_evaluates_for_both_machines(whole: Fleet) -> None:
    """Packages, shell and checks are derivations, and each machine's are its own."""
    for output, names in {
        "packages": {"default", "orchestrator", "image"},
        "devShells": {"default"},
        "checks": {"package", "unit", "inventory", "fleet", *VM_TESTS},
    }.items():
        paths = "builtins.mapAttrs (_: builtins.mapAttrs (_: one: one.drvPath))"
        found = asked(whole, output, paths)
        assert set(found) == set(SYSTEMS), output
        assert all(set(found[system]) == names for system in SYSTEMS), output
        assert not set(found[SYSTEMS[0]].values()) & set(found[SYSTEMS[1]].values()), output
    package = asked(whole, "packages.x86_64-linux.default.drvPath")
    assert package == asked(whole, "packages.x86_64-linux.orchestrator.drvPath")
    app = asked(whole, "apps.x86_64-linux.default")
    assert app["type"] == "app"
    assert app["program"].endswith(f"-orchestrator-{PROJECT['version']}/bin/orchestrator")
    final = "{ callPackage = file: _: baseNameOf file; }"
    overlay = f"overlay: (overlay {final} {{ }}).orchestrator"
    assert asked(whole, "overlays.default", overlay) == "package.nix"


def test_nix_finds_every_output_well_formed(whole: Fleet) -> None:
    """`nix flake check` takes all that the flake offers, for both machines, without building it."""
    done = whole.nix("flake", "check", "--no-build", "--all-systems", f"path:{whole.root}")
    assert done.returncode == 0, done.stderr
    assert "unknown flake output" not in done.stderr


def test_the_package_is_what_pyproject_says(whole: Fleet) -> None:
    """Version, licence and description are those of pyproject.toml, and so is every dependency."""
    package = "packages.x86_64-linux.default"
    assert asked(whole, f"{package}.version") == PROJECT["version"]
    meta = asked(whole, f"{package}.meta")
    assert meta["description"] == PROJECT["description"]
    assert meta["mainProgram"] in PROJECT["scripts"]
    assert meta["license"]["spdxId"] == PROJECT["license"]
    assert set(SYSTEMS) <= set(meta["platforms"])
    names = asked(whole, f"{package}.runtime", "map (one: one.pname)")
    wanted = [re.split(r"[^A-Za-z0-9_.-]", one)[0].lower() for one in PROJECT["dependencies"]]
    assert names == wanted


def test_a_dependency_that_nixpkgs_has_not_is_an_error(whole: Fleet) -> None:
    """A name in pyproject.toml that is no package of nixpkgs stops the evaluation, by name."""
    whole.replace("pyproject.toml", '"pyyaml>=6"', '"pyyaml>=6", "no-such-package"')
    done = whole.evaluate("packages.x86_64-linux.default.drvPath")
    assert done.returncode == 1
    assert "no-such-package" in done.stderr


def test_the_source_is_no_more_than_the_package(whole: Fleet) -> None:
    """The package has its own files; documentation, tests and the fleet do not rebuild it."""
    package = "packages.x86_64-linux.default"
    before = asked(whole, f"{package}.drvPath")
    source = built(whole, f"packages.{this_machine()}.default") / "source"
    assert {one.name for one in source.iterdir()} == {
        *("pyproject.toml", "README.md", "LICENSE", "orchestrator"),
    }
    assert (source / "orchestrator/lab/nixpkgs/flake.nix").is_file()
    whole.replace("templates/base.nix", "pkgs.vim", "pkgs.htop")
    assert asked(whole, f"{package}.drvPath") == before
    whole.replace("orchestrator/__main__.py", "\n", "\n# changed\n")
    assert asked(whole, f"{package}.drvPath") != before


def test_no_host_depends_on_the_tool(whole: Fleet) -> None:
    """The tool's source, its packaging and pyproject.toml are no part of any host's system."""
    before = whole.systems()
    for part in ("nix", "orchestrator"):
        shutil.rmtree(whole.root / part)
    (whole.root / "pyproject.toml").unlink()
    assert whole.systems() == before


def test_what_nixpkgs_lacks_is_what_the_lock_names() -> None:
    """Files that nix/python.nix fetches have the versions and hashes of requirements.lock."""
    text = (REPOSITORY / "nix/python.nix").read_text()
    lock = (REPOSITORY / "requirements.lock").read_text()
    versions = dict(re.findall(r'pname = "([a-z]+)";\s+version = "([0-9.]+)"', text))
    assert set(versions) == {"pyrage", "click"}
    hashes = re.findall(r'"sha256-([A-Za-z0-9+/=]{44})"', text)
    assert len(hashes) == 3
    entries = {
        name: re.search(rf"^{name}==(\S+) \\\n((?:    --hash=\S+(?: \\)?\n)+)", lock, re.MULTILINE)
        for name in versions
    }
    known = ""
    for name, entry in entries.items():
        assert entry is not None, name
        assert entry[1] == versions[name], name
        known += entry[2]
    for one in hashes:
        assert f"sha256:{base64.b64decode(one).hex()}" in known, one


def test_an_older_click_is_replaced_by_the_locked_one(whole: Fleet) -> None:
    """The click of nixpkgs counts where it is as new as pyproject.toml asks, else ours."""
    (bound,) = (one for one in PROJECT["dependencies"] if one.startswith("click"))
    asks = re.search(r"versionAtLeast prev.click.version \"([0-9.]+)\"", python := _python_nix())
    assert asks is not None, python
    assert bound == f"click>={asks[1]}"
    find = 'all: (builtins.head (builtins.filter (one: one.pname == "click") all)).version'
    runtime = "packages.x86_64-linux.default.runtime"
    assert asked(whole, runtime, find) == "8.5.1"
    packaging = whole.nixpkgs / "pkgs/python.nix"
    newer = packaging.read_text().replace('version = "8.1.8"', 'version = "9.0"')
    nixpkgs = whole.root.parent / "newer"
    shutil.copytree(whole.nixpkgs, nixpkgs)
    (nixpkgs / "pkgs/python.nix").write_text(newer)
    assert asked(Fleet(whole.root, nixpkgs), runtime, find) == "9.0"


def _python_nix() -> str:
    return (REPOSITORY / "nix/python.nix").read_text()


def test_the_image_has_what_ci_runs(whole: Fleet) -> None:
    """The image lists the tool and the programs that it runs, and says where they are."""
    config, *contents = built(whole, f"packages.{this_machine()}.image").read_text().splitlines()
    names = {re.sub(r"^/nix/store/[a-z0-9]{32}-", "", one) for one in contents}
    for program in ("nix", "openssh", "git", "age", f"orchestrator-{PROJECT['version']}"):
        assert any(name.startswith(program) for name in names), (program, names)
    said = json.loads(config)
    assert "PATH=/bin" in said["Env"]
    written = {
        file.name: file.read_text()
        for one in contents
        for file in Path(one, "etc").rglob("*")
        if file.is_file()
    }
    assert "experimental-features = nix-command flakes\n" in written["nix.conf"]
    # Where OpenSSH looks for keys and trust is where the tool does.
    home = written["passwd"].split(":")[5]
    assert {f"HOME={home}", "USER=root"} <= set(said["Env"])
    assert said["WorkingDir"] == home


# The module.


def watching(fleet: Fleet, settings: str = "") -> None:
    """Give p620 the service, with an account for it."""
    fleet.module(
        "p620",
        f"""{{ inputs, lib, ... }}: {{
          imports = [
            inputs.self.nixosModules.orchestrator
            {{ services.orchestrator.watch = {{ {settings} }}; }}
          ];
          users.users.ops.isNormalUser = true;
          services.orchestrator.watch = {{ enable = true; fleet = "/srv/fleet"; user = "ops"; }};
        }}""",
    )


def test_the_watch_service(whole: Fleet) -> None:
    """The unit runs the flake's own package as the user who deploys, in the fleet, confined."""
    watching(whole, 'interval = "5m"; environment.SSH_AUTH_SOCK = "/run/agent";')
    unit = whole.option("p620", "systemd.services.orchestrator-watch.serviceConfig")
    program, *words = unit["ExecStart"].split()
    package = asked(whole, "packages.x86_64-linux.default.outPath")
    assert program == f"{package}/bin/orchestrator"
    assert words == ["pending", "deliver", "--watch", "--fleet", "/srv/fleet", "--interval", "5m"]
    assert unit["User"] == "ops"
    assert unit["Type"] == "notify"
    assert unit["ReadWritePaths"] == [
        *("/srv/fleet", "/home/ops/.cache", "/home/ops/.local/state"),
    ]
    made = [one.split()[1] for one in whole.option("p620", "systemd.tmpfiles.rules")]
    assert set(unit["ReadWritePaths"]) <= {"/srv/fleet", *made}
    assert unit["ProtectSystem"] == "strict"
    assert unit["NoNewPrivileges"] is True
    environment = whole.option("p620", "systemd.services.orchestrator-watch.environment")
    assert environment == {"NIX_REMOTE": "daemon", "SSH_AUTH_SOCK": "/run/agent"}
    assert whole.option("p620", "systemd.services.orchestrator-watch.restartIfChanged") is False


def test_the_command_of_the_service_is_one_that_there_is(whole: Fleet) -> None:
    """What the unit starts is a command of this version, with options that it takes."""
    watching(whole)
    unit = whole.option("p620", "systemd.services.orchestrator-watch.serviceConfig")
    words = unit["ExecStart"].split()[1:]
    name = itertools.takewhile(lambda word: not word.startswith("-"), words)
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", *name, "--help"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    options = {word for word in words if word.startswith("--")}
    assert options == {"--watch", "--fleet", "--interval"}
    assert options <= set(re.findall(r"^ +(--[a-z-]+)", done.stdout, re.MULTILINE)), done.stdout


def analyzed(unit: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Ask `systemd-analyze` of the lab's hosts: a machine that tests may have none."""
    rootfs = image.ensure(print).rootfs
    script = (
        'root=$1 unit=$2; shift 2; mount -t tmpfs none "$root/tmp"; cp "$unit" "$root/tmp/"; '
        'mount -t proc proc "$root/proc"; exec chroot "$root" systemd-analyze "$@"'
    )
    argv = ("unshare", "--mount", "sh", "-euc", script, "sh", rootfs, unit, *words)
    return subprocess.run(
        (*argv, f"/tmp/{unit.name}"),
        capture_output=True,
        text=True,
        check=False,
    )


def test_systemd_takes_the_unit(whole: Fleet, tmp_path: Path) -> None:
    """Every line of the unit is one that systemd knows, and it finds the unit well confined."""
    watching(whole)
    text = whole.option("p620", 'environment.etc."systemd/system/orchestrator-watch.service".text')
    unit = tmp_path / "orchestrator-watch.service"
    # The program is in no store here, and need not be for this.
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text))
    verified = analyzed(unit, "verify", "--man=no")
    own = [line for line in verified.stderr.splitlines() if "orchestrator-watch" in line]
    assert own == []
    unit.write_text(f"{unit.read_text()}\nNoSuchSetting=1\n")
    wrong = analyzed(unit, "verify", "--man=no").stderr
    assert "NoSuchSetting" in wrong, "a line that systemd does not know is found"
    unit.write_text(unit.read_text().replace("\nNoSuchSetting=1\n", ""))
    done = analyzed(unit, "security", "--offline=yes", "--no-pager", "--threshold=25")
    assert done.returncode == 0, done.stdout[-400:] + done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ('fleet = lib.mkForce "/nix/store/x";', "write the path in quotes"),
        ('fleet = lib.mkForce "/srv/a b";', "services.orchestrator.watch.fleet"),
        ('fleet = lib.mkForce "relative";', "services.orchestrator.watch.fleet"),
        ('interval = "soon";', "services.orchestrator.watch.interval"),
        ('user = lib.mkForce "nobody-here";', "nobody-here"),
    ],
)
def test_wrong_settings_of_the_service(whole: Fleet, settings: str, told: str) -> None:
    """A setting that cannot work is an error of the evaluation that names it."""
    watching(whole, settings)
    assert told in whole.error("p620")
