"""Open a connection to a host, hop by hop, and say which hop failed and why."""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import AsyncIterator

from orchestrator.core.errors import SilentError, StepError, UnreachableError, UsageError
from orchestrator.core.host import Connect, Host
from orchestrator.core.values import replace
from orchestrator.ssh.lean import asyncssh
from orchestrator.ssh.network import Direct, Tries, is_looked_up, shared
from orchestrator.ssh.options import connect_arguments, family_of, shared_options
from orchestrator.ssh.proxy import ProxyCommand, proxy_command
from orchestrator.ssh.reasons import CLOSED, Attempt, closed, told
from orchestrator.ssh.said import Said, said_of
from orchestrator.ssh.settings import SshSettings
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
    # Its clock starts now: what `ssh -G` takes is no fault of the host's.
    said = await said_of(target, settings)
    jumps = await all_jumps(said, settings)
    seconds = host.deadlines.connect
    tries = tries_within(seconds)
    before = jumps
    async with contextlib.AsyncExitStack() as hops:
        try:
            async with asyncio.timeout(seconds):
                tunnel = await through(jumps, settings, seconds, hops)
                before = ()
                trust = f"trust it: orchestrator host trust {host.name}"
                connection = await _hop(said, settings, hops, tunnel, trust, tries)
        except TimeoutError:
            raise _too_late(said, settings, seconds, tries, before) from None
        except UnreachableError as error:
            if tries.connection is None:
                raise
            raise SilentError(error.message, hint=error.hint, command=error.command) from error
        yield connection


def tries_within(seconds: float) -> Tries:
    """Begin to try to reach a host, for so long."""
    return Tries(asyncio.get_running_loop().time() + seconds)


def _too_late(
    said: Said, settings: SshSettings, seconds: float, tries: Tries, before: tuple[Said, ...]
) -> UnreachableError:
    """Say that a host was not reached in time: what it waited for, or that it hangs.

    Args:
        said: The host.
        settings: Which files count.
        seconds: How long it was tried.
        tries: How far that came.
        before: Jump hosts, where not all of them were reached by then.
    """
    target = said.target
    command = ssh_command(target, settings)
    if tries.refused:
        return SilentError(closed(target.address, tries.refused), hint=CLOSED, command=command)
    if tries.connection is not None:
        return SilentError(
            f"{target.address} took the connection, and no SSH session came about in "
            f"{seconds:.0f} s",
            hint="it hangs, is very slow, or no sshd listens there",
            command=command,
        )
    text, hint = f"no SSH connection to {target.address} within {seconds:.0f} s", ""
    if unnamed := next((one.host for one in (*before, said) if is_looked_up(one.host)), ""):
        text += f": no name server has answered what the address of {unnamed} is"
        hint = f"is this machine on the network? getent ahosts {shlex.quote(unnamed)}"
    elif before:
        jumps = " and ".join(one.target.address for one in before)
        text += f": it is reached through {jumps}, and not even that was"
        hint = "is the jump host switched on and on the network?"
    return UnreachableError(
        text, hint=hint or "is it switched on and on the network?", command=command
    )


async def through(
    jumps: tuple[Said, ...], settings: SshSettings, seconds: float, hops: contextlib.AsyncExitStack
) -> asyncssh.SSHClientConnection | None:
    """Reach the last of some jump hosts, over a connection that all hosts behind it share.

    Args:
        jumps: In the order of the way; none where there is none.
        settings: Which files count.
        seconds: How long each may take.
        hops: Leaves the connection when it is closed.

    Raises:
        UnreachableError: A jump host did not answer.
        StepError: A jump host's key is not known, or it refused the login.
    """
    if not jumps:
        return None
    last = jumps[-1]

    async def connect(own: contextlib.AsyncExitStack) -> asyncssh.SSHClientConnection:
        trust = f"connect to the jump host once by hand: {ssh_command(last.target, settings)}"
        tries = tries_within(seconds)
        try:
            async with asyncio.timeout(seconds):
                tunnel = await through(jumps[:-1], settings, seconds, own)
                return await _hop(last, settings, own, tunnel, trust, tries)
        except TimeoutError:
            raise _too_late(last, settings, seconds, tries, ()) from None

    way = (settings, *(jump.target for jump in jumps))
    return await hops.enter_async_context(shared(way, connect))


async def all_jumps(said: Said, settings: SshSettings) -> tuple[Said, ...]:
    """All jump hosts, in order: each is reached through those before it, as ``ssh -J`` does.

    The first of them may have some of its own in ``ssh_config``.

    Raises:
        UsageError: The port of one is not a number.
        StepError: ``ssh`` cannot tell how one is reached; or one is behind itself.
    """
    found: list[Said] = []
    before = said
    while before.jump:
        *others, last = before.jump.split(",")
        jump = replace(parse_jump(last), jump=",".join(others) or None)
        before = await said_of(jump, settings)
        if any(_is_same(before, other) for other in found):
            raise _loop(before, settings)
        found.insert(0, before)
        if len(found) > _MOST_JUMPS:
            raise StepError(
                f"there are more than {_MOST_JUMPS} jump hosts before {said.target.address}",
                hint="do ProxyJump's hosts in ssh_config lead to each other?",
                command=ssh_command(said.target, settings),
            )
    return tuple(found)


def _is_same(one: Said, other: Said) -> bool:
    return (one.host, one.user, one.port, one.jump) == (
        *(other.host, other.user, other.port, other.jump),
    )


def _loop(jump: Said, settings: SshSettings) -> StepError:
    name = jump.target.address
    return StepError(
        f"the jump host {name} would be reached through itself",
        hint=f"ProxyJump in ssh_config is said of {name}, too: put `Host {name}` with "
        "`ProxyJump none` before that block",
        command=ssh_command(jump.target, settings),
    )


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
    tries: Tries,
) -> asyncssh.SSHClientConnection:
    target = said.target
    access = await shared_options(said)
    known = await trust_in(said, settings, proxied=tunnel is not None)
    argv = proxy_command(said, known.rules.alias)
    proxy = ProxyCommand(argv) if argv else None
    attempt = Attempt(
        address=target.address,
        user=said.user,
        trust=trust,
        command=ssh_command(target, settings),
        identities=access.identities,
        jump="" if tunnel is None else str(tunnel.get_extra_info("host")),
        proxy=tuple(argv or ()),
    )

    def taken(connection: asyncssh.SSHClientConnection) -> None:
        tries.connection = connection

    async def connect() -> asyncssh.SSHClientConnection:
        return await hops.enter_async_context(
            asyncssh.connect(
                said.host,
                said.port,
                options=access.options,
                tunnel=road(said, tunnel, proxy),
                **connect_arguments(access.options),
                **judged_by(known, taken, access.identities),
            )
        )

    try:
        return await tries.until_taken(connect, proxy.most_tries if proxy else None)
    except StepError:
        raise
    # Whatever it is: one host must not end what goes on with the others.
    except Exception as error:
        if proxy and proxy.failure and not tries.spoke:
            tries.connection = None  # it was the command's, and not the host's
            raise proxy.fault(target.address, attempt.command) from error
        raise told(error, attempt, unspoken=0 if tries.spoke else tries.refused) from error


def road(
    said: Said, tunnel: asyncssh.SSHClientConnection | None, proxy: ProxyCommand | None
) -> asyncssh.SSHClientConnection | ProxyCommand | Direct:
    """Say what asyncssh opens a connection over, as it would judge jump hosts itself.

    Args:
        said: How the host is reached.
        tunnel: The connection to the jump host before it, where there is one.
        proxy: Its ``ProxyCommand``, where there is one.
    """
    return tunnel or proxy or Direct(family_of(said.answer), said.answer.one("bindaddress"))


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
