"""Boot loaders' folders, written as NixOS writes them, read by the host's own reader in a folder.

The formats are written from their specifications: the UAPI Boot Loader Specification, systemd's
``loader.conf(5)`` and Boot Loader Interface, GRUB's manual, U-Boot's ``doc/README.pxe``.
"""

from __future__ import annotations

import os
import re
import struct
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator.host import scripts

LOADER_GUID = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
PLACE = re.compile(r"(?<![\w.*-])/(boot|efi|sys|etc/fstab|proc/self/mounts)(?=[]/ *;\n])")


def system(number: int) -> str:
    """The store path of a system."""
    letter = "0123456789abcdfghijklmnpqrsvwxyz"[number % 32]
    return f"/nix/store/{letter * 32}-nixos-system-{number}"


@dataclass(frozen=True, slots=True)
class Read:
    """What the reader says.

    Attributes:
        boots: The boot default; empty where it cannot be read.
        source: The loader; empty where it cannot be read.
        note: Why it cannot be read, or what the next boot alone starts.
        by: What chose it.
    """

    boots: str = ""
    source: str = ""
    note: str = ""
    by: str = ""


@dataclass
class Tree:
    """A folder that stands for a host's root."""

    root: Path
    shell: Sequence[str] = ("sh",)
    path: str = ""

    def write(self, path: str, text: str | bytes) -> Path:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        return file

    def variable(self, name: str, text: str) -> None:
        """Write an EFI variable as efivarfs shows it: attributes, then NUL-terminated UTF-16."""
        data = struct.pack("<I", 7) + f"{text}\0".encode("utf-16-le")
        self.write(f"sys/firmware/efi/efivars/{name}-{LOADER_GUID}", data)

    def entry(
        self,
        name: str,
        boots: str,
        *,
        sort_key: str | None = "nixos",
        version: str = "Generation 1 25.05, built on 2025-06-01",
        machine_id: str | None = "f0" * 16,
        partition: str = "boot",
        kernel: bool = True,
    ) -> None:
        """Write an entry of systemd-boot's as systemd-boot-builder.py does, and its kernel."""
        image = f"EFI/nixos/{boots[11:43]}-linux-6.12-bzImage.efi"
        if kernel:
            self.write(f"{partition}/{image}", "MZ")
        lines = [
            "title NixOS",
            f"version {version}",
            f"linux /{image}",
            "initrd /EFI/nixos/x-initrd.efi",
            f"options init={boots}/init loglevel=4 lsm=landlock,yama,bpf",
            *([f"machine-id {machine_id}"] if machine_id else []),
            *([f"sort-key {sort_key}"] if sort_key else []),
        ]
        self.write(f"{partition}/loader/entries/{name}", "\n".join(lines))

    def loader(self, version: str, partition: str = "boot") -> None:
        """Install a version of systemd-boot, as far as it tells of itself."""
        magic = f"MZ\0\0#### LoaderInfo: systemd-boot {version} ####\0"
        self.write(f"{partition}/EFI/systemd/systemd-bootx64.efi", magic)
        self.write(f"{partition}/EFI/BOOT/BOOTX64.EFI", magic)

    def under(self, filesystem: str, *types: str) -> None:
        """Have the host's programs say what its folders are on: ``findmnt``'s and ``lsblk``'s."""
        machine = self.root.parent / "machine"
        machine.mkdir(parents=True, exist_ok=True)
        for name, lines in (("findmnt", (filesystem,)), ("lsblk", types)):
            said = "".join(f"echo {line}\n" for line in lines)
            (machine / name).write_text(f"#!/bin/sh\n{said}")
            (machine / name).chmod(0o755)

    def mounts(self, *wanted: str, mounted: Sequence[str] = ()) -> None:
        """Write the mount points that its fstab has, and those that are mounted."""
        for file, points in (("etc/fstab", wanted), ("proc/self/mounts", mounted)):
            lines = (f"/dev/x {self.root}/{point} ext4 rw 0 2\n" for point in points)
            self.write(file, "# <device> /boot <type>\n/dev/y / ext4 rw 0 1\n" + "".join(lines))

    def read(self) -> Read:
        """Have the host's reader read it; it is on a plain disk where no test says otherwise."""
        machine = self.root.parent / "machine"
        if not machine.exists():
            self.under("ext4", "part", "disk")
        text = PLACE.sub(rf"{self.root}/\1", f"{scripts.SYSTEMS}\nboot_default")
        done = subprocess.run(
            (*self.shell, "-c", text),
            env={"PATH": f"{self.path}{machine}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            timeout=60,
            errors="replace",
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        said: dict[str, str] = {}
        for line in done.stdout.replace(str(self.root), "").splitlines():
            key, _, value = line.partition("=")
            assert key not in said, done.stdout
            said[key] = value
        keys = ("boot_default", "boot_source", "boot_note", "boot_by")
        assert said.keys() <= {*keys, "boot_file", "boot_entry"}, done.stdout
        return Read(*(said.get(key, "") for key in keys))


def image(
    osrel: str, cmdline: str, *, extra: Mapping[str, bytes] | None = None, cut: int | None = None
) -> bytes:
    """Build a PE file with the sections of a unified kernel image (UAPI.5)."""
    sections = {".osrel": osrel.encode(), ".cmdline": cmdline.encode(), **(extra or {})}
    begin = 0x80 + 24 + 240
    offset = 1024
    table, data = b"", b""
    for name, content in sections.items():
        padded = content + b"\0" * (-len(content) % 512)
        table += struct.pack(
            "<8sIIIIIIHHI", name.encode(), len(content), 0, len(padded), offset, 0, 0, 0, 0, 0
        )
        data += padded
        offset += len(padded)
    head = bytearray(begin)
    head[0:2] = b"MZ"
    head[0x3C:0x40] = struct.pack("<I", 0x80)
    head[0x80:0x84] = b"PE\0\0"
    head[0x84:0x98] = struct.pack("<HHIIIHH", 0x8664, len(sections), 0, 0, 0, 240, 0)
    whole = bytes(head) + table
    return (whole + b"\0" * (1024 - len(whole)) + data)[:cut]


def lanzaboote(generation: int, boots: str) -> bytes:
    """A stub of Lanzaboote's: the release names the generation, the command line the system."""
    osrel = f'ID=lanza\nPRETTY_NAME="NixOS"\nVERSION_ID="Generation {generation}, 2025-06-01"\n'
    linux = {".linux": b"\\EFI\\nixos\\kernel.efi", ".initrd": b"\\EFI\\nixos\\initrd.efi"}
    return image(osrel, f"init={boots}/init loglevel=4", extra=linux)


@dataclass(frozen=True, slots=True)
class Entry:
    """A menu entry of GRUB's.

    Attributes:
        title: As the menu shows it.
        boots: The system that it starts; ``None`` for what is none of NixOS's.
        id: As ``--id`` gives it.
    """

    title: str
    boots: str | None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Menu:
    """A submenu of GRUB's, or the menu itself."""

    title: str
    entries: tuple[Entry | Menu, ...]
    id: str = ""


PROLOGUE = """# Automatically generated.  DO NOT EDIT THIS FILE!

        search --set=drive1 --fs-uuid 4f6a-22bb
    search --set=drive2 --fs-uuid 0b1c-77aa
    if [ -s $prefix/grubenv ]; then
      load_env
    fi

    # \u2018grub-reboot\u2019 sets a one-time saved entry, which we process here and
    # then delete.
    if [ "${next_entry}" ]; then
      set default="${next_entry}"
      set next_entry=
      save_env next_entry
      set timeout=1
      set boot_once=true
    else
      set default=@default@
      set timeout=5
    fi
    set timeout_style=menu

    function savedefault {
        if [ -z "${boot_once}"]; then
        saved_entry="${chosen}"
        save_env saved_entry
        fi
    }

    # Setup the graphics stack for bios and efi systems
    if [ "${grub_platform}" = "efi" ]; then
      insmod efi_gop
      insmod efi_uga
    else
      insmod vbe
    fi

        insmod font
        if loadfont ($drive2)/converted-font.pf2; then
          insmod gfxterm
          if [ "${grub_platform}" = "efi" ]; then
            set gfxmode=auto
            set gfxpayload=keep
          else
            set gfxmode=1024x768
            set gfxpayload=text
          fi
          terminal_output gfxterm
        fi

        background_color '#2F302F'

        insmod png
        if background_image --mode 'stretch' ($drive2)/background.png; then
          set color_normal=white/black
          set color_highlight=black/white
        else
          set menu_color_normal=cyan/blue
          set menu_color_highlight=white/blue
        fi
"""


def grub_cfg(default: str, menu: Menu, *, extra: str = "", after: str = "") -> str:
    """Write ``grub.cfg`` as install-grub.pl does.

    Args:
        default: ``boot.loader.grub.default``; ``saved`` stands for the saved entry.
        menu: What the menu has.
        extra: ``boot.loader.grub.extraConfig``.
        after: What os-prober appends.
    """
    default = '"${saved_entry}"' if default == "saved" else default
    saved = "saved_entry" in default
    parts = [PROLOGUE.replace("@default@", default), extra, "\n"]
    parts += [_grub_entry(each, saved=saved) for each in menu.entries]
    return "".join([*parts, after])


def _grub_entry(entry: Entry | Menu, *, saved: bool) -> str:
    options = f' --id "{entry.id}"' if entry.id else ""
    match entry:
        case Menu(title, entries):
            inner = "".join(_grub_entry(each, saved=saved) for each in entries)
            return f'submenu "{title}" --class submenu{options} {{\n{inner}}}\n'
        case Entry(title, None):
            return f'menuentry "{title}" --class windows{options} {{\n  chainloader +1\n}}\n\n'
        case Entry(title, boots):
            remember = "  savedefault\n" if saved else ""
            return (
                f'menuentry "{title}" --class nixos --unrestricted{options} {{\n{remember}'
                "search --set=drive1 --fs-uuid 4f6a-22bb\n"
                f"  linux ($drive1)//kernels/k-bzImage init={boots}/init loglevel=4 "
                'acpi_osi="!Windows 2015" systemd.setenv=A=12\n'
                "  initrd ($drive1)//kernels/k-initrd\n}\n\n"
            )


def grubenv(**values: str) -> str:
    """GRUB's environment block: 1,024 bytes."""
    lines = "".join(
        f"{name}={value.replace(chr(92), chr(92) * 2)}\n" for name, value in values.items()
    )
    return ("# GRUB Environment Block\n" + lines).ljust(1024, "#")


def extlinux_conf(default: str, labels: Sequence[tuple[str, str]]) -> str:
    """Write ``extlinux.conf`` as extlinux-conf-builder.sh does."""
    head = (
        "# Generated file, all changes will be lost on nixos-rebuild!\n\n"
        "# Change this to e.g. nixos-42 to temporarily boot to an older configuration.\n"
        f"DEFAULT {default}\n\nTIMEOUT 50\nMENU TITLE {'-' * 60}\n"
    )
    return head + "".join(
        f"\nLABEL {label}\n  MENU LABEL NixOS - {label}\n  LINUX ../nixos/k-Image\n"
        f"  INITRD ../nixos/k-initrd\n  APPEND init={boots}/init loglevel=4\n"
        "  FDTDIR ../nixos/k-dtbs\n"
        for label, boots in labels
    )
