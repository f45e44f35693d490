"""A connection whose host key is ours to judge, and not asyncssh's."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable

from orchestrator.adapters.ssh.config import config_shape
from orchestrator.adapters.ssh.known_hosts import read_known_hosts
from orchestrator.adapters.ssh.lean import asyncssh
from orchestrator.adapters.ssh.options import Options
from orchestrator.adapters.ssh.revoked import read_revoked
from orchestrator.adapters.ssh.rules import Read, plain_name, read_rules
from orchestrator.adapters.ssh.settings import SshSettings
from orchestrator.adapters.ssh.verify import HostTrust, UntrustedError
from orchestrator.errors import StepError
from orchestrator.model.host import Connect

_RULES: dict[Hashable, asyncio.Task[Read]] = {}


async def trust_in(
    target: Connect, options: Options, settings: SshSettings, *, proxied: bool = False
) -> HostTrust:
    """Find out what is known of a host before it is contacted.

    Args:
        target: The host, or a jump host.
        options: Its connection's.
        settings: Which files count.
        proxied: Whether there are jump hosts before it.

    Raises:
        StepError: ``ssh_config`` has what is not supported or cannot be understood, or a file
            that says whom to trust cannot be read.
    """
    read = await _shared_rules(target, settings)
    host = plain_name(str(options.config.get("Hostname", target.address)))
    if read.place not in (None, (host, options.port)):
        raise StepError(
            f"ssh would connect to {_at(*read.place)} for {target.address}, "
            f"and not to {_at(host, options.port)}",
            hint="ssh_config is read in two ways, as with CanonicalizeHostname: "
            f"give the host `address: {read.place[0]}` in the inventory",
        )
    files = (*read.rules.user_files, *read.rules.global_files)
    try:
        known = read_known_hosts(settings.known_hosts_files(files))
    except OSError as error:
        raise StepError(f"a known_hosts file cannot be read: {error}") from error
    return HostTrust(
        host=host,
        port=options.port,
        rules=read.rules,
        known=known,
        revoked=read_revoked(read.rules.revoked),
        proxied=proxied or options.proxy_command is not None,
    )


async def _shared_rules(target: Connect, settings: SshSettings) -> Read:
    """As ``read_rules``; hosts of which the files say the same share the answer."""
    shape = config_shape(tuple(settings.config_files)).key(target.address)
    if shape is None:
        return await read_rules(target, settings)
    key = (settings, shape, target.port, target.user, target.jump)
    if key not in _RULES or _RULES[key].cancelled():
        _RULES[key] = asyncio.ensure_future(read_rules(target, settings))
    task = _RULES[key]
    try:
        read = await asyncio.shield(task)
    except BaseException:
        if task.done():
            _RULES.pop(key, None)
        raise
    # Where ssh would connect was said of the first of these hosts only.
    return Read(read.rules)


def _at(host: str, port: int) -> str:
    return f"[{host}]:{port}"


def judged_by(trust: HostTrust) -> dict[str, object]:
    """What ``asyncssh.connect`` is given so that a host's key is judged here.

    asyncssh itself knows nobody's key: were it ever not to ask us, it would let nobody pass.

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
        "client_factory": lambda: _Judge(trust),
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
    """

    def __init__(self, trust: HostTrust) -> None:
        self._trust = trust
        self._shown = b""
        self._key: asyncssh.SSHKey | None = None

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        """Stand in for asyncssh's own judgement; the key exchange comes later."""
        address = conn.get_extra_info("peername")

        def validate(blob: bytes) -> asyncssh.SSHKey:
            return self._validate(blob, address[0] if address else None)

        conn.validate_server_host_key = validate  # type: ignore[method-assign,assignment]

    def _validate(self, blob: bytes, address: str | None) -> asyncssh.SSHKey:
        if blob == self._shown and self._key is not None:
            return self._key
        try:
            self._key, self._shown = self._trust.check(blob, address), blob
        except UntrustedError as error:
            raise asyncssh.HostKeyNotVerifiable(str(error)) from error
        return self._key
