"""What a run is made from: the fleet, how it is reached, where its state is kept."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import importlib
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from msgspec import Struct, field

from orchestrator.core.errors import BugError, StepError, UsageError
from orchestrator.core.event import Event
from orchestrator.core.executor import Executor
from orchestrator.core.host import Fleet, Host, Limits
from orchestrator.core.machine import home, user_name
from orchestrator.nix.verbs import Flake
from orchestrator.ssh.local import LocalExecutor, is_this_machine, this_machine_id
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.sudo import Passwords

T = TypeVar("T")

Emit = Callable[[Event], None]


class Setup(Struct, frozen=True):
    """What stays the same over all runs from this machine.

    Attributes:
        flake: Where ``nixosConfigurations`` are.
        ssh: How hosts are reached.
        passwords: For sudo on the hosts that it was asked for.
        state: The fleet's folder on this machine: history, runs, roots.
        in_lab: Whether the hosts are those of the fleet's lab.
        placeholders: Whether that lab's hosts have placeholders for the fleet's secrets.
    """

    fleet: Fleet
    flake: Flake
    ssh: SshSettings
    state: Path
    passwords: Passwords = field(default_factory=Passwords)
    in_lab: bool = False
    placeholders: bool = False


def state_folder(fleet: Fleet) -> Path:
    """Where this machine keeps a fleet's history: below ``$XDG_STATE_HOME/orchestrator``.

    Two checkouts of one fleet are two fleets here: their runs have numbers of their own.
    """
    # A relative one is to be ignored: https://specifications.freedesktop.org/basedir-spec/latest/
    said = os.environ.get("XDG_STATE_HOME", "")
    base = said if said.startswith("/") else home() / ".local/state"
    digest = hashlib.sha256(fleet.root.encode()).hexdigest()[:8]
    return Path(base, "orchestrator", "fleets", f"{fleet.name}-{digest}")


def whoami() -> str:
    """``user@machine``, as locks, holds, runs and records name people."""
    return f"{user_name()}@{socket.gethostname()}"


def checkout_of(fleet: Fleet) -> str:
    """Name this machine's folder of a fleet, and tell nobody where it is.

    What is committed nowhere is in one such folder, and in no clone of it.
    """
    return hashlib.sha256(f"{socket.gethostname()}:{fleet.root}".encode()).hexdigest()[:16]


def this_machines_host(fleet: Fleet) -> str:
    """The name of the host that the machine one sits on is.

    Raises:
        UsageError: The inventory does not say.
    """
    for host in fleet.hosts.values():
        if is_this_machine(host):
            return host.name
    raise UsageError(
        "the inventory does not say which host this machine is",
        hint=f"if it is one of the fleet's, give that host `machine_id: '{this_machine_id()}'`",
    )


class Gates(Struct, frozen=True):
    """How many of each may be under way: a semaphore for each scarce resource."""

    hosts: asyncio.Semaphore
    builds: asyncio.Semaphore
    copies: asyncio.Semaphore
    activations: asyncio.Semaphore
    connections: asyncio.Semaphore
    verifications: asyncio.Semaphore

    @classmethod
    def of(cls, limits: Limits) -> Gates:
        """Make them from the inventory's limits."""
        return cls(
            hosts=asyncio.Semaphore(limits.hosts),
            builds=asyncio.Semaphore(limits.builds),
            copies=asyncio.Semaphore(limits.copies),
            activations=asyncio.Semaphore(limits.activations),
            connections=asyncio.Semaphore(limits.connections),
            verifications=asyncio.Semaphore(limits.verifications),
        )


class Answer(Struct, Generic[T], frozen=True):
    """What one host said, or why it said nothing.

    Attributes:
        seconds: From the first packet to the answer.
    """

    host: Host
    said: T | StepError
    seconds: float


_TURNS = 8
"""Of the loop, until what was asked for has started its processes."""


async def warm_up(setup: Setup, host: Host) -> None:
    """Import what speaks SSH while the processes that were started do their work.

    Not in a thread: it and the loop would wait for each other at every step.

    Args:
        setup: The fleet.
        host: The first one that is to be reached: what ssh's files say of it is asked now.
    """
    if is_this_machine(host):
        return
    from orchestrator.ssh.said import said_of

    asking = asyncio.ensure_future(
        said_of(setup.ssh.connect_for(host.name, host.connect), setup.ssh)
    )
    # Whoever connects asks again, and is told.
    asking.add_done_callback(lambda task: task.cancelled() or task.exception())
    for _ in range(_TURNS):
        await asyncio.sleep(0)
    importlib.import_module("orchestrator.ssh.executor")


async def ask_each(
    setup: Setup, hosts: Sequence[Host], ask: Callable[[Host, Executor], Awaitable[T]]
) -> list[Answer[T]]:
    """Ask hosts, so many at the same time as the fleet allows; each one's failure is its own.

    Args:
        setup: The fleet.
        hosts: Whom.
        ask: Asks one of them.

    Returns:
        What each said, or why it said nothing, in their order; a bug is its host's error, too.
    """
    gate = Gates.of(setup.fleet.limits).connections

    async def asked(host: Host) -> Answer[T]:
        async with gate:
            began = time.monotonic()
            try:
                async with reach(setup, host) as executor:
                    said: T | StepError = await ask(host, executor)
            except StepError as error:
                said = error
            except Exception as bug:
                said = BugError(bug)
            return Answer(host, said, time.monotonic() - began)

    return list(await asyncio.gather(*(asked(host) for host in hosts)))


@contextlib.asynccontextmanager
async def reach(setup: Setup, host: Host) -> AsyncIterator[Executor]:
    """Open a way to a host: this machine itself where the inventory says so, else SSH.

    Raises:
        UnreachableError: The host does not answer.
        StepError: The login or the host key was refused.
    """
    if is_this_machine(host):
        yield LocalExecutor(host, setup.passwords.of(host))
        return
    # asyncssh takes a tenth of a second to import; a command that asks no host does without.
    from orchestrator.ssh.executor import open_ssh

    async with open_ssh(host, setup.ssh, setup.passwords.of(host)) as executor:
        yield executor
