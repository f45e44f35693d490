"""First contact: see a host's key, and trust it when a person says so."""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.host import Host
from orchestrator.ssh.connect import all_jumps, road, through, tries_within
from orchestrator.ssh.known_hosts import read_again
from orchestrator.ssh.lean import asyncssh
from orchestrator.ssh.proxy import ProxyCommand, proxy_command
from orchestrator.ssh.rules import CERTIFIED
from orchestrator.ssh.said import said_of
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.verified import no_algorithms, trust_in, why
from orchestrator.ssh.verify import HostTrust, UntrustedError


@dataclass(frozen=True, slots=True)
class OfferedKey:
    """A host key that a host shows, and nobody vouches for.

    Attributes:
        name: What ``known_hosts`` calls the host: its address, ``[address]:port`` where the port
            is not 22, or its ``HostKeyAlias``.
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
    said = await said_of(target, settings)
    jumps = await all_jumps(said, settings)
    seconds = host.deadlines.connect
    proxy: ProxyCommand | None = None
    async with contextlib.AsyncExitStack() as hops:
        try:
            async with asyncio.timeout(seconds):
                tunnel = await through(jumps, settings, seconds, hops)
                trust = await trust_in(said, settings, proxied=tunnel is not None)
                argv = proxy_command(said, trust.rules.alias)
                proxy = ProxyCommand(argv) if argv else None

                async def ask() -> asyncssh.SSHKey | None:
                    return await asyncssh.get_server_host_key(
                        said.host,
                        said.port,
                        tunnel=road(said, tunnel, proxy),
                        config=None,
                        # The one that a connection will ask for.
                        server_host_key_algs=_plain_algorithms(trust),
                    )

                key = await tries_within(seconds).until_taken(
                    ask, proxy.most_tries if proxy else None
                )
        except TimeoutError:
            raise UnreachableError(
                f"{target.address} did not show its host key in time",
                hint="is it switched on and on the network?",
            ) from None
        except StepError:
            raise
        # Whatever it is: see ``connect.py``.
        except Exception as error:
            if proxy and proxy.failure:
                raise proxy.fault(target.address) from error
            raise UnreachableError(
                f"{target.address} did not show its host key: {why(error)}"
            ) from error
    if key is None:
        raise StepError(f"{target.address} shows no host key")
    return _offered(key, trust, settings)


def _offered(key: asyncssh.SSHKey, trust: HostTrust, settings: SshSettings) -> OfferedKey:
    exported = key.export_public_key().decode().split()
    same_kind = [one for one in trust.trusted_keys() if one.kind.decode() == exported[0]]
    return OfferedKey(
        name=trust.name,
        line=f"{trust.name} {exported[0]} {exported[1]}",
        fingerprint=key.get_fingerprint(),
        algorithm=exported[0],
        known=_is_known(key, trust),
        conflicts=tuple(
            asyncssh.import_public_key(one.text).get_fingerprint()
            for one in same_kind
            if one.public != key.public_data
        ),
        file=settings.known_hosts or _first_file(trust),
    )


def _plain_algorithms(trust: HostTrust) -> list[str]:
    """The algorithms that a key without a certificate is asked for by.

    Raises:
        StepError: There are none.
    """
    found = [one for one in trust.algorithms() if not one.endswith(CERTIFIED)]
    if not found:
        raise no_algorithms(trust)
    return found


def _is_known(key: asyncssh.SSHKey, trust: HostTrust) -> bool:
    """Whether a connection would take the key.

    Raises:
        StepError: It would not, even if the key were in ``known_hosts``.
    """
    try:
        trust.check(key.public_data, None, None)
    except UntrustedError as error:
        if not error.unknown:
            raise StepError(f"the host key of {trust.host} cannot be trusted: {error}") from error
        return False
    return True


def _first_file(trust: HostTrust) -> str:
    """Where ssh itself would write a new host's key.

    Raises:
        StepError: ``UserKnownHostsFile none``.
    """
    if not trust.rules.user_files:
        raise StepError(
            f"ssh_config has `UserKnownHostsFile none` for {trust.host}: no key can be remembered"
        )
    return str(Path(trust.rules.user_files[0]).expanduser())


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
