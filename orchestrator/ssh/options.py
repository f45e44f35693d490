"""What the inventory and ssh say of a connection, in asyncssh's words."""

from __future__ import annotations

import asyncio
import copy
import functools
import shlex
import socket
from collections.abc import Callable, Hashable
from typing import Any

from msgspec import Struct

from orchestrator.core.errors import StepError, cause_of
from orchestrator.ssh.config import LOCALE
from orchestrator.ssh.identity import Identities, identities_of
from orchestrator.ssh.lean import (
    asyncssh,
    get_encryption_algs,
    get_kex_algs,
    get_mac_algs,
    get_public_key_algs,
)
from orchestrator.ssh.rules import KEY_KINDS
from orchestrator.ssh.said import Said, SshAnswer


class Keys(list[object]):
    """A list that is one even where it is empty: asyncssh would look for keys by itself else."""

    def __bool__(self) -> bool:
        return True


_SWITCHES = {
    "gssapiauthentication": "gss_auth",
    "hostbasedauthentication": "host_based_auth",
    "kbdinteractiveauthentication": "kbdint_auth",
    "passwordauthentication": "password_auth",
    "pubkeyauthentication": "public_key_auth",
    "tcpkeepalive": "tcp_keepalive",
}
_ALGORITHMS: dict[str, tuple[str, Callable[[], list[bytes]]]] = {
    "ciphers": ("encryption_algs", get_encryption_algs),
    "kexalgorithms": ("kex_algs", get_kex_algs),
    "macs": ("mac_algs", get_mac_algs),
}
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


def given_by(said: Said) -> dict[str, object]:
    """The options of asyncssh that what was said comes to.

    Raises:
        StepError: It has what asyncssh cannot do.
        ValueError: A number is none.
    """
    answer = said.answer
    if answer.one("bindinterface"):
        raise StepError(
            f"ssh_config has BindInterface for {said.target.address}, which is not supported",
            hint="name the interface's address instead: BindAddress",
        )
    return {
        **_switches(answer),
        **_algorithms(said),
        **_place(answer),
        **_limits(answer),
        **_environment(answer),
        **_logins(answer),
    }


def _switches(answer: SshAnswer) -> dict[str, object]:
    return {
        ours: answer.words[word][0] not in ("no", "false")
        for word, ours in _SWITCHES.items()
        if word in answer.words
    }


def _algorithms(said: Said) -> dict[str, object]:
    found: dict[str, object] = {"signature_algs": _signatures(said.answer)}
    for word, (ours, available) in _ALGORITHMS.items():
        values = said.answer.changed(word)
        if values is None:
            continue
        known = {name.decode() for name in available()}
        wanted = [name for name in values[0].split(",") if name in known]
        if not wanted:
            raise ValueError(f"none of {word} {values[0]} is supported here")
        found[ours] = wanted
    return found


def _signatures(answer: SshAnswer) -> list[str]:
    """By which algorithms a key proves itself; asyncssh's own would take SHA-1, too."""
    known = {name.decode() for name in get_public_key_algs()}
    values = answer.words.get("pubkeyacceptedalgorithms", (",".join(KEY_KINDS),))
    wanted = [name for name in values[0].split(",") if name in known]
    if not wanted:
        raise ValueError(f"none of PubkeyAcceptedAlgorithms {values[0]} is supported here")
    return wanted


def family_of(answer: SshAnswer) -> socket.AddressFamily:
    """``AddressFamily``: an address of another one is a name like any other."""
    return _FAMILIES.get(answer.one("addressfamily"), socket.AF_UNSPEC)


def _place(answer: SshAnswer) -> dict[str, object]:
    family = family_of(answer)
    bound = answer.one("bindaddress")
    return {
        **({"family": family} if family else {}),
        **({"local_addr": (bound, 0)} if bound else {}),
    }


def _limits(answer: SshAnswer) -> dict[str, object]:
    size, _, seconds = answer.one("rekeylimit").partition(" ")
    wait = answer.one("connecttimeout")
    return {
        **({"rekey_bytes": int(size)} if size.strip("0") else {}),
        **({"rekey_seconds": int(seconds)} if seconds.strip("0") else {}),
        **({"connect_timeout": int(wait)} if wait.strip("0") else {}),
    }


def _environment(answer: SshAnswer) -> dict[str, object]:
    sent = [name for name in answer.words.get("sendenv", ()) if name not in LOCALE]
    set_ = answer.words.get("setenv")
    return {
        **({"send_env": sent} if sent else {}),
        **({"env": list(set_)} if set_ else {}),
    }


def _logins(answer: SshAnswer) -> dict[str, object]:
    found: dict[str, object] = {}
    if methods := answer.one("preferredauthentications"):
        found["preferred_auth"] = methods
    if answer.one("enablesshkeysign") == "yes":
        found["client_host_keysign"] = True
    return found


KEEPALIVE_SECONDS = 5
KEEPALIVE_COUNT = 3
"""A connection is given up after ``KEEPALIVE_SECONDS * KEEPALIVE_COUNT`` without an answer."""

Options = asyncssh.SSHClientConnectionOptions


async def _constructed(options: Options | None = None, **arguments: object) -> Options:
    own = {name: arguments[name] for name in _OF_EACH if name in arguments}
    shared = tuple((name, _kept(arguments[name])) for name in arguments if name not in own)
    is_left_out = any(own.get(name, ()) == () for name in _OF_EACH if name != "client_keys")
    if options is None or is_left_out:
        return Options(options, loop=asyncio.get_running_loop(), **arguments)
    made = copy.copy(_prepared(options, shared, "client_keys" in own))
    made.kwargs = {**made.kwargs, **own}
    for name, value in own.items():
        for attribute in _OF_EACH[name]:
            setattr(made, attribute, value)
    return made


# asyncssh makes options for each connection of those that it is given, and reads nothing for that.
# It would do it in asyncio's few threads, and wait there for whatever else blocks. Nor need all of
# it be made for each of a thousand hosts.
Options.construct = _constructed  # type: ignore[method-assign]

_OF_EACH = {
    "host": ("orig_host", "host"),
    "port": ("port",),
    "tunnel": ("tunnel",),
    "client_factory": ("protocol_factory",),
    "client_keys": ("client_keys",),
    "server_host_key_algs": ("server_host_key_algs",),
}
"""By their names as arguments, what each connection has of its own, and as which attributes."""


def _kept(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


@functools.lru_cache(maxsize=256)
def _prepared(options: Options, shared: tuple[tuple[str, Any], ...], has_keys: bool) -> Options:
    """What connections share; no connection can be made by it, as it judges no host."""
    arguments = dict(shared)
    if has_keys:
        arguments["client_keys"] = Keys()
    return Options(
        options, loop=asyncio.get_running_loop(), client_factory=_judges_nobody, **arguments
    )


def _judges_nobody() -> asyncssh.SSHClient:
    raise RuntimeError("a connection of options that are no host's own")


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


class Access(Struct, frozen=True):
    """How a host is logged in to.

    Attributes:
        options: All but the place, in asyncssh's words.
        identities: The keys, and their order, which asyncssh has no word for.
    """

    options: Options
    identities: Identities


_SHARED: dict[Hashable, Access] = {}


async def shared_options(said: Said) -> Access:
    """As :func:`ssh_options`; hosts of which the same is said share the answer."""
    if not said.answer.shared:
        return await ssh_options(said)
    key = (said.answer, said.port, said.user, said.target.identity)
    if key not in _SHARED:
        _SHARED[key] = await ssh_options(said)
    return _SHARED[key]


async def ssh_options(said: Said) -> Access:
    """What the inventory and ``ssh_config`` together say of a connection, but for its place.

    Raises:
        StepError: They cannot be used, such as a private key that is encrypted.
    """
    target = said.target
    identities = await identities_of(said)
    try:
        options: Options = await Options.construct(
            config=None,  # ssh alone reads ssh_config
            port=said.port,
            username=said.user,
            keepalive_interval=KEEPALIVE_SECONDS,
            keepalive_count_max=KEEPALIVE_COUNT,
            server_host_key_algs="default",  # which are asked for is told by ``HostTrust``
            client_keys=Keys(identities.pairs),
            agent_path=identities.agent or None,
            agent_identities=None,  # ``identities`` tells those of them that are asked for
            **given_by(said),
        )
    except (OSError, ValueError, RuntimeError, asyncssh.Error) as error:
        raise StepError(
            f"the SSH settings for {target.address} cannot be used: {cause_of(error, named=True)}",
            hint="see what ssh makes of it; what is not supported here: docs/connecting.md",
            command=f"ssh -G -- {shlex.quote(target.address)}",
        ) from error
    return Access(options, identities)


def connect_arguments(options: Options) -> dict[str, object]:
    """What ``asyncssh.connect`` is given besides options, whatever ``ssh_config`` says.

    Some of it is there so that asyncssh need not find it out anew for each connection.
    """
    arguments: dict[str, object] = {
        "config": None,  # asyncssh would read ~/.ssh/config else
        "agent_identities": None,
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
        name: list(_ordered(tuple(getattr(options, name)), first))
        for name, first in _FIRST
        if name not in options.kwargs
    }


@functools.lru_cache
def _ordered(offered: tuple[bytes, ...], first: tuple[bytes, ...]) -> tuple[str, ...]:
    def rank(name: bytes) -> int:
        return first.index(name) if name in first else len(first)

    return tuple(name.decode() for name in sorted(offered, key=rank))
