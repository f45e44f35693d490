"""A connection that asks whether the host's key is the one that it must be."""

from __future__ import annotations

import base64
import os
import shlex
import sys
from collections.abc import Callable
from typing import Any

from orchestrator.core.bounds import ANSWER
from orchestrator.core.errors import StepError, cause_of
from orchestrator.core.host import Host
from orchestrator.core.process import how_it_ended, run
from orchestrator.core.values import replace
from orchestrator.ssh.identity import Identities, held_by
from orchestrator.ssh.known_hosts import KnownHosts, known_by, read_known_hosts, read_revoked
from orchestrator.ssh.lean import SSHPacket, asyncssh
from orchestrator.ssh.options import family_of
from orchestrator.ssh.rules import plain_name, rules_of
from orchestrator.ssh.said import Said, lowered, said_of
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.tokens import command_argv
from orchestrator.ssh.verify import HostTrust, UntrustedError

KEY = "orchestrator_key"
"""By this name a connection knows the kind and base64 of the key that was tried last."""


def why(error: Exception) -> str:
    """What an error says; of one that asyncssh did not foresee, whose fault it is."""
    text = cause_of(error)
    if isinstance(error, OSError | asyncssh.Error):
        return text
    if isinstance(error, UnicodeError) and not isinstance(error, UnicodeDecodeError):
        # Of the address, before anybody is asked.
        if "label" in text:
            text = "between two dots there is nothing, or more than 63 characters"
        return f"it is no host's name ({text})"
    return f"it speaks no proper SSH ({text})"


def foresee_all(connection: asyncssh.SSHClientConnection) -> None:
    """Have whatever ends a connection be an error of the connection.

    asyncssh raises a ``ValueError`` and the like of a packet that is malformed, before the login
    and after it, in whoever waits for the host.
    """
    end = connection.internal_error

    def internal_error(exc_info: object = None, error_logger: object = None) -> None:
        error = (exc_info if isinstance(exc_info, tuple) else sys.exc_info())[1]
        if isinstance(error, Exception) and not isinstance(error, OSError | asyncssh.Error):
            told = asyncssh.ProtocolError(why(error))
            told.__cause__ = error
            exc_info = (type(told), told, error.__traceback__)
        end(exc_info, error_logger)  # type: ignore[arg-type]

    connection.internal_error = internal_error  # type: ignore[method-assign]


def without_fillers(connection: asyncssh.SSHClientConnection) -> None:
    """Send no empty message before each one, unless the cipher is of a mode that needs them.

    asyncssh sends them always: half of all packets. In CBC mode what is encrypted before a message
    tells how that one is, to whoever may choose it: RFC 4251, 9.3.1.
    """
    send = connection.send_packet

    def send_packet(kind: int, *parts: bytes, handler: Any = None) -> None:
        if kind != _IGNORE or connection.get_extra_info("send_cipher", "").endswith("-cbc"):
            send(kind, *parts, handler=handler)

    connection.send_packet = send_packet  # type: ignore[method-assign,assignment]


_IGNORE = 2
"""``SSH_MSG_IGNORE``: RFC 4253, 12."""

Taken = Callable[[asyncssh.SSHClientConnection], None]

_BEFORE_THE_LISTS = 17
"""Bytes of a KEXINIT: its type, and a cookie of 16."""


async def trust_in(said: Said, settings: SshSettings, *, proxied: bool = False) -> HostTrust:
    """Find out what is known of a host before it is contacted.

    Args:
        said: What ssh says of the host, or of a jump host.
        settings: Which files count.
        proxied: Whether there are jump hosts before it.

    Raises:
        StepError: ``ssh_config`` has what is not supported or cannot be understood, or a file
            that says whom to trust cannot be read, or ``KnownHostsCommand`` failed.
    """
    rules = rules_of(said, settings)
    # ssh passes over a file of the machine's that it may not read.
    others = [file for file in rules.global_files if not _is_hidden(file)]
    try:
        known = read_known_hosts(settings.known_hosts_files((*rules.user_files, *others)))
    except OSError as error:
        raise StepError(
            f"a known_hosts file cannot be read: {cause_of(error, named=True)}"
        ) from error
    trust = HostTrust(
        host=plain_name(said.host, family_of(said.answer)),
        port=said.port,
        rules=rules,
        known=known,
        revoked=read_revoked(rules.revoked),
        proxied=proxied or bool(said.command),
    )
    return await _commanded(said, trust) if rules.command else trust


async def _commanded(said: Said, trust: HostTrust) -> HostTrust:
    """Add what ``KnownHostsCommand`` says: for the order of algorithms, and of the name.

    Not for the name without its port, though files are looked at for that, too.
    """
    plain, command = lowered(said.host), trust.rules.command
    ordering = await _known_by_command(said, command, plain, "ORDER")
    commanded = await _known_by_command(said, command, trust.name, "HOSTNAME")
    return replace(trust, commanded=commanded.about(trust.name), ordering=ordering.about(plain))


async def _known_by_command(said: Said, command: str, name: str, why_asked: str) -> KnownHosts:
    """Ask ``KnownHostsCommand`` of a name.

    Raises:
        StepError: It failed, or is not what ssh would run. ssh trusts nobody then.
    """
    argv = command_argv(said, "KnownHostsCommand", command, {"H": name, "I": why_asked})
    done = await run(argv, deadline=_COMMAND_SECONDS, bound=ANSWER)
    if done.rc != 0:
        raise StepError(
            f"KnownHostsCommand failed for {said.target.address}: {how_it_ended(done.rc)}",
            hint="no host key is trusted without its answer, by ssh neither",
            command=shlex.join(argv),
            stderr=done.err,
        )
    return known_by(done.stdout.split(b"\n"))


_COMMAND_SECONDS = 30.0


def _is_hidden(file: str) -> bool:
    path = os.path.expanduser(file)  # noqa: PTH111 (``~nobody`` is nobody's)
    return os.path.lexists(path) and not os.access(path, os.R_OK)


def judged_by(trust: HostTrust, taken: Taken, identities: Identities) -> dict[str, object]:
    """What ``asyncssh.connect`` is given so that a host's key is judged here.

    asyncssh itself knows nobody's key: were it ever not to ask us, it would let nobody pass.

    Args:
        trust: What is known of the host.
        taken: Called with the connection once the host has taken it.
        identities: The keys that it is asked for, and their order.

    Raises:
        StepError: ``HostKeyAlgorithms`` leaves nothing to ask for.
    """
    algorithms = trust.algorithms()
    if not algorithms:
        raise no_algorithms(trust)
    return {
        "known_hosts": _knows_nobody,
        "host_key_alias": None,
        "canonicalize_hostname": False,
        "server_host_key_algs": algorithms,
        "client_factory": lambda: _Judge(trust, taken, identities),
    }


def no_algorithms(trust: HostTrust) -> StepError:
    """Say that a host cannot be asked for a key."""
    return StepError(
        f"no host key can be asked for from {trust.host}: HostKeyAlgorithms in ssh_config leaves "
        "none that is supported here",
        hint="name ssh-ed25519, rsa-sha2-512 or the like there, or take the option away",
    )


def _knows_nobody(_host: str, _address: str, _port: int | None) -> tuple[list[str], ...]:
    return [], [], []


class _Judge(asyncssh.SSHClient):
    """Has the host's key judged when it is shown.

    A connection shows it anew from time to time; as with ssh, the same one still counts then,
    though its certificate may have expired since.

    Args:
        trust: What is known of the host.
        taken: Called with the connection once the host has taken it.
        identities: The keys that it is asked for, and their order.
    """

    def __init__(self, trust: HostTrust, taken: Taken, identities: Identities) -> None:
        self._trust = trust
        self._identities = identities
        self._taken = taken
        self._shown: tuple[bytes, str] | None = None
        self._key: asyncssh.SSHKey | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Stand in for asyncssh's own judgement; the key exchange comes later."""
        self._taken(conn)
        foresee_all(conn)
        without_fillers(conn)
        address = conn.get_extra_info("peername")

        def validate(blob: bytes) -> asyncssh.SSHKey:
            return self._validate(blob, address[0] if address else None, _agreed_on(conn))

        conn.validate_server_host_key = validate  # type: ignore[method-assign,assignment]
        _offer_keys(conn, self._identities)

    def _validate(self, blob: bytes, address: str | None, algorithm: str) -> asyncssh.SSHKey:
        shown = (blob, algorithm)
        if shown == self._shown and self._key is not None:
            return self._key
        try:
            self._key, self._shown = self._trust.check(blob, address, algorithm), shown
        except UntrustedError as error:
            raise asyncssh.HostKeyNotVerifiable(str(error)) from error
        return self._key


def _offer_keys(conn: asyncssh.SSHClientConnection, identities: Identities) -> None:
    """Have keys tried in our order: asyncssh would try all of the agent's first.

    Which one is tried is noted: the last one is that which the host lets in, if it lets in a key.
    Once there is none left asyncssh asks once more, and goes on to passwords and the like.
    """
    next_key = conn.public_key_auth_requested
    ordered = False

    async def noted() -> asyncssh.SSHKeyPair | None:
        nonlocal ordered
        if not ordered:
            ordered = True
            conn._get_agent_keys = False
            keys = identities.offered(conn._client_keys, await held_by(conn._agent))
            conn._client_keys = list(keys)
        key = await next_key()
        conn.set_extra_info(**{KEY: None if key is None else _kind_and_text(key)})
        return key

    conn.public_key_auth_requested = noted  # type: ignore[method-assign]


def _kind_and_text(key: asyncssh.SSHKeyPair) -> tuple[str, str]:
    kind = SSHPacket(key.public_data).get_string().decode()
    return kind, base64.b64encode(key.public_data).decode()


def _agreed_on(conn: asyncssh.SSHClientConnection) -> str:
    """The algorithm of host keys: our first one that the host has, too (RFC 4253, 7.1)."""
    offer = SSHPacket(conn._server_kexinit)
    offer.get_bytes(_BEFORE_THE_LISTS)
    offer.get_namelist()  # of key exchanges
    theirs = offer.get_namelist()
    for algorithm in conn._server_host_key_algs or ():
        if algorithm in theirs:
            return algorithm.decode()
    raise asyncssh.KeyExchangeFailed("it has no host key of a kind that was asked for")


async def known_keys(host: Host, settings: SshSettings) -> tuple[str, ...]:
    """Look up a host's keys, each as its kind and its base64, without a comment.

    Raises:
        StepError: What the inventory and ``ssh_config`` say of the connection cannot be used.
    """
    target = settings.connect_for(host.name, host.connect)
    trust = await trust_in(await said_of(target, settings), settings)
    return tuple(key.text for key in trust.trusted_keys())
