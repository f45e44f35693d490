"""Open a connection to a host, hop by hop, and say which hop failed and why."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator
from dataclasses import replace

from orchestrator.core.errors import SilentError, StepError, UnreachableError, UsageError
from orchestrator.core.host import Connect, Host
from orchestrator.ssh.lean import asyncssh
from orchestrator.ssh.options import connect_arguments, shared_options
from orchestrator.ssh.reasons import Attempt, told
from orchestrator.ssh.said import Said, said_of
from orchestrator.ssh.settings import SshSettings
from orchestrator.ssh.tokens import proxy_command
from orchestrator.ssh.verified import judged_by, trust_in


@contextlib.asynccontextmanager
async def connected(
    host: Host, settings: SshSettings
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect to a host for as long as the context is open.

    Raises:
        UnreachableError: It, or a jump host before it, did not answer in time.
        StepError: The host key is unknown or another one, or the login was refused.
    """
    target = settings.connect_for(host.name, host.connect)
    taken: list[str] = []
    async with contextlib.AsyncExitStack() as hops:
        try:
            async with asyncio.timeout(host.deadlines.connect):
                connection = await _open(target, settings, hops, host.name, taken)
        except TimeoutError:
            raise _too_late(target, settings, host.deadlines.connect, taken) from None
        except UnreachableError as error:
            if not taken:
                raise
            raise SilentError(error.message, hint=error.hint, command=error.command) from error
        yield connection


def _too_late(
    target: Connect, settings: SshSettings, seconds: float, taken: list[str]
) -> UnreachableError:
    """Say that a host was not reached in time: it is not there, or it hangs."""
    command = ssh_command(target, settings)
    if taken:
        return SilentError(
            f"{target.address} took the connection, and no SSH session came about in "
            f"{seconds:.0f} s",
            hint="it hangs, is very slow, or no sshd listens there",
            command=command,
        )
    return UnreachableError(
        f"no SSH connection to {target.address} within {seconds:.0f} s",
        hint="is it switched on and on the network?",
        command=command,
    )


async def _open(
    target: Connect,
    settings: SshSettings,
    hops: contextlib.AsyncExitStack,
    name: str,
    taken: list[str],
) -> asyncssh.SSHClientConnection:
    """Open a connection; ``taken`` has the target's address once its machine took one."""
    said = await said_of(target, settings)
    tunnel = await open_jumps(said, settings, hops)
    trust = f"trust it: orchestrator host trust {name}"
    return await _hop(said, settings, hops, tunnel, trust, taken)


async def open_jumps(
    said: Said, settings: SshSettings, hops: contextlib.AsyncExitStack
) -> asyncssh.SSHClientConnection | None:
    """Open the connections to the jump hosts before a target; ``None`` where there is none.

    Raises:
        UnreachableError: A jump host did not answer.
        StepError: A jump host's key is not known, or it refused the login.
    """
    tunnel: asyncssh.SSHClientConnection | None = None
    for jump in await _all_jumps(said, settings):
        trust = f"connect to the jump host once by hand: {ssh_command(jump.target, settings)}"
        tunnel = await _hop(jump, settings, hops, tunnel, trust, [])
    return tunnel


async def _all_jumps(said: Said, settings: SshSettings) -> tuple[Said, ...]:
    """All jump hosts, in order: each is reached through those before it, as ``ssh -J`` does.

    The first of them may have some of its own in ``ssh_config``.
    """
    found: list[Said] = []
    before = said
    while before.jump:
        *others, last = before.jump.split(",")
        jump = replace(parse_jump(last), jump=",".join(others) or None)
        before = await said_of(jump, settings)
        found.insert(0, before)
        if len(found) > _MOST_JUMPS:
            raise StepError(
                f"there are more than {_MOST_JUMPS} jump hosts before {said.target.address}",
                hint="do ProxyJump's hosts in ssh_config lead to each other?",
                command=ssh_command(said.target, settings),
            )
    return tuple(found)


def parse_jump(text: str) -> Connect:
    """Read one ``[user@]host[:port]``, as ``ProxyJump`` takes it; IPv6 stands in brackets.

    Raises:
        UsageError: The port is not a number.
    """
    text = text.strip().removeprefix("ssh://").rstrip("/")
    user, at, rest = text.rpartition("@")
    address, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        address, port = rest, ""
    if port and not port.isdecimal():
        raise UsageError(f"jump host {text!r}: {port!r} is no port")
    return Connect(
        address=address.strip("[]"), user=user if at else None, port=int(port) if port else None
    )


async def _hop(
    said: Said,
    settings: SshSettings,
    hops: contextlib.AsyncExitStack,
    tunnel: asyncssh.SSHClientConnection | None,
    trust: str,
    taken: list[str],
) -> asyncssh.SSHClientConnection:
    target = said.target
    access = await shared_options(said)
    known = await trust_in(said, settings, proxied=tunnel is not None)
    proxy = proxy_command(said, known.rules.alias)
    attempt = Attempt(
        address=target.address,
        user=said.user,
        trust=trust,
        command=ssh_command(target, settings),
        identities=access.identities,
        jump="" if tunnel is None else str(tunnel.get_extra_info("host")),
        proxy=tuple(proxy or ()),
    )
    try:
        return await hops.enter_async_context(
            asyncssh.connect(
                said.host,
                said.port,
                options=access.options,
                tunnel=tunnel,  # never left to asyncssh, which would judge the hops itself
                proxy_command=proxy,
                **connect_arguments(access.options),
                **judged_by(known, lambda: taken.append(target.address), access.identities),
            )
        )
    except StepError:
        raise
    # Whatever it is: one host must not end what goes on with the others.
    except Exception as error:
        raise told(error, attempt) from error


_MOST_JUMPS = 16


def ssh_command(target: Connect, settings: SshSettings) -> str:
    """The ``ssh`` command line that reaches the same host."""
    return shlex.join(ssh_argv(target, settings))


def ssh_argv(target: Connect, settings: SshSettings) -> tuple[str, ...]:
    """The ``ssh`` argv that reaches the same host by the same way."""
    options = [
        *(("-F", settings.config) if settings.config else ()),
        *(("-o", f"UserKnownHostsFile={settings.known_hosts}") if settings.known_hosts else ()),
        *(("-p", str(target.port)) if target.port else ()),
        *(("-J", target.jump) if target.jump else ()),
        *(("-i", target.identity) if target.identity else ()),
        *(("-l", target.user) if target.user else ()),
    ]
    return ("ssh", *options, "--", target.address)
