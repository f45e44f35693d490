"""Why a host was not reached or let nobody in, and what helps: the hint names what is wrong."""

from __future__ import annotations

import errno
import os
import shlex
import socket

from msgspec import Struct

from orchestrator.core.errors import StepError, UnreachableError
from orchestrator.core.machine import few_files
from orchestrator.ssh.identity import Identities
from orchestrator.ssh.lean import asyncssh
from orchestrator.ssh.network import CLOSES
from orchestrator.ssh.verified import why
from orchestrator.ssh.verify import UntrustedError

CLOSED = (
    "it is booting; or too many log in there at the same time (MaxStartups in its sshd_config); or "
    "its sshd keeps this address out for a while (PerSourcePenalties): try again in a minute"
)
"""What may help where a host closes each connection at once."""
_SILENT = "is it switched on, on the network, and sshd running?"
_NO_ROUTE = "this machine has no way to that address: is the network or the VPN up?"
_HINTS = {
    errno.ECONNREFUSED: "the machine answers, and nothing listens on that port: is sshd running, "
    "and is it the right port?",
    errno.ENETUNREACH: _NO_ROUTE,
    errno.EHOSTUNREACH: "nobody has that address on its network: is the host switched on, is the "
    "address right, is the VPN up?",
    errno.EADDRNOTAVAIL: "this machine has not the address of BindAddress in ssh_config",
}
_MANY = "Too many authentication failures"


class Attempt(Struct, frozen=True):
    """What was tried.

    Attributes:
        address: The host's, as the inventory has it.
        user: Whom it was to log in as.
        trust: What to do where the host's key is not known.
        command: What a person would type.
        identities: The keys that it was asked to take.
        jump: The jump host before it; empty: there is none.
        proxy: What ``ProxyCommand`` came to; empty: there is none.
    """

    address: str
    user: str
    trust: str
    command: str
    identities: Identities
    jump: str = ""
    proxy: tuple[str, ...] = ()

    @property
    def login(self) -> str:
        """Who logs in where."""
        return f"{self.user}@{self.address}"


def closed(address: str, times: int) -> str:
    """Say that a host closed each connection that it took before it said anything."""
    often = f" ({times} times)" if times > 1 else ""
    return f"no SSH connection to {address}: it closed the connection without a word{often}"


def told(error: Exception, attempt: Attempt, *, unspoken: int = 0) -> StepError:
    """Say why a host was not reached or did not let us in, and what helps.

    Args:
        error: What was raised.
        attempt: What was tried.
        unspoken: How often the host closed a connection, where it never said anything.
    """
    command = attempt.command
    match error:
        case asyncssh.DisconnectError() if _MANY in error.reason:
            return StepError(
                f"{attempt.login} refused the login: too many keys were tried",
                hint="name the key that it takes: connect: {identity: FILE}, or IdentityFile in "
                "ssh_config; with `IdentitiesOnly yes` no other is tried",
                command=command,
            )
        case asyncssh.HostKeyNotVerifiable():
            return StepError(
                f"the host key of {attempt.address} is not a known one: {error.reason}",
                hint=f"if you expect this key, {attempt.trust}" if _is_unknown(error) else None,
                command=command,
            )
        case asyncssh.PermissionDenied():
            return StepError(
                f"{attempt.login} refused the login: {error.reason}",
                hint=_no_key(attempt.identities),
                command=command,
            )
        case asyncssh.ChannelOpenError():
            return _not_forwarded(error, attempt)
        case asyncssh.KeyExchangeFailed() if error.reason.startswith("No matching"):
            return StepError(
                f"{attempt.address} and this machine agree on no algorithm: {error.reason}",
                hint="Ciphers, KexAlgorithms, MACs or HostKeyAlgorithms of ssh_config, or the "
                "host's sshd_config, leave none that both know; `ssh -v` lists the host's",
                command=command,
            )
    if isinstance(error, CLOSES) and unspoken:
        message = closed(attempt.address, unspoken)
    else:
        message = f"no SSH connection to {attempt.address}: {_reason(error)}"
    return UnreachableError(
        message,
        hint=_hint(error, attempt),
        command=command,
    )


def _no_key(identities: Identities) -> str:
    """What may be wrong with the keys of one whom a host does not let in."""
    if identities.locked:
        file = shlex.quote(identities.locked[0])
        return f"{file} is encrypted, or no private key, and no agent has its key: ssh-add {file}"
    if not identities.pairs and not identities.agent:
        return (
            "there is no key to log in with: no file that ssh_config or the inventory names, and "
            "no agent; ssh-keygen makes one, connect: {identity: FILE} names one"
        )
    return "is the key loaded (ssh-add -l) and in the user's authorized_keys?"


def _not_forwarded(error: asyncssh.ChannelOpenError, attempt: Attempt) -> StepError:
    """A jump host did not pass a connection on: it must not, or it got none itself."""
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return StepError(
            f"the jump host {attempt.jump} forbids forwarding to {attempt.address}",
            hint="its sshd_config (AllowTcpForwarding, DisableForwarding, PermitOpen) or the key's "
            "line in authorized_keys (restrict, no-port-forwarding) says so",
            command=attempt.command,
        )
    return UnreachableError(
        f"the jump host {attempt.jump} has no connection to {attempt.address}: {error.reason}",
        hint=f"the jump host is reached; what it says is of the way from there to "
        f"{attempt.address}: its name, address, port, sshd or a firewall",
        command=attempt.command,
    )


def _hint(error: Exception, attempt: Attempt) -> str:
    if attempt.proxy and not isinstance(error, TimeoutError):
        return f"ProxyCommand came to no session; by hand: {attempt.proxy[-1]}"
    if isinstance(error, socket.gaierror):
        return (
            "no name server and no /etc/hosts knows the name: is it spelled right? An address "
            "may stand in the inventory, or HostName in ssh_config"
        )
    if isinstance(error, CLOSES):
        return CLOSED
    if isinstance(error, UnicodeError):
        return "correct the address in the inventory, or HostName in ssh_config"
    if isinstance(error, OSError) and (few := few_files(error)) is not None:
        return few
    number = error.errno if isinstance(error, OSError) else None
    return _HINTS.get(number or 0, _SILENT)


def _is_unknown(error: Exception) -> bool:
    """Whether a key lacks nothing but somebody who vouches for it."""
    return isinstance(error.__cause__, UntrustedError) and error.__cause__.unknown


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it did not answer in time"  # str(TimeoutError()) is empty
    if isinstance(error, socket.gaierror):
        return str(error.strerror).lower()
    if isinstance(error, OSError) and error.errno:
        # asyncio's own text is "Connect call failed", whatever the cause.
        return os.strerror(error.errno).lower()
    return why(error)
