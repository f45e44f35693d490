"""What boots next, read in the real formats: exactly, or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from loader_trees import (
    Entry,
    Menu,
    Read,
    Tree,
    extlinux_conf,
    grub_cfg,
    grubenv,
    image,
    lanzaboote,
    system,
)

ONE, TWO, THREE = system(1), system(2), system(3)
SHA1, SHA2 = "a1" * 32, "b2" * 32
AWKS = [name for name in ("awk", "busybox", "gawk") if shutil.which(name)]


@pytest.fixture(params=AWKS)
def tree(tmp_path: Path, request: pytest.FixtureRequest) -> Tree:
    """An empty host; its programs are this machine's, or busybox's, or GNU's as on NixOS."""
    if request.param == "awk":
        return Tree(tmp_path / "host")
    if request.param == "gawk":
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "awk").symlink_to(str(shutil.which("gawk")))
        return Tree(tmp_path / "host", ("bash",), f"{programs}:")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("awk", "od", "tail", "tr", "grep", "printf"):
        (programs / name).symlink_to("/bin/busybox")
    return Tree(tmp_path / "host", ("busybox", "sh"), f"{programs}:")


def unread(read: Read, *words: str) -> None:
    """The default was not read, and the reason has these words."""
    assert (read.boots, read.source) == ("", ""), read
    for word in words:
        assert word in read.note, read


# --- systemd-boot ---


def test_systemd_boot_boots_the_entry_of_a_hash_that_loader_conf_names(tree: Tree) -> None:
    """Today's NixOS names entries by the hash of what they say."""
    tree.entry(f"nixos-{SHA1}.conf", ONE)
    tree.entry(f"nixos-{SHA2}.conf", TWO)
    tree.write("boot/loader/loader.conf", f"timeout 5\ndefault nixos-{SHA1}.conf\neditor 0\n")
    assert tree.read() == Read(ONE, "systemd-boot")


def test_the_last_default_of_loader_conf_counts_and_not_the_first(tree: Tree) -> None:
    """systemd-boot takes each line as it comes."""
    tree.entry("a.conf", ONE)
    tree.entry("b.conf", TWO)
    tree.write("boot/loader/loader.conf", "default a.conf\n# default a.conf\n default\t'b.conf' \n")
    assert tree.read().boots == TWO


@pytest.mark.parametrize(
    ("tries", "boots"), [("", TWO), ("+3", TWO), ("+2-1", TWO), ("+1-2", TWO), ("+0-3", ONE)]
)
def test_a_preferred_entry_whose_tries_are_used_up_is_left_for_the_best_other(
    tree: Tree, tries: str, boots: str
) -> None:
    """``preferred`` respects the counters, and ``default nixos-*`` is then the newest good one."""
    tree.loader("260.1")
    tree.entry(f"nixos-{SHA1}.conf", ONE, version="Generation 9 25.05")
    tree.entry(f"nixos-{SHA2}{tries}.conf", TWO, version="Generation 10 25.05")
    tree.entry(f"nixos-{'c3' * 32}.conf", THREE, version="Generation 8 25.05")
    conf = f"timeout 5\npreferred nixos-{SHA2}.conf\ndefault nixos-*\nconsole-mode keep\n"
    tree.write("boot/loader/loader.conf", conf)
    assert tree.read() == Read(boots, "systemd-boot")


def test_a_default_that_failed_too_often_boots_all_the_same(tree: Tree) -> None:
    """``default`` starts an entry even where its counter says that it failed too often."""
    tree.loader("260.1")
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2+0-3.conf", TWO)
    tree.write("boot/loader/loader.conf", "default nixos-generation-2.conf\n")
    assert tree.read().boots == TWO


def test_where_versions_differ_and_the_version_is_not_known_nothing_is_said(tree: Tree) -> None:
    """Before 258 a counter was a part of an id, and before 260 nobody knew ``preferred``."""
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2+3.conf", TWO, version="Generation 0 25.05")
    tree.write("boot/loader/loader.conf", "default nixos-generation-2.conf\n")
    unread(tree.read(), "systemd-boot", "version")
    tree.loader("257.9")
    assert tree.read().boots == ONE
    tree.loader("260~rc2")
    assert tree.read().boots == TWO


def test_two_versions_on_one_partition_must_agree(tree: Tree) -> None:
    """Which of them the firmware starts is not known."""
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2+3.conf", TWO, version="Generation 0 25.05")
    tree.write("boot/loader/loader.conf", "default nixos-generation-2.conf\n")
    tree.loader("260")
    tree.write("boot/EFI/BOOT/BOOTX64.EFI", "#### LoaderInfo: systemd-boot 255.4 ####")
    unread(tree.read(), "version")


def test_of_several_entries_the_loaders_own_order_decides(tree: Tree) -> None:
    """By sort key, machine, version downwards and name: 10 is newer than 9."""
    for number, boots in ((9, ONE), (10, TWO), (8, THREE)):
        name = f"nixos-generation-{number}.conf"
        tree.entry(name, boots, version=f"Generation {number} 25.05, built on 2025-06-01")
    tree.write("boot/loader/loader.conf", "default nixos-*\n")
    assert tree.read().boots == TWO
    tree.entry("nixos-generation-1.conf", ONE, sort_key="a")
    assert tree.read().boots == ONE


def test_a_specialisation_follows_its_generation_by_name(tree: Tree) -> None:
    """Of the same sort key and version the higher id comes first."""
    tree.entry("nixos-generation-2.conf", ONE)
    tree.entry("nixos-generation-2-specialisation-gpu.conf", TWO)
    tree.write("boot/loader/loader.conf", "default nixos-generation-2*\n")
    # "2.conf" is newer than "2-specialisation", as strverscmp_improved() has it.
    assert tree.read().boots == ONE
    tree.write("boot/loader/loader.conf", "default nixos-generation-2-specialisation-gpu.conf\n")
    assert tree.read().boots == TWO


def test_where_nothing_is_named_the_first_entry_of_the_menu_boots(tree: Tree) -> None:
    """An entry without a sort key comes after those with one."""
    tree.entry("zzz.conf", ONE, sort_key=None)
    tree.entry("nixos-generation-2.conf", TWO)
    tree.write("boot/loader/loader.conf", "timeout 5\ndefault gone.conf\n")
    assert tree.read().boots == TWO


def test_what_a_person_chose_for_good_goes_before_the_file(tree: Tree) -> None:
    """``bootctl set-default``, or a key in the menu; the reader says so."""
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2.conf", TWO)
    tree.write("boot/loader/loader.conf", "default nixos-generation-2.conf\n")
    tree.variable("LoaderEntryDefault", "NixOS-generation-1.conf")
    read = tree.read()
    assert (read.boots, read.note) == (ONE, "")
    assert "LoaderEntryDefault" in read.by


def test_what_the_next_boot_alone_starts_is_said_beside_the_default(tree: Tree) -> None:
    """``LoaderEntryOneShot`` goes first, and once; where it is the same there is nothing to say."""
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2.conf", TWO)
    tree.write("boot/loader/loader.conf", "default nixos-generation-2.conf\n")
    tree.variable("LoaderEntryOneShot", "nixos-generation-2.conf")
    assert tree.read().note == ""
    tree.variable("LoaderEntryOneShot", "nixos-generation-1.conf")
    read = tree.read()
    assert read.boots == TWO
    assert ONE in read.note
    assert "LoaderEntryOneShot" in read.note
    tree.variable("LoaderEntryOneShot", "auto-reboot-to-firmware-setup")
    read = tree.read()
    assert read.boots == TWO
    assert "auto-reboot-to-firmware-setup" in read.note
    tree.variable("LoaderEntryOneShot", "gone.conf")
    assert tree.read().note == ""


@pytest.mark.parametrize("where", ["default", "LoaderEntryDefault"])
def test_a_default_that_the_loader_finds_by_itself_is_no_nixos(tree: Tree, where: str) -> None:
    """Windows has no file among the entries: the first of them is not taken for it."""
    tree.entry("nixos-generation-1.conf", ONE)
    default = "auto-windows" if where == "default" else "nixos-*"
    tree.write("boot/loader/loader.conf", f"default {default}\n")
    if where != "default":
        tree.variable(where, "auto-windows")
    unread(tree.read(), "auto-windows")


def test_the_entry_that_was_booted_last_may_be_the_default(tree: Tree) -> None:
    """``@saved`` takes it from a variable that the loader writes."""
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2.conf", TWO)
    tree.write("boot/loader/loader.conf", "default @saved\n")
    assert tree.read().boots == TWO
    tree.variable("LoaderEntryLastBooted", "nixos-generation-1.conf")
    assert tree.read().boots == ONE
    tree.variable("LoaderEntryDefault", "nixos-generation-2.conf")
    assert tree.read().boots == TWO


def test_a_preferred_variable_respects_the_counters(tree: Tree) -> None:
    """``bootctl set-preferred`` goes first, unless its entry failed too often."""
    tree.loader("260")
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2+0-3.conf", TWO)
    tree.write("boot/loader/loader.conf", "default nixos-generation-1.conf\n")
    tree.variable("LoaderEntryPreferred", "nixos-generation-2.conf")
    assert tree.read().boots == ONE
    bad = tree.root / "boot/loader/entries/nixos-generation-2+0-3.conf"
    bad.rename(bad.with_name("nixos-generation-2+1-2.conf"))
    assert tree.read().boots == TWO


def test_where_a_chosen_default_and_a_preferred_one_differ_nothing_is_said(tree: Tree) -> None:
    """The manual and ``bootctl`` do not agree on which of the two goes first."""
    tree.loader("260")
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2.conf", TWO)
    tree.write("boot/loader/loader.conf", "preferred nixos-generation-1.conf\ndefault nixos-*\n")
    tree.variable("LoaderEntryDefault", "nixos-generation-2.conf")
    unread(tree.read(), "systemd-boot")


def test_entries_on_a_partition_of_their_own_are_read_with_their_counters(tree: Tree) -> None:
    """XBOOTLDR at /boot beside the ESP at /efi."""
    tree.loader("260", "efi")
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2+2-1.conf", TWO, version="Generation 2 25.05")
    conf = "preferred nixos-generation-2.conf\ndefault nixos-*\n"
    tree.write("efi/loader/loader.conf", conf)
    assert tree.read() == Read(TWO, "systemd-boot")


def test_whether_boot_is_a_partition_must_not_decide(tree: Tree) -> None:
    """A folder /boot that is none of the loader's may hold what an earlier loader left."""
    tree.entry("nixos-generation-1.conf", ONE, partition="efi")
    tree.write("efi/loader/loader.conf", "default nixos-generation-1.conf\n")
    assert tree.read().boots == ONE
    tree.entry("nixos-generation-2.conf", TWO, version="Generation 2 25.05")
    assert tree.read().boots == ONE
    tree.write("efi/loader/loader.conf", "default nixos-*\n")
    unread(tree.read(), "XBOOTLDR")


def test_an_entry_without_its_kernel_is_not_said_to_boot(tree: Tree) -> None:
    """Today's systemd-boot leaves such an entry out, an earlier one fails at it."""
    tree.entry("nixos-generation-1.conf", ONE)
    tree.entry("nixos-generation-2.conf", TWO, kernel=False)
    tree.write("boot/loader/loader.conf", "default nixos-generation-2.conf\n")
    unread(tree.read(), "nixos-generation-2.conf", "kernel")


def test_an_entry_of_another_kind_is_no_system(tree: Tree) -> None:
    """A memory test that sorts first, a kernel whose options name two systems, or none."""
    tree.write("boot/loader/entries/memtest86.conf", "title M\nefi /efi/m.efi\nsort-key a\n")
    tree.entry("nixos-generation-1.conf", ONE)
    tree.write("boot/loader/loader.conf", "timeout 5\n")
    unread(tree.read(), "memtest86.conf")
    tree.write("boot/loader/loader.conf", "default nixos-*\n")
    assert tree.read().boots == ONE
    file = tree.root / "boot/loader/entries/nixos-generation-1.conf"
    with file.open("a") as entry:
        entry.write(f"\noptions init={TWO}/init\n")
    unread(tree.read(), "nixos-generation-1.conf")


@pytest.mark.parametrize("pattern", ["nixos-[12].conf", "nixos\\-1.conf", "*a*b*c*d*e*"])
def test_a_pattern_that_is_not_followed_is_said_to_be_one(tree: Tree, pattern: str) -> None:
    """Sets and escapes are rare; what is not followed is not guessed."""
    tree.entry("nixos-1.conf", ONE)
    tree.write("boot/loader/loader.conf", f"default {pattern}\n")
    unread(tree.read(), "pattern")


def test_lanzabootes_newest_image_boots_by_its_own_command_line(tree: Tree) -> None:
    """Unified images are ordered by the release that they carry."""
    for number, boots in ((9, ONE), (10, TWO), (2, THREE)):
        name = f"nixos-generation-{number}-{'q' * 20}{number}.efi"
        tree.write(f"boot/EFI/Linux/{name}", lanzaboote(number, boots))
    tree.write("boot/loader/loader.conf", "timeout 5\nconsole-mode keep\ndefault nixos-*\n")
    assert tree.read() == Read(TWO, "systemd-boot")


def test_hundreds_of_images_are_read_by_few_programs(tree: Tree) -> None:
    """Two programs an image, from few shells: hundreds are far from what a reader may take."""
    programs, log = tree.root.parent / "counted", tree.root.parent / "log"
    programs.mkdir()
    od = f"exec {shutil.which('od')}"
    (programs / "od").write_text(f'#!/bin/sh\necho >> {log}\n{od} "$@"\n')
    (programs / "od").chmod(0o755)
    tree.path = f"{programs}:{tree.path}"
    for number in range(60):
        name = f"nixos-generation-{number}-{'q' * 20}.efi"
        tree.write(f"boot/EFI/Linux/{name}", lanzaboote(number, system(number % 7)))
    tree.write("boot/loader/loader.conf", "default nixos-*\n")
    assert tree.read() == Read(system(59 % 7), "systemd-boot")
    assert len(log.read_bytes()) == 120


def test_an_image_whose_sections_are_far_apart_is_read_too(tree: Tree) -> None:
    """A kernel may lie between the release and the command line."""
    far = {".linux": b"k" * 300_000, ".cmdline": f"init={TWO}/init".encode()}
    whole = image("ID=a\nNAME=N\n", "", extra=far)
    tree.write("boot/EFI/Linux/nixos-1.efi", whole)
    tree.write("boot/loader/loader.conf", "default nixos-*\n")
    assert tree.read() == Read(TWO, "systemd-boot")


def test_what_follows_a_nul_is_not_read_as_if_it_counted(tree: Tree) -> None:
    """systemd-boot's text ends at a NUL: of what stands behind it nothing is a default."""
    tree.entry("a.conf", ONE)
    tree.entry("b.conf", TWO)
    for text in (b"default a.conf\n\0\ndefault b.conf\n", b"default a.conf\0b\ndefault b.conf\n"):
        tree.write("boot/loader/loader.conf", text)
        unread(tree.read(), "loader.conf", "NUL")
    tree.write("boot/loader/loader.conf", "default b.conf\n")
    entry = tree.root / "boot/loader/entries/b.conf"
    entry.write_bytes(b"title x\n\0\n" + entry.read_bytes())
    unread(tree.read(), "b.conf", "NUL")
    tree.write("boot/loader/loader.conf", "default a.conf\n")
    assert tree.read() == Read(ONE, "systemd-boot")


@pytest.mark.parametrize("file", ["grub.cfg", "grubenv"])
def test_a_nul_in_what_grub_reads_is_not_followed(tree: Tree, file: str) -> None:
    """Neither where its script has one, nor where its environment has one."""
    tree.write("boot/grub/grub.cfg", grub_cfg("saved", NIXOS))
    tree.write("boot/grub/grubenv", grubenv(saved_entry="1"))
    assert tree.read().boots == TWO
    path = tree.root / "boot/grub" / file
    path.write_bytes(path.read_bytes().replace(b"\n", b"\n\0", 1))
    unread(tree.read(), "grub.cfg", "NUL")


@pytest.mark.parametrize(
    "content",
    [
        image("ID=lanza\nPRETTY_NAME=N\nVERSION_ID=9\n", "loglevel=4"),
        image("ID=lanza\nPRETTY_NAME=N\nVERSION_ID=9\n", f"init={TWO}/init", cut=1200),
        image("ID=a\nNAME=N\n", f"init={TWO}/init", extra={".profile": b"ID=main\n"}),
    ],
    ids=["names no system", "cut off", "several profiles"],
)
def test_an_image_that_does_not_say_is_not_guessed(tree: Tree, content: bytes) -> None:
    """Neither is the next one taken for it."""
    tree.entry("nixos-generation-1.conf", ONE, sort_key="z")
    tree.write("boot/EFI/Linux/nixos-generation-9-abc.efi", content)
    tree.write("boot/loader/loader.conf", "default nixos-*\n")
    unread(tree.read(), "nixos-generation-9-abc.efi")


def test_an_image_whose_place_in_the_menu_is_not_known_hides_the_default(tree: Tree) -> None:
    """Where a pattern means it, it may be the highest; where none does, it is no matter."""
    tree.entry("nixos-generation-1.conf", ONE, sort_key="a")
    broken = image("ID=z\nPRETTY_NAME=N\n", f"init={TWO}/init", cut=1100)
    tree.write("boot/EFI/Linux/nixos-generation-9.efi", broken)
    tree.write("boot/loader/loader.conf", "default nixos-*\n")
    unread(tree.read(), "nixos-generation-9.efi")
    tree.write("boot/loader/loader.conf", "default nixos-generation-1.conf\n")
    assert tree.read().boots == ONE


def test_what_is_no_image_is_no_entry(tree: Tree) -> None:
    """systemd-boot passes over files that are no PE or have no release."""
    tree.entry("nixos-generation-1.conf", ONE)
    tree.write("boot/EFI/Linux/nixos-generation-9.efi", "no image" * 99)
    tree.write("boot/loader/loader.conf", "default nixos-*\n")
    assert tree.read().boots == ONE


# --- GRUB ---

NIXOS = Menu(
    "",
    (
        Entry("NixOS - Default", ONE),
        Entry("NixOS - (gpu - 2025-06-01 - 25.05)", TWO, "gpu"),
        Menu(
            "NixOS - All configurations",
            (
                Entry("NixOS - Configuration 2 (2025-06-01 - 25.05)", ONE),
                Entry("NixOS - Configuration 1 (2025-05-01 - 25.05)", THREE),
            ),
            "all",
        ),
    ),
)


@pytest.mark.parametrize(
    ("default", "boots"),
    [
        ("0", ONE),
        ("1", TWO),
        ("2", ONE),
        ('"2>1"', THREE),
        ("7", ONE),
        ("gpu", TWO),
        ('"NixOS - (gpu - 2025-06-01 - 25.05)"', TWO),
        ('"NixOS - All configurations>NixOS - Configuration 1 (2025-05-01 - 25.05)"', THREE),
        ('"all>1"', THREE),
        ('"all>"', ONE),
        ('"all>nothing of this name"', ONE),
        ("NixOS - Default", ONE),
        ('""', ONE),
    ],
)
def test_grub_follows_its_default(tree: Tree, default: str, boots: str) -> None:
    """By index, by title, by id, into submenus; what means nothing is the first entry."""
    tree.write("boot/grub/grub.cfg", grub_cfg(default, NIXOS))
    assert tree.read() == Read(boots, "grub")


def test_grub_may_boot_what_stands_before_nixos(tree: Tree) -> None:
    """``extraEntriesBeforeNixOS``: the first entry is another system's."""
    other = Menu("", (Entry("Windows", None), *NIXOS.entries))
    tree.write("boot/grub/grub.cfg", grub_cfg("0", other))
    unread(tree.read(), "GRUB", "Windows")
    tree.write("boot/grub/grub.cfg", grub_cfg("1", other))
    assert tree.read().boots == ONE


@pytest.mark.parametrize(
    ("saved", "boots"),
    [(None, ONE), ("1", TWO), ("gpu", TWO), ("2>1", THREE), ("gone", ONE), ("", ONE)],
)
def test_grub_boots_the_saved_entry(tree: Tree, saved: str | None, boots: str) -> None:
    """``boot.loader.grub.default = "saved"`` takes it from GRUB's environment block."""
    tree.write("boot/grub/grub.cfg", grub_cfg("saved", NIXOS))
    if saved is not None:
        tree.write("boot/grub/grubenv", grubenv(saved_entry=saved))
    assert tree.read() == Read(boots, "grub")


def test_an_environment_that_is_none_is_not_loaded(tree: Tree) -> None:
    """GRUB refuses a block without its signature."""
    tree.write("boot/grub/grub.cfg", grub_cfg("saved", NIXOS))
    tree.write("boot/grub/grubenv", "saved_entry=1\n")
    assert tree.read().boots == ONE


def test_grub_reboots_into_an_entry_once(tree: Tree) -> None:
    """``next_entry`` goes first; from the boot after that on the default holds."""
    tree.write("boot/grub/grub.cfg", grub_cfg("0", NIXOS))
    tree.write("boot/grub/grubenv", grubenv(next_entry="2>1", saved_entry="1"))
    read = tree.read()
    assert read.boots == ONE
    assert THREE in read.note
    assert "next boot" in read.note
    tree.write("boot/grub/grubenv", grubenv(next_entry="0"))
    assert tree.read().note == ""


@pytest.mark.parametrize(
    ("filesystem", "types"),
    [
        *[("ext4", ("lvm", "part", "disk")), ("vfat", ("raid1", "part", "disk", "part", "disk"))],
        *[("xfs", ("raid5", "part", "disk")), ("zfs", ())],
    ],
)
def test_an_entry_for_one_boot_lasts_where_grub_cannot_write(
    tree: Tree, filesystem: str, types: tuple[str, ...]
) -> None:
    """GRUB reads through RAID and LVM, and does not write: ``next_entry`` is never cleared."""
    tree.write("boot/grub/grub.cfg", grub_cfg("0", NIXOS))
    tree.write("boot/grub/grubenv", grubenv(next_entry="2>1"))
    tree.under(filesystem, *types)
    read = tree.read()
    assert (read.boots, read.source, read.note) == (THREE, "grub", "")
    assert "next_entry" in read.by


@pytest.mark.parametrize(
    ("filesystem", "types"),
    [
        *[("btrfs", ("part", "disk")), ("ext4", ("crypt", "part", "disk"))],
        *[("ext4", ()), ("overlay", ()), ("", ())],
    ],
)
def test_where_it_is_not_known_whether_grub_writes_an_entry_for_one_boot_hides_the_default(
    tree: Tree, filesystem: str, types: tuple[str, ...]
) -> None:
    """Without such an entry it does not matter."""
    tree.write("boot/grub/grub.cfg", grub_cfg("0", NIXOS))
    tree.write("boot/grub/grubenv", grubenv(next_entry="2>1"))
    tree.under(filesystem, *types)
    unread(tree.read(), "grubenv", THREE)
    tree.write("boot/grub/grubenv", grubenv(saved_entry="1"))
    assert tree.read() == Read(ONE, "grub")


def test_an_environment_whose_last_line_has_no_end_is_read_as_grub_reads_it(tree: Tree) -> None:
    """A value that is not ended is none, and nothing can be saved in such a block."""
    tree.write("boot/grub/grub.cfg", grub_cfg("saved", NIXOS))
    head = "# GRUB Environment Block\n"
    for text in (f"{head}saved_entry=1", f"{head}saved_entry=1".ljust(1024, "#")):
        tree.write("boot/grub/grubenv", text)
        assert tree.read() == Read(ONE, "grub")
    tree.write("boot/grub/grubenv", f"{head}saved_entry=1\nx=2")
    assert tree.read() == Read(TWO, "grub")
    tree.write("boot/grub/grubenv", f"{head}saved_entry=1\n")
    assert tree.read() == Read(TWO, "grub")
    tree.write("boot/grub/grubenv", f"{head}next_entry=1\nx=2")
    assert (tree.read().boots, tree.read().note) == (TWO, "")


def test_an_entry_for_one_boot_of_the_prologue_of_before(tree: Tree) -> None:
    """NixOS used the saved entry for one boot, and cleared it."""
    old = """
        if [ -s $prefix/grubenv ]; then
          load_env
        fi
        if [ "${saved_entry}" ]; then
          set default="${saved_entry}"
          set saved_entry=
          set prev_saved_entry=
          save_env saved_entry
          save_env prev_saved_entry
          set timeout=1
        else
          set default=0
        fi
"""
    entries = grub_cfg("0", NIXOS).partition("menuentry")[2]
    tree.write("boot/grub/grub.cfg", f"{old}menuentry{entries}")
    tree.write("boot/grub/grubenv", grubenv(saved_entry="1"))
    read = tree.read()
    assert read.boots == ONE
    assert TWO in read.note


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ("source $prefix/custom.cfg", "source"),
        ("if loadfont x; then set default=1; fi", "default"),
        ("if [ -e /marker ]; then\n  set default=1\nfi", "default"),
        ("set default=$grub_platform", "default"),
        ('regexp --set=default "(.)" 1', "default"),
        ("for x in 1 2; do set default=$x; done", "default"),
        ("blscfg", "blscfg"),
        ("if loadfont x; then menuentry 'x' { true; }; fi", "entry"),
        ("set default=1>0", "cannot be read"),
        ("set default=0x1", "0x1"),
        ("load_env --file /other", "load_env"),
        ('eval "set default=1"', "eval"),
        ("menuentry 'never closed {", "cannot be read"),
        # Of a variable that is not quoted GRUB makes no word, or two.
        ("if [ $nobody ]; then set default=1; fi", "default"),
        ("if [ $nobody = '' ]; then set default=1; fi", "default"),
        ("a='b c'\nif [ $a = 'b c' ]; then set default=1; fi", "default"),
        # A command of that name is GRUB's own, and goes first.
        ("function echo { set default=1; }\necho", "echo"),
        ("function search { set default=1; }", "search"),
        # What the grammar refuses moves what stands behind it.
        ("set default=1; ; set default=2", "before its `;`"),
        ("menuentry x { }", "breaks off"),
        ("menuentry x {\n  fi\n}", "breaks off"),
        ("submenu x {\n  function f { true; }\n  menuentry y { true; }\n}", "breaks off"),
        ("menuentry x { true; } true", "breaks off"),
        ("if true; then fi", "breaks off"),
        ("menuentry x --id {\n  true\n}", "title"),
        ("menuentry {\n  true\n}", "title"),
        ('menuentry "${x" { true; }', "title"),
    ],
)
def test_grub_s_own_script_is_not_guessed(tree: Tree, extra: str, words: str) -> None:
    """What ``extraConfig`` may do to the default is followed, or is the reason."""
    tree.write("boot/grub/grub.cfg", grub_cfg("0", NIXOS, extra=f"{extra}\n"))
    unread(tree.read(), "GRUB", words)


@pytest.mark.parametrize(
    ("extra", "boots"),
    [
        ("serial --unit=0 --speed=115200; terminal_input serial", ONE),
        ("set default=1 # and not 0", TWO),
        ('if [ "x${nobody}" = "x" ]; then set default=2\\>1; fi', THREE),
        ("if [ -z '' ]; then set default=1; else set default=0; fi", TWO),
        ("if [ a != a ]; then set default=1; elif [ b ]; then set default=gpu; fi", TWO),
        ("default=1", TWO),
        ("function f { set default=1; }\nf", TWO),
        ("menuentry_id_option=--id", ONE),
        ("set a='$'\nset default=\"1$\"", TWO),
        ("menuentry 'it costs 5$' {\n  true\n}\nset default=1", ONE),
        ('menuentry "it costs $ 5" { true }\nset default="2"', TWO),
        ('menuentry "5$" { true }\nset default="2"', TWO),
        ("if [ a = a ]\nthen\n  set default=1 # fi\nfi; true", TWO),
    ],
)
def test_grub_s_own_script_is_followed(tree: Tree, extra: str, boots: str) -> None:
    """What can be known before a boot is run as GRUB does."""
    tree.write("boot/grub/grub.cfg", grub_cfg("0", NIXOS, extra=f"{extra}\n"))
    assert tree.read() == Read(boots, "grub")


@pytest.mark.parametrize(
    ("exported", "boots"), [("", ""), ("export pick", THREE), ("export other", "")]
)
def test_a_submenu_knows_what_was_exported(tree: Tree, exported: str, boots: str) -> None:
    """A submenu has none of the variables of the menu, but those that were exported."""
    cfg = f"pick=1\n{exported}\nset default='0>'\nsubmenu x {{\n"
    for name, path in (("a", TWO), ("b", THREE)):
        cfg += f"menuentry {name} {{\n  linux k init={path}/init\n}}\n"
    cfg += 'if [ "$pick" = 1 ]; then set default=1; fi\n}\n'
    tree.write("boot/grub/grub.cfg", cfg)
    assert tree.read().boots == boots


@pytest.mark.parametrize("line", ["x", "", "# a comment\\\\"])
def test_an_environment_that_is_not_of_lines_is_not_guessed(tree: Tree, line: str) -> None:
    """A name goes on over the end of a line, and a comment over one behind a backslash."""
    tree.write("boot/grub/grub.cfg", grub_cfg("saved", NIXOS))
    block = f"# GRUB Environment Block\n{line}\nsaved_entry=1\n".ljust(1024, "#")
    tree.write("boot/grub/grubenv", block.replace("\\\\", "\\"))
    unread(tree.read(), "GRUB", "grubenv")


def test_what_os_prober_appends_is_read(tree: Tree) -> None:
    """os-prober's entries have an id by a variable; where that is empty the title is the id."""
    after = (
        "menuentry 'Debian' --class gnu $menuentry_id_option 'osprober-1' {\n"
        f"  if [ x$feature_platform_search_hint = xy ]; then\n    search --set=root x\n  fi\n"
        f"  linux /vmlinuz init={THREE}/init\n}}\n"
        'set timeout_style=menu\nif [ "${timeout}" = 0 ]; then\n  set timeout=10\nfi\n'
    )
    tree.write("boot/grub/grub.cfg", grub_cfg("Debian", NIXOS, after=after))
    assert tree.read().boots == THREE
    tree.write("boot/grub/grub.cfg", grub_cfg("osprober-1", NIXOS, after=after))
    assert tree.read().boots == ONE
    extra = "menuentry_id_option=--id\n"
    tree.write("boot/grub/grub.cfg", grub_cfg("osprober-1", NIXOS, extra=extra, after=after))
    assert tree.read().boots == THREE


def test_grub_starts_a_xen_guest_s_kernel_by_its_module(tree: Tree) -> None:
    """With Xen the kernel is a module."""
    text = f"menuentry 'X' {{\n multiboot /xen.gz\n module /k init={TWO}/init\n module /i\n}}\n"
    tree.write("boot/grub/grub.cfg", text)
    assert tree.read().boots == TWO


def test_a_mirror_that_cannot_be_read_is_not_passed_over(tree: Tree) -> None:
    """What it boots may be another system."""
    tree.write("boot1/grub/grub.cfg", grub_cfg("0", NIXOS))
    tree.write("boot2/grub/grub.cfg", "menuentry 'x' {\n")
    unread(tree.read(), "GRUB")


def test_a_variable_in_a_kernels_words_names_no_system(tree: Tree) -> None:
    """Of what the firmware sets nothing is known before a boot."""
    text = f"menuentry 'X' {{\n linux /k init={TWO}$root/init\n}}\n"
    tree.write("boot/grub/grub.cfg", text)
    unread(tree.read(), "GRUB")


def test_mirrored_boots_must_agree(tree: Tree) -> None:
    """``mirroredBoots`` are several files, each with an environment of its own."""
    for folder in ("boot1", "boot2"):
        tree.write(f"{folder}/grub/grub.cfg", grub_cfg("saved", NIXOS))
    assert tree.read() == Read(ONE, "grub")
    tree.write("boot2/grub/grubenv", grubenv(saved_entry="1"))
    unread(tree.read(), "/boot1/grub/grub.cfg", "/boot2/grub/grub.cfg")
    tree.write("boot1/grub/grubenv", grubenv(saved_entry="gpu"))
    assert tree.read().boots == TWO


# --- extlinux ---


def test_extlinux_boots_the_label_of_its_default_alone(tree: Tree) -> None:
    """A label is told from one whose name it begins."""
    labels = [("nixos-default-2", ONE), ("nixos-default", TWO), ("nixos-1-default", THREE)]
    tree.write("boot/extlinux/extlinux.conf", extlinux_conf("nixos-default", labels))
    assert tree.read() == Read(TWO, "extlinux")
    tree.write("boot/extlinux/extlinux.conf", extlinux_conf("nixos-1-default", labels))
    assert tree.read().boots == THREE


@pytest.mark.parametrize(
    "change",
    [
        ("DEFAULT nixos-default\n", ""),
        ("DEFAULT nixos-default", "DEFAULT nixos.default"),
        ("TIMEOUT 50", "include more.conf"),
        ("  LINUX ../nixos/k-Image\n", ""),
        ("TIMEOUT 50", "ONTIMEOUT other"),
        ("  FDTDIR ../nixos/k-dtbs", "  localboot 1"),
        ("  FDTDIR ../nixos/k-dtbs", "  append init=/bin/sh"),
        ("  FDTDIR ../nixos/k-dtbs", "  MENU DEFAULT"),
    ],
)
def test_an_extlinux_that_is_not_followed_says_nothing(tree: Tree, change: tuple[str, str]) -> None:
    """Neither the first label nor another's options are taken for the default's."""
    text = extlinux_conf("nixos-default", [("nixos-default", ONE)]).replace(*change)
    tree.write("boot/extlinux/extlinux.conf", text)
    unread(tree.read(), "extlinux")


def test_mirrored_extlinux_must_agree(tree: Tree) -> None:
    """Several extlinux.conf (``mirroredBoots``) that name different systems say nothing."""
    for folder, boots in (("boot1", ONE), ("boot2", ONE)):
        text = extlinux_conf("nixos-default", [("nixos-default", boots)])
        tree.write(f"{folder}/extlinux/extlinux.conf", text)
    assert tree.read().boots == ONE
    text = extlinux_conf("nixos-default", [("nixos-default", TWO)])
    tree.write("boot2/extlinux/extlinux.conf", text)
    unread(tree.read(), "different")


# --- which loader ---


def test_a_host_without_a_boot_loader_says_so(tree: Tree) -> None:
    """A container has no loader, and that is the reason that is given."""
    tree.root.mkdir()
    unread(tree.read(), "no boot loader")


def test_a_loader_that_is_not_followed_hides_what_an_earlier_one_left(tree: Tree) -> None:
    """Limine and rEFInd are known by their files alone."""
    tree.entry("a.conf", ONE)
    conf = tree.write("boot/loader/loader.conf", "default a.conf\n")
    other = tree.write("boot/limine/limine.conf", "timeout: 5\n")
    os.utime(conf, (100, 100))
    os.utime(other, (200, 200))
    unread(tree.read(), "Limine")
    os.utime(other, (50, 50))
    assert tree.read().boots == ONE
    os.utime(other, (100, 100))
    unread(tree.read(), "old as each other")


def test_without_awk_nothing_is_read(tmp_path: Path) -> None:
    """A host without awk says so, and nothing breaks."""
    tree = Tree(tmp_path / "host", ("/bin/sh",))
    tree.entry("a.conf", ONE)
    tree.write("boot/loader/loader.conf", "default a.conf\n")
    text = tree.read()
    assert text.boots == ONE
    (tmp_path / "empty").mkdir()
    environment = dict(os.environ)
    try:
        os.environ["PATH"] = str(tmp_path / "empty")
        unread(tree.read(), "awk")
    finally:
        os.environ.update(environment)


@pytest.mark.parametrize(
    "path", ["boot/grub/grub.cfg", "boot/loader/loader.conf", "boot/extlinux/extlinux.conf"]
)
def test_what_takes_for_ever_to_read_is_given_up(tmp_path: Path, path: str) -> None:
    """A file that is one endless word, or an awk that does not end, holds nobody up."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "awk").write_text("#!/bin/sh\nexec sleep 100\n")
    (programs / "timeout").write_text(
        f'#!/bin/sh\n[ "$1" = 10 ] && shift && exec {shutil.which("timeout")} 0.2 "$@"\n'
    )
    for program in programs.iterdir():
        program.chmod(0o755)
    tree = Tree(tmp_path / "host", path=f"{programs}:")
    tree.write(path, "default x\n")
    unread(tree.read(), path, "could not be read to its end")


@pytest.mark.parametrize(
    ("wanted", "mounted", "bare"),
    [
        ([], [], ""),
        (["boot"], ["boot"], ""),
        (["boot"], [], "/boot"),
        (["boot/"], ["boot"], ""),
        (["boot", "boot/efi"], ["boot"], ""),
        (["boot", "boot2"], ["boot"], "/boot2"),
        (["boot", "boot3"], ["boot"], ""),
    ],
)
def test_what_is_where_a_partition_is_not_mounted_boots_nothing(
    tree: Tree, wanted: list[str], mounted: list[str], bare: str
) -> None:
    """No loader reads the files below a mount point: they are left over, or written amiss."""
    for folder in ("boot", "boot2"):
        tree.write(f"{folder}/grub/grub.cfg", grub_cfg("0", NIXOS))
    tree.mounts(*wanted, mounted=mounted)
    read = tree.read()
    if bare:
        unread(read, f"{bare} is not mounted")
    else:
        assert read.source == "grub", read
