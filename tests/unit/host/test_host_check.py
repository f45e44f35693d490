"""The question of ``host check``, asked by this machine's shells of a folder like a host's."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from orchestrator.core import process
from orchestrator.core.checks import Login
from orchestrator.core.errors import RefusedError, StepError
from orchestrator.core.executor import Executor
from orchestrator.core.host import Connect, Host
from orchestrator.core.process import CommandResult
from orchestrator.core.state import BootSource
from orchestrator.core.store import OutPath
from orchestrator.core.values import replace
from orchestrator.host.check import (
    Bootctl,
    HostCheck,
    ask_check,
    parse_check,
)
from orchestrator.host.promises import promises

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
PLACES = re.compile(
    r"/etc/|/nix/var/nix|/var/lib|/boot|(?<!/boot)/efi\b|/run/|/proc/|/sys/|(?<= )/nix/store(?=\n)"
)
ID = "0123456789abcdef0123456789abcdef"
BOOT_ID = "9d2f7f7e-6a57-4f6b-8b2a-0e4c5d1c7a10"
SYSTEM = OutPath("/nix/store/nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn-nixos-system-p620")
HOST = Host("p620", "p620", Connect("192.0.2.1"))
DEPLOY = Login("deploy", sudo=True)
ENTRY = "nixos-generation-7.conf"
LISTED = [
    {"type": "type1", "id": ENTRY, "options": f"init={SYSTEM}/init loglevel=4", "isDefault": True},
    {"type": "auto", "id": "auto-reboot-to-firmware-setup", "isDefault": False},
]
SETTINGS = "access-tokens = github.com=ghp_secret\nsandbox = true\ntrusted-users = root @wheel\n"
NIXOS = {"nixosVersion": "26.11.1 (Zebra)", "nixpkgsRevision": "7beb50e7f0"}


@dataclass
class Machine:
    """A folder that stands for a host's root, and a shell."""

    root: Path
    shell: tuple[str, ...]
    login: Login = DEPLOY
    said: list[str] = field(default_factory=list)

    async def run(
        self, argv: Sequence[str], *, deadline: float, root: bool = True, stdin: bytes = b""
    ) -> CommandResult:
        """Run a script with the root put before each place."""
        assert root
        _, _, text, *rest = argv
        text = PLACES.sub(lambda found: f"{self.root}{found[0]}", text)
        text = text.replace(f"{self.root}/boot{self.root}/", f"{self.root}/boot/")
        environment = {"PATH": f"{self.root}/bin", "ROOT": str(self.root)}
        done = await process.run(
            (*self.shell, "-c", text, *rest), deadline=deadline, stdin=stdin, env=environment
        )
        self.said.append(done.out)
        # A path in an answer is the host's.
        return replace(done, stdout=done.stdout.replace(str(self.root).encode(), b""))

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
        """Put a command on the path; each call of it is noted."""
        noted = f'#!/bin/sh\necho "${{0##*/}} $*" >> "{self.root}/../calls"\n'
        self.write(f"bin/{name}", noted + text).chmod(0o755)

    def ask(self, host: Host = HOST) -> HostCheck:
        """Ask."""
        return asyncio.run(ask_check(cast(Executor, self), host))

    @property
    def called(self) -> str:
        """How the tools were called."""
        calls = self.root.parent / "calls"
        return calls.read_text() if calls.exists() else ""


NEEDED = (
    *(
        "awk",
        "cat",
        "cut",
        "date",
        "find",
        "grep",
        "head",
        "id",
        "readlink",
        "sed",
        "sh",
        "sleep",
        "sort",
    ),
    *("stat", "tail", "timeout", "tr", "uname", "uniq", "sync"),
)


@pytest.fixture(params=SHELLS)
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Machine:
    """A host of a shell and coreutils: no systemd, no Nix, no boot loader."""
    shell = shutil.which(request.param)
    assert shell
    made = Machine(tmp_path / "root", (shell, "sh") if request.param == "busybox" else (shell,))
    (made.root / "bin").mkdir(parents=True)
    for name in NEEDED:
        found = shutil.which(name)
        assert found, name
        (made.root / "bin" / name).symlink_to(found)
    made.write("etc/machine-id", f"{ID}\n")
    made.write("proc/sys/kernel/random/boot_id", f"{BOOT_ID}\n")
    made.write("proc/uptime", "1000.00 1.0\n")
    made.write("proc/self/mountinfo", "20 1 254:1 / / rw - ext4 /dev/vda1 rw\n")
    return made


@pytest.fixture
def machine(bare: Machine) -> Machine:
    """A NixOS host that boots by systemd-boot, with everything there that can be asked."""
    bare.write("etc/os-release", 'NAME=NixOS\nID=nixos\nVERSION_ID="26.11"\n')
    bare.write("boot/loader/loader.conf", f"timeout 5\ndefault {ENTRY}\n")
    bare.write("boot/EFI/nixos/linux.efi")
    entry = f"title NixOS\nlinux /EFI/nixos/linux.efi\noptions init={SYSTEM}/init quiet\n"
    bare.write(f"boot/loader/entries/{ENTRY}", entry)
    bare.write("run/current-system/init-interface-version", "systemd 2\n")
    bare.write("nix/var/nix/profiles/system/init-interface-version", "systemd 2\n")
    listed = f"list) echo '{json.dumps(LISTED)}' ;;"
    bare.tool("bootctl", f"case $1 in {listed} *) cat <<'E'\n{STATUS}E\n esac")
    bare.tool("nixos-version", f"echo '{json.dumps(NIXOS)}'")
    config = f"case $* in --version) echo 'nix (Nix) 2.34.8' ;; *) echo '{SETTINGS}' ;; esac"
    bare.tool("nix", config)
    bare.tool("systemctl", SYSTEMCTL)
    return bare


STATUS = """\
System:
      Firmware: UEFI 2.70 (EDK II 1.00)
   Secure Boot: disabled (setup)
Current Boot Loader:
      Product: systemd-boot 258
    Partition: /dev/disk/by-partuuid/0a1b2c3d-0000-1111-2222-333344445555
"""
SYSTEMCTL = """case $* in
--version) printf 'systemd 258 (258.2)\\n+PAM +AUDIT\\n' ;;
is-system-running) echo degraded; exit 1 ;;
is-active*) printf 'active\\ninactive\\n' ;;
*failed*) echo 'a.service loaded failed failed A' ;;
esac
"""


def test_a_nixos_host_answers_all_that_is_asked(machine: Machine) -> None:
    """Loader, file, entry, bootctl's word, versions, settings, systemd: one answer has it all."""
    found = machine.ask()
    said = found.said
    assert (found.state.boot_default, found.state.boot_source) == (SYSTEM, BootSource.SYSTEMD_BOOT)
    assert (said.boot_file, said.boot_entry) == ("/boot/loader/loader.conf", ENTRY)
    assert said.bootctl == Bootctl(ENTRY, SYSTEM, 2)
    assert said.values["nix"] == "nix (Nix) 2.34.8"
    assert said.values["nixos.nixosVersion"] == "26.11.1 (Zebra)"
    assert said.values["systemd"] == "systemd 258 (258.2)"
    assert said.values["systemd.state"] == "degraded"
    assert said.values["interface.running"] == "systemd 2"
    assert said.values["loader_product"] == "systemd-boot 258"
    assert said.values["nix.sandbox"] == "true"
    assert found.state.failed_units == ("a.service",)
    assert said.odd == ()
    assert len(machine.said) == 1, "one question"


def test_a_host_without_all_of_it_answers_too(bare: Machine) -> None:
    """No systemd, Nix, bootctl, GRUB or boot loader: each is said, and nothing is an error."""
    found = bare.ask()
    assert found.said.bootctl is None
    assert found.said.grubenv is None
    assert found.said.trusted is None
    said = "\n".join(one.text for one in promises(HOST, found) if not one.kept)
    assert "no boot loader file found: what boots next cannot be proved" in said
    assert "no nix answers there" in said
    assert "systemd does not answer" in said
    assert "no NixOS system runs" in said


def listing(root: Path) -> dict[str, tuple[int, int, bytes]]:
    """Each file below a folder: its times, and what is in it."""
    return {
        str(path): (
            path.lstat().st_mtime_ns,
            path.lstat().st_ctime_ns,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in root.rglob("*")
    }


def test_nothing_on_the_host_is_changed(machine: Machine) -> None:
    """Files, their times and their contents are the same before and after."""
    machine.tool("grub-editenv", '[ -f "$1" ] || echo made > "$1"')
    before = listing(machine.root)
    machine.ask()
    assert listing(machine.root) == before


def test_grub_editenv_is_not_run_where_it_would_make_a_file(machine: Machine) -> None:
    """A look makes no file: grub-editenv makes what it is to list, and runs where that is there."""
    machine.tool("grub-editenv", "printf 'saved_entry=1>2\\nnext_entry=\\npassword=hush\\n'")
    assert machine.ask().said.grubenv is None
    assert "grub-editenv" not in machine.called
    machine.write("boot/grub/grubenv", "# GRUB Environment Block\n")
    assert machine.ask().said.grubenv == {"saved_entry": "1>2", "next_entry": ""}
    assert "hush" not in machine.said[-1]


def test_tokens_of_nix_stay_on_the_host(machine: Machine) -> None:
    """Of Nix's settings two are sent; the others, which have tokens, are not."""
    assert machine.ask().said.trusted is not None
    assert "ghp_secret" not in machine.said[-1]


def test_a_program_that_prints_without_end_is_cut_off(machine: Machine) -> None:
    """What floods is bounded on the host, not understood here, and everything else is there."""
    machine.tool("nixos-version", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")
    found = machine.ask()
    assert found.said.odd == ("nixos",)
    assert found.said.values["nix"] == "nix (Nix) 2.34.8"
    assert "said and not understood: nixos" in [one.text for one in promises(HOST, found)]


@pytest.mark.parametrize("answer", ["", "hello\n", "machine_id=1\nboot_id=2\n", "\x1b[2Jend\n"])
def test_nonsense_is_one_clear_error(answer: str) -> None:
    """An answer that does not come to its end is an error with a command to repeat by hand."""

    class Nonsense(Machine):
        async def run(self, *_: object, **__: object) -> CommandResult:
            return CommandResult(0, answer.encode(), b"")

    with pytest.raises(StepError, match="did not say what it is") as caught:
        Nonsense(Path("/"), ()).ask()
    assert caught.value.command == "readlink -f /run/current-system"
    with pytest.raises(StepError, match="not understood"):
        parse_check("end=\n", DEPLOY)


def test_another_machine_is_refused(machine: Machine) -> None:
    """A machine-id that is not the inventory's is refused before anything is said of it."""
    with pytest.raises(RefusedError, match="another machine answered"):
        machine.ask(replace(HOST, machine_id="f" * 32))
