"""Preflight's question, asked by this machine's shells of a folder that stands for a host."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from orchestrator.core import process
from orchestrator.core.checks import BootFiles, Facts, Inhibitor
from orchestrator.core.errors import StepError
from orchestrator.core.executor import Executor
from orchestrator.core.process import CommandResult
from orchestrator.core.store import OutPath
from orchestrator.deploy.copy.closure import understood
from orchestrator.deploy.copy.spool import Codec
from orchestrator.deploy.names import Machines
from orchestrator.host.boot import ask_standing
from orchestrator.host.preflight import PreflightAnswer, ask_facts, parse_facts

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
# The store is a place where it is looked at, and data where it is part of a name.
PLACES = re.compile(
    r"/nix/var/nix|/var/lib|/boot|(?<!/boot)/efi\b|/run/|/proc/|(?<= )/nix/store(?=$|\)|\n)"
)
TARGET = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
MOUNTED = """\
20 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro
21 20 254:2 / {root}/nix rw,nosuid shared:2 - ext4 /dev/vda2 {system},relatime
23 21 254:2 / {root}/nix/store ro,nosuid shared:2 - ext4 /dev/vda2 {system},relatime
22 20 0:30 / {root}/boot {boot} - vfat /dev/vda3 rw
"""
NIX_STORE = """#!/bin/sh
[ ! -e "$ROOT/nix-is-broken" ] || { echo "a warning" >&2; echo "error: no database" >&2; exit 1; }
for path; do
  case $path in /nix/store/*) [ -e "$ROOT/valid/${path##*/}" ] || {
    case $* in *--print-invalid*) echo "$path" ;; *) exit 1 ;; esac
  } ;; esac
done
"""
BUSCTL = """#!/bin/sh
echo '{"data":[[["shutdown:sleep","raid","it rebuilds","block",0,7],'\
'["shutdown","x","y","delay",0,8],["sleep","z","","block",0,9]]]}'
"""


@dataclass
class Machine:
    """A folder that stands for a host's root, and a shell."""

    root: Path
    shell: tuple[str, ...]

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run a script with the root put before each place."""
        assert root
        _, _, text, *rest = argv
        text = PLACES.sub(lambda found: f"{self.root}{found[0]}", text)
        environment = {"PATH": f"{self.root}/bin:{os.environ['PATH']}", "ROOT": str(self.root)}
        return await process.run(
            (*self.shell, "-c", text, *rest), deadline=deadline, stdin=stdin, env=environment
        )

    def repeat(self, argv: Sequence[str]) -> str:
        """Give a command line."""
        return " ".join(argv)

    def write(self, path: str, text: str = "") -> Path:
        """Write a file below the root."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def tool(self, name: str, text: str) -> None:
        """Put a command on the path."""
        self.write(f"bin/{name}", text).chmod(0o755)

    def mount(self, *, system: str = "rw", boot: str = "rw") -> None:
        """Say how the store's file system is mounted, and the boot loader's."""
        text = MOUNTED.format(root=self.root, system=system, boot=boot)
        self.write("proc/self/mountinfo", text)

    def ask(self, *closure: str, boots: bool = False, target: OutPath = TARGET) -> PreflightAnswer:
        """Ask what preflight asks."""
        return asyncio.run(ask_facts(cast(Executor, self), target, closure, boots=boots))


@pytest.fixture(params=SHELLS)
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A sound host that boots by systemd-boot."""
    shell = (request.param, "sh") if request.param == "busybox" else (request.param,)
    made = Machine(tmp_path, shell)
    for folder in ("nix/store", "nix/var/nix/db", "nix/var/nix/profiles", "var/lib", "run"):
        (tmp_path / folder).mkdir(parents=True)
    made.mount()
    made.tool("nix-store", NIX_STORE)
    made.tool("systemctl", "#!/bin/sh\n")
    made.tool("busctl", BUSCTL)
    for number in (7, 8):
        made.write(f"boot/loader/entries/nixos-generation-{number}.conf")
    made.write("boot/EFI/nixos/aaaa-linux-6.12-bzImage.efi")
    for part, size in (("kernel", 12), ("initrd", 30)):
        file = made.write(f"store/{part}-1/{part}", "x" * size)
        link = tmp_path / "run/current-system" / part
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file)
    return made


def test_a_sound_host_answers_everything(machine: Machine) -> None:
    """What is read is what is there."""
    facts = machine.ask(boots=True).facts
    assert (facts.user, facts.nix_error) == (os.getuid(), "")
    assert facts.read_only == facts.activations == ()
    assert facts.store is not None
    assert facts.store.free > 0
    assert facts.clock is not None
    assert facts.target is None
    assert facts.inhibitors == (Inhibitor("shutdown:sleep", "raid", "it rebuilds"),)
    assert facts.boot is not None
    assert facts.boot.folder == f"{machine.root}/boot"
    assert (facts.boot.generations, facts.boot.files) == (2, frozenset({"aaaa-linux-6.12-bzImage"}))
    assert facts.running is not None
    assert sorted(facts.running.sizes.values()) == [12, 30]


def test_where_nothing_can_hold_up_a_boot(machine: Machine) -> None:
    """Without logind there are no inhibitors; without a boot they are not asked for."""
    assert machine.ask().facts.inhibitors is None
    machine.tool("systemctl", "#!/bin/sh\nexit 3\n")
    answer = machine.ask(boots=True)
    assert answer.facts.inhibitors == ()
    assert answer.facts.activations is None


def test_a_file_system_that_is_read_only_by_itself(machine: Machine) -> None:
    """The store's mount is read-only on every NixOS; its file system must not be."""
    machine.mount(system="ro")
    assert machine.ask().facts.read_only == (
        f"{machine.root}/nix (ext4 on /dev/vda2)",
        f"{machine.root}/nix/store (ext4 on /dev/vda2)",
    )


def test_a_root_that_is_read_only(machine: Machine) -> None:
    """The mount that all others are below; what is mounted by itself is not meant."""
    mounts = machine.root / "proc/self/mountinfo"
    mounts.write_text(mounts.read_text().replace("/ rw,relatime shared:1", "/ ro shared:1"))
    assert machine.ask().facts.read_only == ("/ (ext4 on /dev/vda1)",)


def test_where_it_boots_from_may_be_read_only(machine: Machine) -> None:
    """A read-only boot folder is told apart from other mounts, with its device."""
    machine.mount(boot="ro,relatime")
    facts = machine.ask().facts
    assert facts.read_only == ()
    assert facts.boot is not None
    assert facts.boot.read_only == f"{machine.root}/boot (vfat on /dev/vda3)"


def test_a_machine_id_that_is_made_at_each_boot(machine: Machine) -> None:
    """A root in memory forgets it: it tells nothing of the machine."""
    assert not machine.ask().facts.volatile_id
    mounts = machine.root / "proc/self/mountinfo"
    mounts.write_text(mounts.read_text().replace("ext4 /dev/vda1", "tmpfs none"))
    assert machine.ask().facts.volatile_id


def holds(
    machine: Machine, target: Path | str, *, process: int = 812, users: str = "0 0 0 0"
) -> None:
    """Have a process keep a file open; its users are the real one, then those it acts by."""
    fds = machine.root / f"proc/{process}/fd"
    fds.mkdir(parents=True)
    (fds / "3").symlink_to("/dev/null")
    (fds / "9").symlink_to(target)
    tabs = users.replace(" ", "\t")
    machine.write(f"proc/{process}/status", f"Name:\tUid:\nUid:\t{tabs}\nGid:\t0\n")
    machine.write(f"proc/{process}/cmdline", "switch-to-configuration\0test\0")


def test_what_activates_a_system(machine: Machine) -> None:
    """Who has NixOS's lock open is named, and the units that activate."""
    lock = machine.write("run/nixos/switch-to-configuration.lock")
    holds(machine, lock)
    (machine.root / "proc/813/fd").mkdir(parents=True)
    (machine.root / "proc/813/fd/4").symlink_to("/dev/null")
    assert len(machine.ask().facts.activations or ()) == 1
    machine.tool("systemctl", "#!/bin/sh\necho 'nixos-upgrade.service loaded activating start x'\n")
    said = machine.ask().facts.activations
    assert said == (
        f"process 812 (switch-to-configuration test) has locked {lock}",
        "nixos-upgrade.service is at work",
    )


@pytest.mark.parametrize("users", ["65534 65534 65534 65534", "1000 0 0 0", "0 1000 0 1000"])
def test_only_root_activates_a_system(machine: Machine, users: str) -> None:
    """Anybody may open the lock's file, and pass it on to a program that becomes root."""
    lock = machine.write("run/nixos/switch-to-configuration.lock")
    holds(machine, lock, users=users)
    assert not any("has locked" in said for said in machine.ask().facts.activations or ())
    holds(machine, lock, process=900)
    assert any("process 900 " in said for said in machine.ask().facts.activations or ())


def test_only_the_locks_own_file_is_meant(machine: Machine) -> None:
    """Only holders of the lock's own file are named, not of files named alike or a container's."""
    lock = machine.write("run/nixos/switch-to-configuration.lock")
    named = machine.write(f"var/tmp/x -> {str(lock)[1:]}")
    holds(machine, named, process=901)
    link = machine.root / "var/tmp/link"
    link.symlink_to(lock)
    holds(machine, link, process=902)
    holds(machine, f"{lock} (deleted)", process=903)
    holds(machine, f"{lock}\n/proc/1/fd:\n{lock}", process=904)
    assert not any("has locked" in said for said in machine.ask().facts.activations or ())


def test_a_command_line_says_nothing_but_itself(machine: Machine) -> None:
    """Whatever is in it: it begins no line, and no fact is taken from it."""
    lock = machine.write("run/nixos/switch-to-configuration.lock")
    holds(machine, lock)
    evil = "evil\vstore=0 0 1 1\nuser=7\r\x1c\x85\u2028clock=1\x1b]0;x\x07" + "x" * 5000
    machine.write("proc/812/cmdline", f"{evil}\0{evil}")
    before = machine.ask().facts
    assert (before.user, before.volatile_id) == (os.getuid(), False)
    assert before.store is not None
    assert before.store.free > 1
    assert before.clock != 1
    (said,) = (one for one in before.activations or () if "has locked" in one)
    assert said.isprintable()
    assert said.isascii()
    assert len(said) < 300 + len(str(lock))


def test_grub_keeps_kernels_where_the_store_is_not_at_hand(machine: Machine) -> None:
    """Where the store is on the boot file system, GRUB copies no kernel to /boot."""
    shutil.rmtree(machine.root / "boot")
    machine.write(
        "boot/grub/grub.cfg",
        'menuentry "NixOS" {\n linux x init=/nix/store/a/init\n}\nlinux y init=/nix/store/b/init\n',
    )
    assert machine.ask().facts.boot is None
    machine.write("boot/kernels/aaaa-linux-6.12-bzImage")
    boot = machine.ask().facts.boot
    assert boot is not None
    assert (boot.generations, boot.files) == (2, frozenset({"aaaa-linux-6.12-bzImage"}))


def test_extlinux_keeps_kernels_in_a_folder_of_its_own(machine: Machine) -> None:
    """With extlinux, labels count as generations and kernels lie in a folder of their own."""
    shutil.rmtree(machine.root / "boot")
    machine.write(
        "boot/extlinux/extlinux.conf", "DEFAULT nixos-default\nLABEL nixos-default\nLABEL nixos-7\n"
    )
    machine.write("boot/nixos/bbbb-initrd")
    boot = machine.ask().facts.boot
    assert boot is not None
    assert (boot.generations, boot.files) == (1, frozenset({"bbbb-initrd"}))


def test_what_is_lacking_is_told_by_the_same_answer(machine: Machine) -> None:
    """A closure's invalid paths, and what the host can undo; none where the target is valid."""
    machine.tool("zstd", "#!/bin/sh\n")
    closure = [f"/nix/store/{'a' * 32}-a", f"/nix/store/{'b' * 32}-b", TARGET.path]
    machine.write(f"valid/{'a' * 32}-a")
    answer = machine.ask(*closure)
    paths, codecs = understood(answer.lines, closure)
    assert (paths, answer.has_target) == (closure[1:], False)
    assert Codec.ZSTD in codecs
    machine.write(f"valid/{TARGET.path.rpartition('/')[2]}")
    answer = machine.ask(*closure)
    assert (understood(answer.lines, closure)[0], answer.has_target) == ([], True)


def test_nix_says_itself_what_is_wrong(machine: Machine) -> None:
    """What is wrong with Nix is said by its own last line, or that the host has none."""
    assert machine.ask(TARGET.path).complete
    machine.write("nix-is-broken")
    answer = machine.ask(TARGET.path)
    assert answer.facts.nix_error == "error: no database"
    assert not answer.complete, "what it did not say that it lacks, it may lack"
    (machine.root / "bin/nix-store").unlink()
    if shutil.which("nix-store") is None:
        error = machine.ask().facts.nix_error
        assert error == "there is no nix-store on the path of root"


class Dying(Machine):
    """A host that is gone in the middle of its answer."""

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Say half."""
        del argv, deadline, root, stdin
        return CommandResult(137, b"user=0\nrunning={}\n", b"Killed")


def test_an_answer_that_does_not_end_is_none(tmp_path: Path) -> None:
    """Half of the facts would be taken for all."""
    machine = Dying(tmp_path, ())
    with pytest.raises(StepError, match="did not say whether it has") as caught:
        machine.ask()
    assert caught.value.command == "df -h /nix/store"
    with pytest.raises(StepError, match="did not say whether it may switch live"):
        inhibitors(machine, TARGET)


def test_what_is_not_understood_was_not_said() -> None:
    """A strange answer is no reason to refuse."""
    lines = ["welcome=home", "user=root", "store=1 2", "boot=/boot", "boot.room=x", "inhibitors=[]"]
    facts, has_target = parse_facts([*lines, "running.file=big /nix/store/a/b", "clock=", "end="])
    assert not has_target
    assert facts == Facts()
    facts, _ = parse_facts(["store=10 4096 0 0", "target.file=5 /nix/store/a-linux/bzImage"])
    assert facts.store is not None
    assert (facts.store.free, facts.store.inodes) == (40960, None)
    assert facts.target == BootFiles({"a-linux-bzImage": 5})


def test_an_adversarys_answer_is_no_bug() -> None:
    """Of each key the first value counts; numbers, lists and JSON have an end."""
    nines, deep = "9" * 5000, "[" * 100_000
    first = ["user=0", "clock=5", "store=10 10 1 1"]
    lines = [
        *first,
        "user=1",
        "clock=6",
        f"store={nines} 1 1 1",
        f"boot={nines}",
        "boot.room=1\v1 1 1",
    ]
    assert parse_facts(lines)[0] == parse_facts(first)[0]
    facts, _ = parse_facts([f"user={nines}", f"store={nines} {nines} 1 1", f"clock=-{nines}"])
    assert facts == Facts()
    for said in (deep, '{"data":[[[1,2,3,"block"]]]}', '{"data":[7]}', "[]", nines):
        assert not parse_facts([f"inhibitors={said}"])[0].inhibitors
    activations = parse_facts([f"activation={number}" for number in range(100_000)])[0].activations
    assert activations is not None
    assert (len(activations), activations[-1]) == (21, "and 99980 more")


def inhibitors(machine: Machine, target: OutPath) -> tuple[dict[str, str], dict[str, str]]:
    """Ask what keeps a switch from being live."""
    found = asyncio.run(ask_standing(cast(Executor, machine), target, ("kernel",), 30))
    assert "kernel" not in found.wanted
    return found.running, found.target


def test_components_are_read_of_both_systems(machine: Machine) -> None:
    """JSON on any number of lines; a system without the file, or with another one, names none."""
    assert inhibitors(machine, TARGET) == ({}, {})
    file = machine.write("run/current-system/switch-inhibitors", '{\n "dbus": "broker"\n}\n')
    assert inhibitors(machine, TARGET) == ({"dbus": "broker"}, {})
    file.write_text("/nix/store/a\n")
    assert inhibitors(machine, TARGET) == ({}, {})


def test_the_interface_of_the_init_is_one_of_the_components(machine: Machine) -> None:
    """The first line of a file beside the others; a system without one says nothing of it."""
    init = machine.write("run/current-system/init-interface-version", "systemd 1\nmore=1")
    assert inhibitors(machine, TARGET) == ({init.name: "systemd 1"}, {})
    machine.write("run/current-system/switch-inhibitors", '{"dbus": "broker"}')
    both = {"dbus": "broker", init.name: "systemd 1"}
    assert inhibitors(machine, TARGET) == (both, {})


def test_machines_are_remembered_by_host(tmp_path: Path) -> None:
    """The newest counts; what cannot be read or written says nothing."""
    machines = Machines(tmp_path / "machines")
    assert machines.seen("p620") is None
    machines.remember("p620", "a")
    machines.remember("p620", "b")
    seen = machines.seen("p620")
    assert seen is not None
    assert seen.machine_id == "b"
    for damage in (b"\xff\xfe", bytes(33), b""):
        (tmp_path / "machines/p620").write_bytes(damage)
        assert machines.seen("p620") is None
    (tmp_path / "file").touch()
    Machines(tmp_path / "file").remember("p620", "a")
    assert Machines(tmp_path / "file").seen("p620") is None
