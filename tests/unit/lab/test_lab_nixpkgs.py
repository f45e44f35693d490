"""A lab on a nixpkgs of the fleet's own: how it is named, and what its hosts boot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.cli.opening import stand_ins
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet
from orchestrator.inventory.load import load
from orchestrator.lab.loader import NothingBootsError, boots, stage_2
from orchestrator.lab.own_nixpkgs import reference
from orchestrator.lab.places import LabError, package_data

OLD = "/nix/store/" + "a" * 32 + "-nixos-system-web-1"
NEW = "/nix/store/" + "b" * 32 + "-nixos-system-web-2"


def entry(boot: Path, name: str, system: str, version: str) -> None:
    """Write an entry as NixOS's builder for systemd-boot does."""
    file = boot / "loader/entries" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(
        f"title NixOS\nversion Generation {version} NixOS 26.11\nlinux /EFI/nixos/k.efi\n"
        f"initrd /EFI/nixos/i.efi\noptions init={system}/init loglevel=4\nsort-key nixos\n"
    )


def write(boot: Path, name: str, text: str, age: float = 0) -> None:
    """Write a loader's file, so many seconds old."""
    file = boot / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    then = 1_700_000_000 - age
    os.utime(file, (then, then))


def test_systemd_boot_starts_what_its_default_names(tmp_path: Path) -> None:
    """The name is taken without an entry's counters; a glob takes the newest generation."""
    entry(tmp_path, "nixos-one+2-1.conf", OLD, "9")
    entry(tmp_path, "nixos-two+3.conf", NEW, "10")
    write(tmp_path, "loader/loader.conf", "timeout 0\ndefault nixos-one.conf\n")
    assert boots(tmp_path) == OLD
    write(tmp_path, "loader/loader.conf", "timeout 0\ndefault nixos-*\n")
    assert boots(tmp_path) == NEW


def test_systemd_boot_passes_over_an_entry_whose_tries_are_used_up(tmp_path: Path) -> None:
    """`preferred` heeds the counters, and `default nixos-*` is what is left then."""
    entry(tmp_path, "nixos-one.conf", OLD, "9")
    entry(tmp_path, "nixos-two+0-3.conf", NEW, "10")
    write(tmp_path, "loader/loader.conf", "preferred nixos-two.conf\ndefault nixos-*\n")
    assert boots(tmp_path) == OLD


GRUB = """\
if [ "${next_entry}" ]; then
  set default="${next_entry}"
else
  set default=%s
fi
menuentry "NixOS" --class nixos --unrestricted {
  linux ($drive1)//kernels/k init=%s/init loglevel=4
}
submenu "NixOS - All configurations" --class submenu {
menuentry "NixOS - Configuration 1" --class nixos {
  linux ($drive1)//kernels/k init=%s/init loglevel=4
}
}
"""
EXTLINUX = """\
DEFAULT %s
MENU TITLE ------------------------------------------------------------
LABEL nixos-default
  LINUX ../nixos/k
  APPEND init=%s/init loglevel=4
LABEL nixos-1-default
  LINUX ../nixos/k
  APPEND init=%s/init loglevel=4
"""


def test_grub_and_extlinux_start_what_their_builders_wrote(tmp_path: Path) -> None:
    """GRUB by the number of an entry, extlinux by its label."""
    write(tmp_path, "grub/grub.cfg", GRUB % ("0", NEW, OLD))
    assert boots(tmp_path) == NEW
    write(tmp_path, "extlinux/extlinux.conf", EXTLINUX % ("nixos-1-default", NEW, OLD))
    os.utime(tmp_path / "grub/grub.cfg", (1, 1))
    assert boots(tmp_path) == OLD


def test_the_loader_that_was_written_last_starts(tmp_path: Path) -> None:
    """A host that changes its loader keeps the files of the one before."""
    entry(tmp_path, "nixos-one.conf", OLD, "1")
    write(tmp_path, "loader/loader.conf", "default nixos-one.conf\n", age=60)
    write(tmp_path, "grub/grub.cfg", GRUB % ("0", NEW, OLD))
    assert boots(tmp_path) == NEW
    write(tmp_path, "grub/grub.cfg", GRUB % ("0", NEW, OLD), age=120)
    assert boots(tmp_path) == OLD


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("grub/grub.cfg", GRUB % ("5", NEW, OLD), "GRUB has no entry 5"),
        ("extlinux/extlinux.conf", EXTLINUX % ("other", NEW, OLD), "has no label"),
        ("loader/loader.conf", "default nixos-*\n", "has no entries"),
        ("README", "", "no boot loader's files"),
    ],
)
def test_a_host_whose_loader_finds_nothing_does_not_boot(
    tmp_path: Path, name: str, text: str, why: str
) -> None:
    """No other system is started in the place of the one that is not there."""
    write(tmp_path, name, text)
    with pytest.raises(NothingBootsError, match=why):
        boots(tmp_path)


def test_stage_2_is_what_comes_after_the_initrd(tmp_path: Path) -> None:
    """With systemd as stage 1 `init` is systemd itself, and stage 2 is another file."""
    system = tmp_path / NEW.removeprefix("/nix/")
    with pytest.raises(NothingBootsError, match="not in the host's store"):
        stage_2(NEW, tmp_path)
    system.mkdir(parents=True)
    (system / "init").touch()
    assert stage_2(NEW, tmp_path) == f"{NEW}/init"
    (system / "prepare-root").touch()
    assert stage_2(NEW, tmp_path) == f"{NEW}/prepare-root"


def test_a_nixpkgs_is_named_by_a_path_or_as_nix_names_flakes(tmp_path: Path) -> None:
    """Paths are made absolute; the word for the stand-in is no path, whatever is there."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/flake.nix").touch()
    assert reference("./mine", tmp_path) == str(tmp_path / "mine")
    assert reference("mine", tmp_path) == str(tmp_path / "mine")
    assert reference("github:NixOS/nixpkgs/nixos-25.05", tmp_path) == (
        "github:NixOS/nixpkgs/nixos-25.05"
    )
    assert reference("nixpkgs", tmp_path) == "nixpkgs"
    assert reference("stand-in", tmp_path) == ""
    with pytest.raises(LabError, match=r"has no flake\.nix"):
        reference("./theirs", tmp_path)


def test_the_inventory_names_the_lab_s_nixpkgs(tmp_path: Path) -> None:
    """`lab: {nixpkgs: …}` is the fleet's, and there is none where it says nothing."""
    (tmp_path / "inventory").mkdir()
    hosts = tmp_path / "inventory/hosts.yaml"
    hosts.write_text("hosts: {web: {}}\n")
    assert load(tmp_path).fleet.lab_nixpkgs is None
    hosts.write_text("lab: {nixpkgs: ./mine}\nhosts: {web: {}}\n")
    assert load(tmp_path).fleet.lab_nixpkgs == "./mine"


def test_the_inventory_says_what_stands_for_secrets(tmp_path: Path) -> None:
    """`lab: {secrets: placeholder}` is the fleet's; another word is refused with those that are."""
    (tmp_path / "inventory").mkdir()
    hosts = tmp_path / "inventory/hosts.yaml"
    hosts.write_text("lab: {secrets: placeholder}\nhosts: {web: {}}\n")
    assert load(tmp_path).fleet.lab_secrets == "placeholder"
    hosts.write_text("lab: {secrets: none}\nhosts: {web: {}}\n")
    with pytest.raises(UsageError, match="placeholder"):
        load(tmp_path)


def test_a_placeholder_is_written_on_no_machine_but_a_lab_s(tmp_path: Path) -> None:
    """Where systemd-nspawn has not started the host, the program fails, and no file is made."""
    assert not Path("/run/host/container-manager").exists()
    out = tmp_path / "token"
    program = package_data("profile/age-placeholder.sh")
    argv = ("sh", program, "--decrypt", "-i", "/etc/key", "-o", out, "/nix/store/token.age")
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "built for a lab" in done.stderr
    assert not out.exists()


def test_only_nixpkgs_is_replaced_where_the_fleet_has_its_own(tmp_path: Path) -> None:
    """The fleet's agenix and Home Manager are real there, as its nixpkgs is."""
    (tmp_path / "flake.nix").write_text("inputs.agenix inputs.home-manager")
    fleet = Fleet("f", str(tmp_path), str(tmp_path), {})
    assert [name for name, _ in stand_ins(fleet, tmp_path)] == ["nixpkgs", "agenix", "home-manager"]
    assert stand_ins(fleet, tmp_path, own=True) == (("nixpkgs", f"path:{tmp_path}"),)
