"""How a connection is made: what the inventory and ``ssh_config`` say, and what is fastest."""

from __future__ import annotations

import copy
from collections.abc import Hashable

from orchestrator.core.errors import StepError
from orchestrator.ssh.given import Keys, given_by
from orchestrator.ssh.lean import asyncssh
from orchestrator.ssh.said import Said

KEEPALIVE_SECONDS = 5
KEEPALIVE_COUNT = 3
"""A connection is given up after ``KEEPALIVE_SECONDS * KEEPALIVE_COUNT`` without an answer."""

Options = asyncssh.SSHClientConnectionOptions

# What goes first where ssh_config is silent: asyncssh's word, the algorithms. All that
# asyncssh would offer is still offered.
_FIRST = (
    ("kex_algs", (b"curve25519-sha256", b"curve25519-sha256@libssh.org")),
    ("encryption_algs", (b"aes128-gcm@openssh.com", b"aes256-gcm@openssh.com")),
)

# A host is given nothing that it could be another person with, and proves itself by its key alone.
_GIVEN_TO_NOBODY: dict[str, object] = {
    "agent_forwarding": False,
    "x11_forwarding": False,
    "gss_delegate_creds": False,
    "gss_kex": False,
    # A terminal mixes what is read with what is said, and echoes a password.
    "request_pty": False,
    "command": None,
}

_SHARED: dict[Hashable, Options] = {}


async def shared_options(said: Said) -> Options:
    """As :func:`ssh_options`; hosts of which the same is said share the answer."""
    if not said.answer.shared:
        return await ssh_options(said)
    key = (said.answer, said.port, said.user, said.target.identity)
    if key not in _SHARED:
        _SHARED[key] = await ssh_options(said)
    return _SHARED[key]


async def ssh_options(said: Said) -> Options:
    """What the inventory and ``ssh_config`` together say of a connection, but for its place.

    Raises:
        StepError: They cannot be used, such as a private key that is encrypted.
    """
    target = said.target
    try:
        options: Options = await Options.construct(
            config=None,  # ssh alone reads ssh_config
            port=said.port,
            username=said.user,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVE_COUNT,
            server_host_key_algs="default",  # which are asked for is told by ``HostTrust``
            **given_by(said),
        )
    except (OSError, ValueError, asyncssh.Error) as error:
        raise StepError(
            f"the SSH settings for {target.address} cannot be used: {error}",
            hint="an encrypted private key is used through ssh-agent: ssh-add FILE",
        ) from error
    return options


def connect_arguments(options: Options) -> dict[str, object]:
    """What ``asyncssh.connect`` is given besides options, whatever ``ssh_config`` says.

    Some of it is there so that asyncssh need not find it out anew for each connection.
    """
    arguments: dict[str, object] = {
        "config": None,  # asyncssh would read ~/.ssh/config else
        "agent_identities": options.agent_identities,
        # Whatever ssh_config says: asyncssh unpacks a packet whole, and a packet of zeroes is a
        # thousand times as large then. What is copied is packed before.
        "compression_algs": ["none"],
        **_GIVEN_TO_NOBODY,
        **_preferred(options),
    }
    if options.client_keys is not None:
        # A key pair remembers which signature one server wanted: each connection has its own.
        arguments["client_keys"] = Keys(copy.copy(pair) for pair in options.client_keys)
    return arguments


def _preferred(options: Options) -> dict[str, object]:
    """The order of algorithms, where ``ssh_config`` does not say one."""
    return {
        name: _ordered(getattr(options, name), first)
        for name, first in _FIRST
        if name not in options.kwargs
    }


def _ordered(offered: list[bytes], first: tuple[bytes, ...]) -> list[str]:
    def rank(name: bytes) -> int:
        return first.index(name) if name in first else len(first)

    return [name.decode() for name in sorted(offered, key=rank)]
