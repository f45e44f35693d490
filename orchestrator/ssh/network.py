"""What hosts share on the way to them: names and sockets, tries, connections to jump hosts.

asyncio looks names up in a pool of a few threads, which it shares with whatever else blocks, and
which a command waits for at its end: a few names that nobody answers for would hold up every host.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import errno
import logging
import random
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import AsyncExitStack
from typing import Any, TypeVar

from msgspec import Struct

from orchestrator.core.interrupt import ended
from orchestrator.ssh.lean import asyncssh

T = TypeVar("T")
Connection = asyncssh.SSHClientConnection
Address = tuple[socket.AddressFamily, Any]
"""A family, and an address as the sockets of that family take it."""


# A ProxyCommand that is tried again was reaped when it was closed; asyncio tells who waited for it.
logging.getLogger("asyncio").addFilter(
    lambda record: not record.getMessage().startswith("Unknown child process pid")
)


async def aside(do: Callable[[], T]) -> T:
    """Do what may block for long in a thread of its own, which nobody waits for at the end.

    Raises:
        OSError: There are too many threads; or whatever ``do`` raises.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(how: Callable[[Any], None], what: object) -> None:
        if not done.done():
            how(what)

    def work() -> None:
        try:
            how: Callable[[Any], None]
            how, what = done.set_result, do()
        except Exception as error:
            how, what = done.set_exception, error  # type: ignore[assignment]
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants to know
            loop.call_soon_threadsafe(settle, how, what)

    try:
        threading.Thread(target=work, daemon=True).start()
    except RuntimeError as error:
        raise OSError(errno.EAGAIN, str(error)) from error
    return await done


_LOOKUPS: dict[tuple[asyncio.AbstractEventLoop, str, int, int], asyncio.Task[list[Address]]] = {}


async def addresses(host: str, port: int, family: int = 0) -> list[Address]:
    """Look a name up; who asks for one that is being looked up already waits for that answer.

    Raises:
        OSError: It has no address, or nobody says which.
        UnicodeError: It is no name: a part of it is empty or too long.
    """
    with contextlib.suppress(OSError):
        return _look_up(host, port, family, socket.AI_NUMERICHOST)
    key = (asyncio.get_running_loop(), host, port, family)
    if key not in _LOOKUPS:
        looking = asyncio.ensure_future(aside(lambda: _look_up(host, port, family, 0)))
        _LOOKUPS[key] = looking
        looking.add_done_callback(lambda _: _LOOKUPS.pop(key))
        looking.add_done_callback(lambda task: task.cancelled() or task.exception())
    return await asyncio.shield(_LOOKUPS[key])


def is_looked_up(host: str) -> bool:
    """Whether a name is being looked up, and nobody has answered yet."""
    loop = asyncio.get_running_loop()
    return any(key[:2] == (loop, host) for key in _LOOKUPS)


def _look_up(host: str, port: int, family: int, flags: int) -> list[Address]:
    found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM, 0, flags)
    return [(kind, address) for kind, _, _, _, address in found]


class Direct:
    """Opens connections by TCP, as asyncssh asks a jump host for them.

    Args:
        family: Of the addresses that count.
        bound: The address of this machine's to connect from; empty: any.
    """

    def __init__(self, family: socket.AddressFamily, bound: str) -> None:
        self._family = family
        self._bound = bound

    async def create_connection(
        self, session_factory: Callable[[], Any], remote_host: str, remote_port: int
    ) -> tuple[Any, Any]:
        """Connect to the first of a name's addresses that takes the connection.

        Raises:
            OSError: None does; why the last one did not.
            UnicodeError: It is no name.
        """
        problem = OSError(errno.EADDRNOTAVAIL, "it has no address")
        for family, address in await addresses(remote_host, remote_port, self._family):
            try:
                return await self._connected(session_factory, family, address)
            except OSError as error:
                problem = error
        raise problem

    async def _connected(
        self, factory: Callable[[], Any], family: socket.AddressFamily, address: Any
    ) -> tuple[Any, Any]:
        loop = asyncio.get_running_loop()
        end = socket.socket(family, socket.SOCK_STREAM)
        try:
            end.setblocking(False)
            if self._bound:
                end.bind((await addresses(self._bound, 0, family))[0][1])
            await loop.sock_connect(end, address)
            return await loop.create_connection(factory, sock=end)
        except BaseException:
            end.close()
            raise

    def close(self) -> None:
        """Close nothing: each connection is closed by who asked for it."""

    async def wait_closed(self) -> None:
        """Wait for nothing."""


CLOSES = (
    *(ConnectionResetError, ConnectionAbortedError, BrokenPipeError),
    asyncssh.ConnectionLost,
)
"""How a connection ends that a host closes."""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 2.0
_RESTART_SECONDS = 1.0
"""In which an sshd that is started again listens again."""


class Tries(Struct):
    """How far the tries to reach one host came.

    Attributes:
        deadline: By the loop's clock.
        connection: The last one that was taken, be it closed since.
        refused: How often one was closed before anything was said.
    """

    deadline: float
    connection: Connection | None = None
    refused: int = 0

    async def until_taken(
        self, attempt: Callable[[], Awaitable[T]], most: Callable[[], float] | None = None
    ) -> T:
        """Try, and try again where a connection is refused that may be taken in a moment.

        sshd closes some of those that come while many have not logged in yet (``MaxStartups``),
        before it says anything: what spoke SSH is not asked again, nor what let nobody in.

        Args:
            attempt: Opens a connection.
            most: How often that is worth while, asked after each try.

        Raises:
            Exception: What ``attempt`` raises; where it was refused, the last time.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + _RESTART_SECONDS
        for pause in _pauses():
            try:
                return await attempt()
            except ConnectionRefusedError:
                if loop.time() + pause > min(until, self.deadline):
                    raise
            except CLOSES:
                self.refused += 1
                enough = most is not None and self.refused >= most()
                if self.spoke or enough or loop.time() + pause > self.deadline:
                    raise
            await asyncio.sleep(pause)
        raise AssertionError("there is always a next pause")

    @property
    def spoke(self) -> bool:
        """Whether it has said that it speaks SSH."""
        return bool(self.connection and self.connection.get_extra_info("server_version"))


def _pauses() -> Iterator[float]:
    """Longer and longer ones, of random lengths: many hosts that were refused come apart."""
    longest = _FIRST_PAUSE
    while True:
        yield random.uniform(longest / 2, longest)  # noqa: S311 (no secret)
        longest = min(2 * longest, _LONGEST_PAUSE)


_MOST_THROUGH = 200
"""Hosts that share a connection: each is a file descriptor in the jump host's sshd."""


class _Shared(Struct, eq=False):
    """A connection, and how many go through it.

    Attributes:
        keeping: Holds it open until it is cancelled.
        opened: The connection.
    """

    keeping: asyncio.Task[None]
    opened: asyncio.Future[Connection]
    users: int = 0

    @property
    def has_room(self) -> bool:
        """Whether one more can go through it; not where it is lost."""
        if self.users >= _MOST_THROUGH or self.keeping.done():
            return False
        return not self.opened.done() or not self.opened.result().is_closed()


_SHARED: dict[Hashable, list[_Shared]] = {}


@contextlib.asynccontextmanager
async def shared(
    way: Hashable, connect: Callable[[AsyncExitStack], Awaitable[Connection]]
) -> AsyncIterator[Connection]:
    """Have a connection that is open already, or open it; the last who leaves it closes it.

    A jump host is logged in to once, and not once for each host behind it.

    Args:
        way: Whose connection it is: what has the same way shares it.
        connect: Opens it, for as long as the stack is open.

    Raises:
        Exception: What ``connect`` raises, to each who waits for it.
    """
    key = (asyncio.get_running_loop(), way)
    ways = _SHARED.setdefault(key, [])
    found = next((one for one in ways if one.has_room), None)
    if found is None:
        found = _begun(connect)
        ways.append(found)
    found.users += 1
    try:
        try:
            connection = await asyncio.shield(found.opened)
        except Exception as error:  # one for each: whoever catches it may add to it
            raise copy.copy(error) from error
        yield connection
    finally:
        found.users -= 1
        if not found.users:
            ways.remove(found)
            if not ways:
                _SHARED.pop(key, None)
            await ended(found.keeping)


def _begun(connect: Callable[[AsyncExitStack], Awaitable[Connection]]) -> _Shared:
    opened: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def keep() -> None:
        try:
            async with AsyncExitStack() as hops:
                opened.set_result(await connect(hops))
                await asyncio.Event().wait()
        except Exception as error:
            if opened.done():
                raise
            opened.set_exception(error)
            opened.exception()  # looked at, if everybody who waited has left

    return _Shared(asyncio.ensure_future(keep()), opened)
