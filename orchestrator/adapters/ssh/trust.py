"""First contact: see a host's key, and trust it when a person says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.adapters.ssh.connect import open_jumps
from orchestrator.adapters.ssh.known_hosts import read_again
from orchestrator.adapters.ssh.lean import asyncssh
from orchestrator.adapters.ssh.options import ssh_options
from orchestrator.adapters.ssh.settings import SshSettings
from orchestrator.errors import StepError, UnreachableError
from orchestrator.model.host import Host


@dataclass(frozen=True, slots=True)
class OfferedKey:
    """A host key that a host shows, and nobody vouches for.

    Attributes:
        name: What ``known_hosts`` calls the host: its address, ``[address]:port`` where the port
            is not 22.
        line: The line for ``known_hosts`` (sshd(8)).
        fingerprint: As ``ssh-keygen -l`` prints it.
        algorithm: Such as ``ssh-ed25519``.
        known: Whether this very key is known for the host already.
        conflicts: Fingerprints of other keys of this kind that are known for the host.
        file: The ``known_hosts`` file that the line belongs into.
    """

    name: str
    line: str
    fingerprint: str
    algorithm: str
    known: bool
    conflicts: tuple[str, ...]
    file: str


async def offered_key(host: Host, settings: SshSettings) -> OfferedKey:
    """Ask a host for its key. It is not authenticated: compare the fingerprint by another way.

    Raises:
        UnreachableError: The host does not answer.
        StepError: A jump host before it refused.
    """
    target = settings.connect_for(host.name, host.connect)
    options = await ssh_options(target, settings)
    async with contextlib.AsyncExitStack() as hops:
        try:
            async with asyncio.timeout(host.deadlines.connect):
                tunnel = await open_jumps(target, options, settings, hops)
                key = await asyncssh.get_server_host_key(
                    options.host, options.port, tunnel=tunnel or (), config=None
                )
        except TimeoutError:
            raise UnreachableError(
                f"{target.address} did not show its host key in time",
                hint="is it switched on and on the network?",
            ) from None
        except (OSError, asyncssh.Error) as error:
            raise UnreachableError(
                f"{target.address} did not show its host key: {error}"
            ) from error
    if key is None:
        raise StepError(f"{target.address} shows no host key")
    return _offered(key, options, settings)


def _offered(
    key: asyncssh.SSHKey,
    options: asyncssh.SSHClientConnectionOptions,
    settings: SshSettings,
) -> OfferedKey:
    address = options.host_key_alias or options.host
    name = address if options.port == 22 else f"[{address}]:{options.port}"
    files = settings.known_hosts_files(options.known_hosts)
    trusted = asyncssh.match_known_hosts(files, address, "", options.port)[0] if files else []
    same_kind = [known for known in trusted if known.algorithm == key.algorithm]
    exported = key.export_public_key().decode().split()
    return OfferedKey(
        name=name,
        line=f"{name} {exported[0]} {exported[1]}",
        fingerprint=key.get_fingerprint(),
        algorithm=exported[0],
        known=any(known.public_data == key.public_data for known in trusted),
        conflicts=tuple(
            known.get_fingerprint() for known in same_kind if known.public_data != key.public_data
        ),
        file=settings.known_hosts or files[0] if files else str(_default()),
    )


def _default() -> Path:
    return Path("~/.ssh/known_hosts").expanduser()


def remember(key: OfferedKey) -> None:
    """Append a key's line to its ``known_hosts`` file.

    Raises:
        StepError: The file cannot be written.
    """
    file = Path(key.file)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = file.read_bytes() if file.exists() else b""
        unfinished = "\n" if before and not before.endswith(b"\n") else ""
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w") as end:
            end.write(f"{unfinished}{key.line}\n")
    except OSError as error:
        raise StepError(f"{file} cannot be written: {error.strerror}") from error
    read_again()
