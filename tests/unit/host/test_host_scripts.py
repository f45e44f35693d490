"""The scripts of hosts, run by this machine's shell against a folder that looks like a host."""

from __future__ import annotations

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.core.state import BootSource, HostState
from orchestrator.core.store import OutPath
from orchestrator.host import scripts
from orchestrator.host.status import parse_state

NEW = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
OLD = OutPath("/nix/store/dddddddddddddddddddddddddddddddd-nixos-system-p620")
PLACES = ("/etc/machine-id", "/run/", "/nix/var/", "/var/lib/", "/boot", "/efi/loader", "/sys/")
TOOL = '#!/bin/sh\nprintf "%s\\n" "${0##*/} $*" >> "$CALLS"\n'


class Machine:
    """A folder that stands for a host's root; its tools note how they are called."""

    def __init__(self, root: Path) -> None:
        self.root = root / "root"
        self.calls = root / "calls"
        self.bin = root / "bin"
        self.bin.mkdir()
        self.calls.touch()
        for tool in ("systemctl", "systemd-run", "nix-env", "sync"):
            self.tool(tool)
        self.write("etc/machine-id", "0123\n")

    def tool(self, name: str, text: str = "") -> None:
        """Make a command do something."""
        (self.bin / name).write_text(TOOL + text)
        (self.bin / name).chmod(0o755)

    def write(self, path: str, text: str) -> Path:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def run(self, text: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a script with the root put before each absolute path."""
        # The store is no place of the machine: its paths are data.
        for place in PLACES:
            text = text.replace(place, f"{self.root}{place}")
        text = text.replace(f"{self.root}/boot{self.root}/efi", f"{self.root}/boot/efi")
        return subprocess.run(
            scripts.script(text, *arguments),
            env={"PATH": f"{self.bin}:{os.environ['PATH']}", "CALLS": str(self.calls)},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def state(self) -> HostState:
        """Ask for the state."""
        done = self.run(scripts.STATE)
        assert done.returncode == 0, done.stderr
        return parse_state(done.stdout)

    @property
    def called(self) -> list[str]:
        """How the tools were called."""
        return self.calls.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Make an empty machine."""
    return Machine(tmp_path)


def entry(path: OutPath) -> str:
    """A boot loader entry of systemd-boot's."""
    return f"title NixOS\nlinux /EFI/nixos/k.efi\noptions init={path}/init loglevel=4\n"


@pytest.mark.parametrize("esp", ["boot", "efi", "boot/efi"])
def test_a_host_says_what_it_boots_and_which_loader_says_it(machine: Machine, esp: str) -> None:
    """The ESP may be mounted at each of three places; ``test_loaders.py`` has all the rest."""
    machine.write(f"{esp}/loader/loader.conf", "timeout 5\ndefault nixos-generation-2.conf\n")
    for number, path in enumerate((NEW, OLD), 1):
        machine.write(f"{esp}/loader/entries/nixos-generation-{number}.conf", entry(path))
    machine.write(f"{esp}/EFI/nixos/k.efi", "")
    state = machine.state()
    assert (state.boot_default, state.boot_source) == (OLD, BootSource.SYSTEMD_BOOT)
    assert (state.boot_note, state.boot_warning) == ("", "")


@pytest.mark.parametrize("last", ["loader/loader.conf", "grub/grub.cfg", "extlinux/extlinux.conf"])
def test_the_boot_loader_that_was_written_last_counts(machine: Machine, last: str) -> None:
    """One that was replaced leaves its files behind."""
    machine.write("boot/loader/loader.conf", "default a.conf\n")
    machine.write("boot/EFI/nixos/k.efi", "")
    machine.write("boot/loader/entries/a.conf", entry(NEW if "loader/" in last else OLD))
    grub = f"menuentry N {{\n  linux /k init={NEW if 'grub' in last else OLD}/init\n}}\n"
    machine.write("boot/grub/grub.cfg", grub)
    label = f"DEFAULT a\nLABEL a\n  LINUX k\n  APPEND init={NEW if 'ext' in last else OLD}/init\n"
    machine.write("boot/extlinux/extlinux.conf", label)
    for file in ("loader/loader.conf", "grub/grub.cfg", "extlinux/extlinux.conf"):
        os.utime(machine.root / "boot" / file, (100 + 9 * (file == last),) * 2)
    assert machine.state().boot_default == NEW


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({}, "no boot loader"),
        ({"boot/loader/loader.conf": "timeout 5\n"}, "no entry"),
        ({"boot/loader/loader.conf": "default gone.conf\n"}, "no entry"),
        ({"boot/grub/grub.cfg": "# empty\n"}, "no entry"),
        ({"boot/extlinux/extlinux.conf": "DEFAULT gone\n"}, "gone"),
    ],
)
def test_without_a_default_the_profile_stands_for_it_and_the_reason_is_said(
    machine: Machine, files: dict[str, str], why: str
) -> None:
    """A boot loader that says nothing is not read as one that says something."""
    for path, text in files.items():
        machine.write(path, text)
    state = machine.state()
    assert (state.boot_default, state.boot_source) == (None, BootSource.PROFILE)
    assert why in state.boot_note
    assert state.boot_note in state.boot_warning
    assert state.machine_id == "0123"
    assert (state.running, state.profile, state.failed_units) == (None, None, ())


def test_a_profile_that_leads_nowhere_is_none(machine: Machine) -> None:
    """A system that was collected is nothing to return to."""
    link = machine.write("nix/var/nix/profiles/x", "").with_name("system")
    link.symlink_to(OLD.path)
    assert "profile=" not in machine.run(scripts.STATE).stdout
    link.unlink()
    link.symlink_to(machine.root)
    assert f"profile={machine.root}\n" in machine.run(scripts.STATE).stdout


def test_failed_units_and_the_record_are_told(machine: Machine) -> None:
    """Units by their first column; the record line by line."""
    machine.tool(
        "systemctl", "echo 'a.service loaded failed failed Some words'\necho 'b.mount x'\n"
    )
    machine.write(
        "var/lib/orchestrator/record", f"run=7\nwho=me@here\ntarget={NEW}\nended=1715000000\n"
    )
    state = machine.state()
    assert state.failed_units == ("a.service", "b.mount")
    assert state.record is not None
    assert (state.record.run, state.record.out_path) == (7, NEW)


def test_what_runs_is_named_as_a_specialisation_of_the_systems_that_have_it(
    machine: Machine,
) -> None:
    """The profile's comes first, then other generations'; a system that is no one's is not."""
    for system in ("old", "new", "other", "variant"):
        machine.write(f"s/{system}/init", "")
    profiles = machine.write("nix/var/nix/profiles/x", "").parent
    for link, to in (("system-1-link", "old"), ("system-2-link", "new"), ("system", "new")):
        (profiles / link).symlink_to(machine.root / "s" / to)
    for system in ("old", "new"):
        variants = machine.root / "s" / system / "specialisation"
        variants.mkdir()
        (variants / "gaming").symlink_to(machine.root / "s/variant")
        (variants / "gone").symlink_to("/nowhere")
    running = machine.write("run/x", "").with_name("current-system")

    def said() -> list[str]:
        out = machine.run(scripts.STATE).stdout
        return [line for line in out.splitlines() if line.startswith("running_as=")]

    systems = machine.root / "s"
    for runs, named in (("variant", ["new", "old"]), ("new", []), ("other", [])):
        running.unlink(missing_ok=True)
        running.symlink_to(systems / runs)
        wanted = [f"running_as={systems / system} gaming" for system in named]
        assert list(dict.fromkeys(said())) == wanted
    running.unlink()
    running.symlink_to(systems / "variant")
    for link in ("system", "system-2-link", "system-1-link"):
        (profiles / link).unlink()
    assert said() == []
    machine.write("run/orchestrator/attempt", f"token=t\ntarget={systems / 'old'}\n")
    assert said() == [f"running_as={systems / 'old'} gaming"]


def scripts_of_the_room() -> Iterator[tuple[str, str]]:
    """Each script that a host is given: the guard's files, and texts in the modules."""
    room = Path(scripts.__file__).parent
    for file in room.rglob("*.sh"):
        yield file.name, file.read_text()
    for file in room.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield file.name, node.value


def test_what_a_script_removes_at_its_end_is_named_once() -> None:
    """A variable that is used for something else meanwhile would have that removed, as root."""
    traps = [
        (where, name, text)
        for where, text in scripts_of_the_room()
        for name in re.findall(r"""trap '[^']*rm -rf "?\$\{?(\w+)""", text)
    ]
    assert {where for where, _, _ in traps} >= {"accounts.py", "scripts.py"}
    for where, name, text in traps:
        given = re.findall(rf"(?<![\w$]){name}=|\bfor {name} in\b|\bread [^;\n]*\b{name}\b", text)
        assert given == [f"{name}="], f"{where}: {name}: {given}"
