"""What the stand-in does beside the module system: carried options, assertions, NixOS's files."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from nix_bench import Fleet

from orchestrator.core.values import replace
from orchestrator.lab import seed
from orchestrator.lab.places import package_data

BUILD = "config.system.build"
PARTS = ("kernel", "kernel-modules", "initrd", "systemd")


@pytest.fixture
def built(fleet: Fleet) -> Path:
    """Return the folder of a store, whose p620 is built with what `added.nix` says."""
    fleet.module(
        "p620",
        """
        { lib, pkgs, ... }:
        {
          services.carried = {
            package = pkgs.htop;
            listen = lib.mkDefault [ "a" ];
            deep.flag = lib.mkIf true true;
            function = n: n;
          };
          environment.etc."name with spaces".text = "it's \\"quoted\\" $HOME `x`";
          environment.etc."deep/below/file".source = pkgs.writeText "f" "from the store";
          environment.etc."copied" = { text = "no newline"; mode = "0640"; group = "adm"; };
          environment.etc."off" = { enable = false; text = ""; };
          system.activationScripts.first = { text = "echo first"; deps = [ "users" ]; };
          system.activationScripts.odd.text = "echo 'one'\\nEND OF PIECE\\necho two";
        }
        """,
    )
    done = fleet.nix(
        *("build", "--no-link", "--print-out-paths"),
        f"path:{fleet.root}#nixosConfigurations.p620.{BUILD}.toplevel",
    )
    assert done.returncode == 0, done.stderr
    return Path(done.stdout.strip())


def test_what_counts_from_a_boot_on(fleet: Fleet) -> None:
    """What counts only from a boot on is told by the links and words that NixOS compares."""

    def parts(body: str) -> dict[str, str]:
        fleet.module("p620", f"{{ pkgs, ... }}: {{ {body} }}")
        done = fleet.nix(
            *("build", "--no-link", "--print-out-paths"),
            f"path:{fleet.root}#nixosConfigurations.p620.{BUILD}.toplevel",
        )
        assert done.returncode == 0, done.stderr
        system = Path(done.stdout.strip())
        links = {part: str((system / part).resolve(strict=True)) for part in PARTS}
        return {**links, "kernel-params": (system / "kernel-params").read_text()}

    def changed(body: str) -> set[str]:
        return {part for part, value in parts(body).items() if value != plain[part]}

    plain = parts("")
    assert changed('environment.etc."x".text = "y";') == set()
    assert changed("boot.kernelPackages = pkgs.linuxPackages_latest;") == {
        "kernel",
        "kernel-modules",
    }
    assert changed('boot.kernelParams = [ "quiet" "lab.boot=hang" ];') == {"kernel-params"}
    assert changed('boot.initrd.kernelModules = [ "dm-raid" ];') == {"initrd"}
    assert changed("systemd.package = pkgs.hello;") == {"systemd"}


def test_a_generation_on_disk(built: Path) -> None:
    """A built generation has its files, its scripts, and what is only carried."""
    etc = built / "etc"
    assert (etc / "name with spaces").read_text() == 'it\'s "quoted" $HOME `x`'
    assert (etc / "deep/below/file").read_text() == "from the store"
    assert (etc / "copied").read_text() == "no newline"
    assert not (etc / "off").exists()
    listed = (built / "etc-files").read_text().splitlines()
    assert "0640 root adm copied" in listed
    assert "symlink root root name with spaces" in listed
    carried = json.loads((built / "carried.json").read_text())["services"]["carried"]
    assert carried["listen"] == ["a"]
    assert carried["deep"] == {"flag": True}
    assert carried["package"].startswith("/nix/store/")
    done = subprocess.run(
        ["sh", "-c", 'piece() { [ "$1" != odd ] || echo "$2"; }; . "$1"', "sh", built / "pieces"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "echo 'one'\nEND OF PIECE\necho two\n", done.stderr
    for script in ("activate", "bin/switch-to-configuration"):
        done = subprocess.run(["sh", "-n", built / script], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (built / "bin/switch-to-configuration").stat().st_mode & 0o111


def test_a_host_without_a_name_keeps_its_own(fleet: Fleet) -> None:
    """A name goes to /etc/hostname, whatever it is; the empty one to no file."""
    added = fleet.module("p510", '{ lib, ... }: { networking.hostName = lib.mkForce "installed"; }')
    assert fleet.option("p510", "environment.etc.hostname.text") == "installed\n"
    added.write_text('{ lib, ... }: { networking.hostName = lib.mkForce ""; }')
    assert "hostname" not in fleet.option("p510", "environment.etc")
    assert "nixos-system-unnamed-" in fleet.systems()["p510"]


def test_carried_options_merge(fleet: Fleet) -> None:
    """Options that nobody declares have priorities and conditions, and conflict, as all others."""
    fleet.module(
        "p510",
        """
        { lib, config, ... }:
        {
          services.example = lib.mkMerge [
            { port = lib.mkDefault 1; list = [ 1 ]; set.a = 1; kept = lib.mkForce "forced"; }
            { port = 2; list = lib.mkBefore [ 0 ]; set.b = 2; kept = "plain"; }
            (lib.mkIf (config.networking.hostName == "p510") { here = true; })
            (lib.mkIf (config.networking.hostName == "p620") { there = true; })
          ];
        }
        """,
    )
    found = fleet.option("p510", "services.example")
    assert found.pop("there", None) is None
    assert found == {
        "port": 2,
        "list": [0, 1],
        "set": {"a": 1, "b": 2},
        "kept": "forced",
        "here": True,
    }
    fleet.module("p620", "{ imports = [ { time.timeZone = 1; } ]; time.timeZone = 2; }")
    text = fleet.error("p620")
    assert "option `time.timeZone' has conflicting definition values" in text
    assert "added.nix" in text


def test_every_kind_of_change_of_a_carried_option_counts(fleet: Fleet) -> None:
    """A value, a priority that decides, a package and an element each make another system."""
    seen = set()
    added = fleet.module("p510", "{ }")
    for body in (
        "services.x.a = 1;",
        "services.x.a = 2;",
        "services.x.a = lib.mkMerge [ (lib.mkDefault 1) 3 ];",
        "services.x.a = pkgs.htop;",
        "services.x.a = [ 1 ];",
        'services.x.a = [ 1 "b" ];',
        "boot.kernel.sysctl.x = true;",
        "time.timeZone = lib.mkForce null; time.hardwareClockInLocalTime = true;",
    ):
        added.write_text(f"{{ lib, pkgs, ... }}: {{ {body} }}")
        seen.add(fleet.systems()["p510"])
    assert len(seen) == 8


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("{ fleet.tempalte = null; }", "fleet.tempalte"),
        ("{ flet.template = null; }", "flet"),
        ("{ lib, ... }: { fleet = lib.mkIf false { typo = 1; }; }", "fleet.typo"),
        ("{ users.users.admin.isNormalUsr = true; }", "users.users.admin.isNormalUsr"),
        ('{ environment.etc.x.txt = ""; }', "environment.etc.x.txt"),
        ("{ systemd.services.x.serviceconfig = { }; }", "systemd.services.x.serviceconfig"),
    ],
)
def test_a_misspelt_option(fleet: Fleet, body: str, place: str) -> None:
    """A misspelt option is an error that names it, the file, and the nearest that there are."""
    fleet.module("razer", body)
    text = fleet.error("razer")
    assert f"The option `{place}' does not exist" in text
    assert "hosts/razer/added.nix" in text
    assert "Did you mean `" in text


def test_one_wrong_host_leaves_the_others(fleet: Fleet) -> None:
    """The error of one host is no error of another."""
    fleet.module("razer", "{ fleet.typo = 1; }")
    assert "fleet.typo" in fleet.error("razer")
    assert fleet.option("samsung", "fleet.name") == "samsung"


def test_a_wrong_type_names_place_and_file(fleet: Fleet) -> None:
    """A wrong type of an option that is implemented names the option, the file and the type."""
    fleet.module("razer", "{ services.openssh.ports = [ 70000 ]; }")
    text = fleet.error("razer")
    assert "A definition for option `services.openssh.ports." in text
    assert "16 bit unsigned integer" in text
    assert "hosts/razer/added.nix" in text


def test_two_files_that_disagree(fleet: Fleet) -> None:
    """A host and a template that say different things are an error that names both files."""
    fleet.module("razer", '{ environment.etc."fleet/template".text = lib: 1; }')
    assert "hosts/razer/added.nix" in fleet.error("razer")
    (fleet.root / "hosts/razer/added.nix").write_text(
        "{ boot.loader.systemd-boot.configurationLimit = 7; }"
    )
    text = fleet.error("razer")
    assert "option `boot.loader.systemd-boot.configurationLimit' has conflicting" in text
    assert "templates/laptop.nix" in text
    assert "hosts/razer/added.nix" in text


def test_assertions_stop(fleet: Fleet) -> None:
    """All failed assertions are told at once, and there is no system."""
    fleet.module(
        "p510",
        """{
          assertions = [
            { assertion = false; message = "the first reason"; }
            { assertion = true; message = "no reason"; }
            { assertion = 1 == 2; message = "the second reason"; }
          ];
        }""",
    )
    text = fleet.error("p510")
    assert "Failed assertions:" in text
    assert "- the first reason" in text
    assert "- the second reason" in text
    assert "no reason" not in text
    # Other values of the configuration can be asked all the same.
    assert fleet.option("p510", "networking.hostName") == "p510"


def test_warnings_are_told(fleet: Fleet) -> None:
    """A warning is told on standard error, and the system is what it was."""
    before = fleet.systems()["p510"]
    fleet.module("p510", '{ warnings = [ "mind the gap" "and the step" ]; }')
    done = fleet.evaluate(f"nixosConfigurations.p510.{BUILD}.toplevel.drvPath")
    assert json.loads(done.stdout) == before
    assert "evaluation warning: mind the gap" in done.stderr
    assert "evaluation warning: and the step" in done.stderr


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("../outside", "bad name"),
        ("a//b", "bad name"),
        ("/etc/absolute", "bad name"),
        ("two\\nlines", "bad name"),
        ('once".target = "fleet/host.json"; environment.etc."once', "two files of one name"),
    ],
)
def test_a_bad_name_of_a_file(fleet: Fleet, name: str, says: str) -> None:
    """A name that would leave /etc, or is there already, is an error when it is built."""
    fleet.module("p510", f'{{ environment.etc."{name}".text = ""; }}')
    done = fleet.nix(
        *("build", "--no-link", "--print-build-logs"),
        f"path:{fleet.root}#nixosConfigurations.p510.{BUILD}.toplevel",
    )
    assert done.returncode != 0
    assert says in done.stderr


def test_a_system_has_its_specialisations(fleet: Fleet) -> None:
    """Each is a system of its own below its parent, which it extends unless told otherwise."""
    fleet.module(
        "p620",
        """
        {
          environment.etc."marker".text = "parent";
          specialisation.gaming.configuration.environment.etc."mode".text = "gaming";
          specialisation."at home" = {
            inheritParentConfig = false;
            configuration = { networking.hostName = "home"; system.stateVersion = "25.05"; };
          };
        }
        """,
    )
    done = fleet.nix(
        *("build", "--no-link", "--print-out-paths"),
        f"path:{fleet.root}#nixosConfigurations.p620.{BUILD}.toplevel",
    )
    assert done.returncode == 0, done.stderr
    system = Path(done.stdout.strip())
    gaming, home = (system / "specialisation" / name for name in ("gaming", "at home"))
    assert sorted((system / "specialisation").iterdir()) == [home, gaming]
    assert gaming.readlink().parent == Path("/nix/store")
    assert (gaming / "etc/mode").read_text() == "gaming"
    assert [(one / "etc/marker").exists() for one in (system, gaming, home)] == [True, True, False]
    assert (home / "etc/hostname").read_text() == "home\n"
    for one in (gaming, home):
        assert list((one / "specialisation").iterdir()) == []
    fleet.module("p620", '{ specialisation."a/b".configuration = { }; }')
    refused = fleet.nix("eval", f"path:{fleet.root}#nixosConfigurations.p620.{BUILD}.toplevel")
    assert "Specialisation names must not contain forward slashes" in refused.stderr


@pytest.mark.parametrize("placeholders", [True, False])
def test_placeholders_for_secrets_are_in_what_the_lab_s_profile_builds_alone(
    fleet: Fleet, tmp_path: Path, placeholders: bool
) -> None:
    """A host has them by the profile that says so; by the fleet's own nixpkgs it has none."""
    profile = tmp_path / "profile"
    shutil.copytree(package_data("profile"), profile)
    flake = (profile / "flake.nix").read_text()
    (profile / "flake.nix").write_text(flake.replace("@nixpkgs@", f"path:{fleet.nixpkgs}"))
    said = {"key": "ssh-ed25519 AAAA", "system": seed.system(), "placeholders": placeholders}
    (profile / "lab.json").write_text(json.dumps(said))
    in_lab = replace(fleet, nixpkgs=profile, home_manager=fleet.nixpkgs / "home-manager")
    assert ("placeholder" in in_lab.option("p620", "age.ageBin")) is placeholders
    assert "placeholder" not in fleet.option("p620", "age.ageBin")
