"""A fleet of any size on one loopback interface: one SSH server stands for every host.

The server listens on all of 127/8 and tells by the address that a connection came in on which host
it is. It speaks real SSH, and answers what a NixOS answers to the question for its state; no shell
is behind it. It runs as a process of its own: ``python -m tests.bench.simulated FOLDER``.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import ipaddress
import os
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import asyncssh

from orchestrator.changes.knowledge import fingerprints_of
from orchestrator.changes.plan import Fingerprint
from orchestrator.changes.tree.snapshot import snapshot
from orchestrator.core.store import DrvPath, Evaluated, OutPath
from orchestrator.host import scripts
from orchestrator.host.setup import state_folder
from orchestrator.inventory.load import load
from orchestrator.nix.context import context
from orchestrator.nix.verbs import Flake
from tests.lab.fleet_bench import Bench

REPOSITORY = Path(__file__).parents[2]
FLAKE = "{ outputs = _: { nixosConfigurations = { }; }; }\n"
_FIRST = ipaddress.IPv4Address("127.1.0.1")
QUESTION = shlex.join(scripts.script(scripts.STATE))


def address(number: int) -> str:
    """The address of a host, by its number from 0."""
    return str(_FIRST + number)


def name(number: int) -> str:
    """The name of a host."""
    return f"h{number:04}"


def out_path(number: int) -> str:
    """The system that a host runs."""
    digest = hashlib.sha256(b"%d" % number).hexdigest()[:32].replace("e", "z")
    return f"/nix/store/{digest}-nixos-system-{name(number)}-26.05"


def answer(number: int) -> bytes:
    """What a host says of its state."""
    system = out_path(number)
    digest = hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()
    lines = [
        f"machine_id={digest}",
        f"boot_id={digest[:8]}-0000-4000-8000-{digest[8:20]}",
        *(f"{what}={system}" for what in ("running", "booted", "profile", "boot_default")),
        "boot_source=systemd-boot",
    ]
    return "".join(f"{line}\n" for line in lines).encode()


@dataclass(frozen=True, slots=True)
class Simulated:
    """A fleet whose hosts answer.

    Attributes:
        bench: Its folder, and the environment of commands in it.
        port: Where every host listens.
        count: How many hosts it has.
        asked: The server's log: a host's number for each question.
    """

    bench: Bench
    port: int
    count: int
    asked: Path

    def questions(self) -> Counter[int]:
        """How often each host was asked so far, by its number."""
        return Counter(int(line) for line in self.asked.read_text().splitlines())


@contextlib.contextmanager
def simulated(folder: Path, count: int) -> Iterator[Simulated]:
    """Start a fleet in a folder; its server ends with the context.

    Every host runs what the fleet says, and the fleet's evaluations are known.
    """
    path = f"{folder}/bin:{os.environ['PATH']}"
    bench = Bench(folder / "fleet", folder / "home", {"PATH": path})
    for made in (bench.root / "inventory", bench.home / ".ssh", folder / "bin"):
        made.mkdir(parents=True)
    # A rollout that changes nothing starts no Nix: it would fail here.
    (folder / "bin/nix").write_text("#!/bin/sh\nexit 1\n")
    (folder / "bin/nix").chmod(0o755)
    argv = (sys.executable, "-m", "tests.bench.simulated", str(folder))
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            _write(bench, folder, port, count)
            asyncio.run(_teach(bench, count))
            yield Simulated(bench, port, count, folder / "asked")
        finally:
            server.terminate()


def _write(bench: Bench, folder: Path, port: int, count: int) -> None:
    """Write the fleet, and the host keys that its person trusts: a line for each host."""
    key = (folder / "host.pub").read_text()
    trusted = (f"[{address(number)}]:{port} {key}" for number in range(count))
    (bench.home / ".ssh/known_hosts").write_text("".join(trusted))
    # ssh takes `~` for the home that the system knows of, whatever $HOME says.
    config = f"UserKnownHostsFile {bench.home}/.ssh/known_hosts\n"
    (bench.home / ".ssh/config").write_text(config)
    hosts = (f"  {name(n)}: {{address: {address(n)}}}\n" for n in range(count))
    connect = f"{{user: root, port: {port}, identity: {folder}/id}}"
    # However busy this machine is, and the one server that stands for all of them.
    patient = "  deadlines: {connect: 600}\n"
    text = f"defaults:\n  connect: {connect}\n{patient}hosts:\n{''.join(hosts)}"
    (bench.root / "inventory/hosts.yaml").write_text(text)
    (bench.root / "flake.nix").write_text(FLAKE)
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "A fleet")):
        identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
        subprocess.run(("git", *identity, *words), cwd=bench.root, check=True)


async def _teach(bench: Bench, count: int) -> None:
    """Enter what each host's evaluation would give, as if a deployment had evaluated it."""
    with _environment(bench.environment):
        fleet = load(bench.root).fleet
        flake = Flake.at(fleet.flake, fleet.root)
        tree, counts = await snapshot(flake.folder), context(flake)
        learned = (
            Fingerprint(
                attr=name(number),
                context=counts,
                tree=tree,
                reads=None,
                files=len(tree.entries),
                evaluated=Evaluated(DrvPath(f"{out_path(number)}.drv"), OutPath(out_path(number))),
                run=None,
                at=datetime.now(UTC),
            )
            for number in range(count)
        )
        assert fingerprints_of(state_folder(fleet)).keep(learned)


@contextlib.contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(changed)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def serve(folder: Path) -> None:
    """Stand for every host until standard input ends; print the port."""
    host_key = asyncssh.generate_private_key("ssh-ed25519")
    (folder / "host.pub").write_bytes(host_key.export_public_key())
    user_key = asyncssh.generate_private_key("ssh-ed25519")
    user_key.write_private_key(str(folder / "id"))
    (folder / "id").chmod(0o600)
    asked = os.open(folder / "asked", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    acceptor = await asyncssh.listen(
        "0.0.0.0",  # noqa: S104 (every address of the loopback interface; keys guard it)
        0,
        server_host_keys=[host_key],
        authorized_client_keys=asyncssh.import_authorized_keys(
            user_key.export_public_key().decode()
        ),
        process_factory=functools.partial(_handle, asked),
        encoding=None,
        backlog=4096,
    )
    sys.stdout.write(f"{acceptor.get_port()}\n")
    sys.stdout.flush()
    # Whatever ends the process that started this one, closes its end of the pipe.
    asyncio.get_running_loop().add_reader(sys.stdin, acceptor.close)
    await acceptor.wait_closed()


def _handle(asked: int, process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Answer the question for the state, and no other."""
    host, *_ = process.get_extra_info("sockname")
    number = int(ipaddress.IPv4Address(host)) - int(_FIRST)
    os.write(asked, b"%d\n" % number)
    if process.command != QUESTION:
        process.stderr.write(b"sh: no such command\n")
        process.exit(127)
        return
    process.stdout.write(answer(number))
    process.exit(0)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
