"""The scripts of hosts, run by this machine's shell against a folder that looks like a host."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.adapters.host import scripts
from orchestrator.adapters.host.state import parse_state
from orchestrator.model.state import BootSource, HostState
from orchestrator.model.store import OutPath

NEW = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
OLD = OutPath("/nix/store/dddddddddddddddddddddddddddddddd-nixos-system-p620")
ENDED = f"\n{scripts.ENDED}"
PLACES = ("/etc/machine-id", "/run/", "/nix/var/", "/var/lib/", "/boot", "/efi")
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
@pytest.mark.parametrize("default", ["nixos-generation-2.conf", "nixos-generation-2", "*-2.conf"])
def test_systemd_boot_names_its_default(machine: Machine, esp: str, default: str) -> None:
    """``loader.conf`` names an entry, with or without its ending or as a glob: loader.conf(5)."""
    machine.write(f"{esp}/loader/loader.conf", f"timeout 5\ndefault {default}\nconsole-mode keep\n")
    machine.write(f"{esp}/loader/entries/nixos-generation-1.conf", entry(NEW))
    machine.write(f"{esp}/loader/entries/nixos-generation-2.conf", entry(OLD))
    state = machine.state()
    assert (state.boot_default, state.boot_source) == (OLD, BootSource.SYSTEMD_BOOT)


def test_grub_boots_its_first_entry(machine: Machine) -> None:
    """The first menu entry's ``init=``."""
    menu = "".join(
        f'menuentry "NixOS" {{\n  linux ($drive1)//kernels/k init={path}/init loglevel=4\n}}\n'
        for path in (NEW, OLD)
    )
    machine.write("boot/grub/grub.cfg", menu)
    state = machine.state()
    assert (state.boot_default, state.boot_source) == (NEW, BootSource.GRUB)


def test_extlinux_names_its_default(machine: Machine) -> None:
    """The label that ``DEFAULT`` names, and no other."""
    labels = "".join(
        f"LABEL {label}\n  LINUX ../nixos/k\n  APPEND init={path}/init loglevel=4\n"
        for label, path in (("nixos-1-default", NEW), ("nixos-default", OLD))
    )
    machine.write("boot/extlinux/extlinux.conf", f"TIMEOUT 50\nDEFAULT nixos-default\n{labels}")
    state = machine.state()
    assert (state.boot_default, state.boot_source) == (OLD, BootSource.EXTLINUX)


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"boot/loader/loader.conf": "timeout 5\n"},
        {"boot/loader/loader.conf": "default gone.conf\n"},
        {"boot/grub/grub.cfg": "# empty\n"},
        {"boot/extlinux/extlinux.conf": "DEFAULT gone\n"},
    ],
)
def test_without_a_default_the_profile_stands_for_it(
    machine: Machine, files: dict[str, str]
) -> None:
    """A boot loader that says nothing is not read as one that says something."""
    for path, text in files.items():
        machine.write(path, text)
    state = machine.state()
    assert (state.boot_default, state.boot_source) == (None, BootSource.PROFILE)
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


def test_a_record_replaces_the_one_before(machine: Machine) -> None:
    """Whole, and nothing is left beside it."""
    for text in ("first", "second"):
        assert machine.run(scripts.RECORD, stdin=text).returncode == 0
    folder = machine.root / "var/lib/orchestrator"
    assert [(file.name, file.read_text()) for file in folder.iterdir()] == [("record", "second")]


def test_work_is_started_in_a_unit(machine: Machine) -> None:
    """With a root for the system, and the script kept in the unit's folder."""
    done = machine.run(scripts.START, "u-1", "activate", NEW.path, "a b", "c", stdin="echo hi\n")
    assert done.returncode == 0, done.stderr
    folder = machine.root / "run/orchestrator/u-1"
    assert (folder / "action").read_text() == "echo hi\n"
    assert str((machine.root / "nix/var/nix/gcroots/orchestrator/u-1").readlink()) == NEW.path
    (call, *_) = machine.called
    assert call.startswith("systemd-run --quiet --collect")
    assert "--unit=u-1" in call


def test_no_unit_is_started_twice(machine: Machine) -> None:
    """A name that is taken is refused before anything is started."""
    assert machine.run(scripts.START, "u-1", "activate", NEW.path).returncode == 0
    before = machine.called
    assert machine.run(scripts.START, "u-1", "activate", OLD.path).returncode != 0
    assert machine.called == before


@pytest.mark.parametrize("code", [0, 4, 1])
def test_a_unit_says_how_its_work_ended(machine: Machine, code: int) -> None:
    """Exit code first, then all that it said on both streams; arguments arrive as they are."""
    machine.tool("systemd-run", 'while [ "$1" != -- ]; do shift; done; shift; "$@"\n')
    action = f'printf "%s|" "$@"; echo err >&2; exit {code}\n'
    assert (
        machine.run(scripts.START, "u-1", "x", NEW.path, "a b", "$(id)", stdin=action).returncode
        == 0
    )
    done = machine.run(scripts.WAIT, "u-1")
    assert done.stdout == f"{ENDED} {code}\na b|$(id)|err\n"


def test_a_killed_unit_is_told(machine: Machine) -> None:
    """A unit that is gone without a word of its end, with what it said until then."""
    machine.tool("systemctl", "exit 3\n")
    machine.write("run/orchestrator/u-1/log", "half way\n")
    assert machine.run(scripts.WAIT, "u-1").stdout == f"{ENDED} killed\nhalf way\n"


def test_a_unit_that_never_was_is_told(machine: Machine) -> None:
    """Where the start was lost, waiting ends at once."""
    assert machine.run(scripts.WAIT, "u-1").stdout == f"{ENDED} unknown\n"


def test_a_start_that_is_late_comes_to_nothing(machine: Machine) -> None:
    """What was called killed, or was stopped, must not begin beside the way back."""
    machine.tool("systemctl", "[ $1 != show ] || echo inactive\n[ $1 != is-active ]\n")
    machine.write("run/orchestrator/u-1/log", "")
    assert machine.run(scripts.WAIT, "u-1").stdout == f"{ENDED} killed\n"
    assert machine.run(scripts.STOP, "u-2").returncode == 0
    machine.tool("systemd-run", 'while [ "$1" != -- ]; do shift; done; shift; "$@"\n')
    for unit in ("u-1", "u-2"):
        assert machine.run(scripts.START, unit, "x", NEW.path, stdin="touch $0").returncode != 0
        # Late is also whoever took the folder before: its unit looks again.
        late = scripts.START.replace('mkdir "$dir"\n', "")
        assert machine.run(late, unit, "x", NEW.path, stdin="echo it ran\n").returncode == 0
        assert not (machine.root / f"run/orchestrator/{unit}/exit").exists()


def test_a_unit_that_goes_on_is_not_called_stopped(machine: Machine) -> None:
    """The exit code tells, whatever systemctl said."""
    machine.tool("systemctl", "[ $1 != show ] || echo deactivating\n")
    assert machine.run(scripts.STOP, "u-1").returncode == 1


def test_a_unit_is_forgotten(machine: Machine) -> None:
    """Its folder and its root; the others' stay."""
    for unit in ("u-1", "u-2"):
        machine.run(scripts.START, unit, "x", NEW.path)
    assert machine.run(scripts.FORGET, "u-1").returncode == 0
    assert [path.name for path in (machine.root / "run/orchestrator").iterdir()] == ["u-2"]
    roots = machine.root / "nix/var/nix/gcroots/orchestrator"
    assert [path.name for path in roots.iterdir()] == ["u-2"]


def system(machine: Machine, name: str, code: int = 0) -> str:
    """A system whose activation notes how it is called."""
    script = f"{name}/bin/switch-to-configuration"
    file = machine.write(
        script, f'#!/bin/sh\nprintf "%s\\n" "{name} $*" >> "$CALLS"\nexit {code}\n'
    )
    file.chmod(0o755)
    return str(machine.root / name)


def test_commit_sets_the_profile_first(machine: Machine) -> None:
    """Then the boot default; where the profile cannot be set, the boot default stays."""
    new = system(machine, "new")
    profile = f"nix-env --profile {machine.root}/nix/var/nix/profiles/system --set {new}"
    assert machine.run(scripts.COMMIT, new, new).returncode == 0
    assert machine.called == [profile, "new boot"]
    machine.tool("nix-env", "exit 1\n")
    assert machine.run(scripts.COMMIT, new, new).returncode == 1
    assert machine.called == [profile, "new boot", profile]


@pytest.mark.parametrize(("code", "ends"), [(0, 75), (4, 75), (1, 1)])
def test_return_does_all_it_can(machine: Machine, code: int, ends: int) -> None:
    """What boots first; a step that fails keeps none of the others from being tried."""
    old = system(machine, "old", code)
    machine.tool("nix-env", "exit 1\n")
    assert machine.run(scripts.RETURN, old, old, old).returncode == ends
    assert [call.split()[0] for call in machine.called] == ["nix-env", "old", "old"]
    assert machine.called[1:] == ["old boot", "old test"]


def test_return_ends_well_where_units_fail(machine: Machine) -> None:
    """Exit 4: the system is activated, and units failed that may have failed before."""
    assert machine.run(scripts.RETURN, "", "", system(machine, "old", 4)).returncode == 0


def test_return_leaves_alone_what_it_is_not_given(machine: Machine) -> None:
    """An empty argument is no system."""
    old = system(machine, "old")
    assert machine.run(scripts.RETURN, "", "", old).returncode == 0
    assert machine.called == ["old test"]


def test_activation_is_the_systems_own(machine: Machine) -> None:
    """Its exit code is the script's."""
    new = system(machine, "new", code=4)
    assert machine.run(scripts.ACTIVATE, new, "test").returncode == 4
    assert machine.called == ["new test"]
