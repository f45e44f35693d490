"""A fleet of its own in a lab of its own, and the command line as a person types it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.core.values import replace
from orchestrator.runs.folder import RunFolder

REPOSITORY = Path(__file__).parents[2]
ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")
BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
FLEET_PARTS = (
    *(".gitattributes", "flake.nix", "justfile"),
    *("inventory", "templates", "hosts", "secrets", "tests/verify"),
)
STAND_INS = {
    "NixOS/nixpkgs": "",
    "ryantm/agenix": "",
    "nix-community/home-manager": "/home-manager",
}
"""Where, in the stand-in for nixpkgs, those for the example flake's inputs are."""
HOSTS = ("p620", "razer", "samsung", "p510", "dex5550")
"""The example fleet's."""


def pinned(flake: str, nixpkgs: str) -> str:
    """A flake's text with stand-ins in the place of inputs from the network, for where none is."""
    for name, place in STAND_INS.items():
        flake, count = re.subn(rf"github:{name}[^\"]*", f"path:{nixpkgs}{place}", flake)
        assert count == 1, name
    assert "github:" not in flake
    return flake


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    rc: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The JSON lines of standard output."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def report(self) -> dict[str, Any]:
        """The last JSON line, which must be the report."""
        last = self.events[-1]
        assert last["type"] == "report", self
        assert last["exit_code"] == self.rc, self
        return last

    @property
    def outcomes(self) -> dict[str, str]:
        """Each host's outcome, by the report."""
        return {name: host["outcome"] for name, host in self.report["hosts"].items()}


def log_of(folder: Path | str, host: str) -> str:
    """A host's log in the folder of a run, be it at work or over."""
    run = RunFolder(Path(folder).parent, int(Path(folder).name))
    return "".join(f"{line.time} {line.text}\n" for line in run.log() if line.host == host)


@dataclass(frozen=True, slots=True)
class Bench:
    """A fleet's folder, and an environment in which nothing of the person's is touched."""

    root: Path
    home: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Of every command: state of its own, the caches shared, this environment's tools first."""
        cache = os.environ.get("ORCHESTRATOR_CACHE") or os.environ.get("XDG_CACHE_HOME")
        shared = {} if cache else {"XDG_CACHE_HOME": str(Path.home() / ".cache")}
        return {
            **os.environ,
            **shared,
            "PATH": f"{ORCHESTRATOR.parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            # Nothing goes on when a command has ended, unless a test wants it.
            "ORCHESTRATOR_LEARN": "never",
            **self.more,
        }

    def run(self, *arguments: str, stdin: str = "", seconds: float = 240) -> Done:
        """Run the command line to its end."""
        return self.command(str(ORCHESTRATOR), *arguments, stdin=stdin, seconds=seconds)

    def command(self, *argv: str, stdin: str = "", seconds: float = 240) -> Done:
        """Run any command in the fleet's folder."""
        done = subprocess.run(
            argv,
            cwd=self.root,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def deploy(self, *arguments: str) -> Done:
        """Deploy, with JSON lines."""
        return self.run("deploy", "--json", *arguments)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command line and return at once."""
        return subprocess.Popen(
            (str(ORCHESTRATOR), *arguments),
            cwd=self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def on(self, host: str, command: str) -> Done:
        """Run a shell command as root on a host, by the lab's own way: not by the deployer's."""
        return self.run("lab", "ssh", host, command)

    def boot(self, host: str, *faults: str) -> None:
        """Bring a fault that ends in another boot, and wait until that boot answers."""
        before = self.on(host, BOOT_ID).out
        for fault in faults:
            done = self.run("lab", "fault", host, fault)
            assert done.rc == 0, done
        until(lambda: self.on(host, BOOT_ID).out not in ("", before))

    @property
    def lab(self) -> dict[str, Any]:
        """What ``lab status`` says."""
        return json.loads(self.run("lab", "status", "--json").out)

    @property
    def lab_folder(self) -> Path:
        """Where the lab keeps what it makes."""
        return Path(self.lab["folder"])

    def address(self, host: str) -> str:
        """A host's address in the lab."""
        return self.lab["hosts"][host]["address"]

    def state(self, host: str) -> dict[str, Any]:
        """What a host says that it runs."""
        done = self.run("status", "--json", host)
        assert done.rc == 0, done
        return json.loads(done.out)[host]

    def write(self, name: str, text: str) -> None:
        """Write a file of the fleet, tracked, as a person edits it."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.command("git", "add", "--intent-to-add", "--", name)

    def module(self, host: str, body: str) -> None:
        """Add to a host's configuration, beside what is in its ``default.nix``."""
        path = f"hosts/{host}/default.nix"
        before = self.command("git", "show", f"HEAD:{path}").out
        self.write(f"hosts/{host}/plain.nix", before)
        self.write(
            path,
            "{ config, pkgs, lib, ... }: {\n  imports = [ ./plain.nix ];\n" + body + "\n}\n",
        )

    def reset(self) -> None:
        """Put the fleet's files back as they were committed."""
        self.command("git", "reset", "--quiet", "--hard", "HEAD")
        self.command("git", "clean", "--quiet", "-fdx")


def example_fleet(folder: Path) -> Bench:
    """Copy the repository's own fleet into a folder and commit it there."""
    root = folder / "fleet"
    for part in FLEET_PARTS:
        source, target = REPOSITORY / part, root / part
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    return committed(Bench(root, folder / "home"))


def committed(bench: Bench) -> Bench:
    """Make a fleet's folder a git repository with one commit."""
    bench.home.mkdir(parents=True, exist_ok=True)
    identity = ("-c", "user.name=lab", "-c", "user.email=lab@localhost")
    for argv in (
        ("git", "init", "--quiet", "--initial-branch=main"),
        ("git", "config", "user.name", "lab"),
        ("git", "config", "user.email", "lab@localhost"),
        ("git", "add", "--all"),
        ("git", *identity, "commit", "--quiet", "--message", "a fleet"),
    ):
        done = bench.command(*argv)
        assert done.rc == 0, done
    return bench


@contextlib.contextmanager
def in_lab(bench: Bench, *hosts: str) -> Iterator[None]:
    """Have hosts of a fleet up in its lab, all where none is named; afterwards it is forgotten."""
    try:
        up = bench.run("lab", "up", *hosts, seconds=600)
        assert up.rc == 0, up
        yield
    finally:
        down = bench.run("lab", "down", "--purge")
        assert down.rc == 0, down


def on_terminal(bench: Bench, prompt: str, typed: str, *arguments: str) -> Done:
    """Run the command line on a terminal of its own, and type a line when it prompts."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(bench.root)
        os.execve(ORCHESTRATOR, (str(ORCHESTRATOR), *arguments), bench.environment)
    said = b""
    with os.fdopen(terminal, "r+b", buffering=0) as ends, contextlib.suppress(OSError):
        while data := ends.read(4096):  # a terminal whose other end is closed raises EIO
            said += data
            if typed and prompt.encode() in said:
                ends.write(typed.encode() + b"\n")
                typed = ""
    _, status = os.waitpid(pid, 0)
    return Done(os.waitstatus_to_exitcode(status), said.decode(), "")


def until(what: Callable[[], bool], seconds: float = 120) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not so within {seconds} s"
        time.sleep(0.02)


def interrupt(process: subprocess.Popen[str]) -> Done:
    """Do what Ctrl-C does, and wait for the end."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return Done(process.returncode, out, err)


def give_machine_id(fleet: Bench, name: str, machine_id: str) -> None:
    """Say in the inventory which machine a host is."""
    hosts = fleet.root / "inventory/hosts.yaml"
    before = hosts.read_text()
    after = before.replace(f"  {name}:\n", f"  {name}:\n    machine_id: '{machine_id}'\n")
    assert after != before
    hosts.write_text(after)


def sitting_on(fleet: Bench, name: str, *arguments: str) -> Done:
    """Run the command line as if on a lab host: its /run, /boot, /nix, machine-id and systemd.

    The program and its interpreter stay this machine's; all that a deployment touches is the
    host's. There is no network at all, so that SSH cannot be spoken.
    """
    flake = fleet.root / "flake.nix"
    if "github:" in (text := flake.read_text()):  # the first time
        flake.write_text(pinned(text, f"{fleet.lab_folder}/nixpkgs"))
    find = (
        "import sys; from pathlib import Path; from orchestrator.lab.lab import Lab;"
        "from orchestrator.lab import seed;"
        "from orchestrator.lab.image import Image;"
        "lab = Lab.of(Path(sys.argv[1])); print(lab.host(sys.argv[2]).leader);"
        "base = __import__('json').loads(lab.places.record.read_text())['base'];"
        "own = seed.machine_has_nix();"
        "found = {} if own else seed.environment(Image(Path(base)));"
        "[print(f'{key}={value}', end=chr(0)) for key, value in found.items()]"
    )
    found = fleet.command(sys.executable, "-c", find, str(fleet.root), name)
    assert found.rc == 0, found
    leader, _, environment = found.out.partition("\n")
    more = dict(pair.split("=", 1) for pair in environment.split("\0") if pair)
    # systemd's own tools are the host's too; this machine may have none.
    tools = fleet.home / "tools"
    tools.mkdir(exist_ok=True)
    for tool in ("systemctl", "systemd-run"):
        (tools / tool).write_text(f'#!/bin/sh\nexec chroot /proc/1/root {tool} "$@"\n')
        (tools / tool).chmod(0o755)
    path = f"{tools}:{more.get('PATH', fleet.environment['PATH'])}"
    here = replace(fleet, more={**more, "PATH": path, "FLEET": str(fleet.root)})
    script = Path(__file__).with_name("sit_on.py")
    return here.command(sys.executable, str(script), leader, str(ORCHESTRATOR), *arguments)
