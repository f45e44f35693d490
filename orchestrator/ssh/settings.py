"""How this machine speaks SSH: which files of OpenSSH's count."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable, Sequence

from msgspec import Struct

from orchestrator.core.host import Connect
from orchestrator.core.values import replace

_FOR_NIX = ("StrictHostKeyChecking=yes", "RemoteCommand=none", "ClearAllForwardings=yes")


class SshSettings(Struct, frozen=True):
    """Which files are read.

    Attributes:
        config: An ``ssh_config`` in place of ``~/.ssh/config``.
        known_hosts: A file in place of those that the configuration names.
        addresses: In place of the inventory's: host name → address. The lab sets it.
    """

    config: str | None = None
    known_hosts: str | None = None
    addresses: tuple[tuple[str, str], ...] = ()

    def connect_for(self, name: str, connect: Connect) -> Connect:
        """How to reach a host, the lab's address put in where there is one."""
        address = dict(self.addresses).get(name)
        if address is None:
            return connect
        return replace(connect, address=address, port=None, jump=None, identity=None)

    @property
    def nix_options(self) -> str:
        """``NIX_SSHOPTS`` for an ssh of Nix's own to a machine that is none of the fleet's.

        It is given neither the agent nor the display, and no key that is not known. Nor has it a
        terminal, another command or forwarded ports: Nix speaks its own protocol there.
        """
        files = [f"-F {self.config}"] if self.config is not None else []
        return " ".join((*files, "-a -k -x -T", *(f"-o{one}" for one in _FOR_NIX)))

    @property
    def config_files(self) -> list[str]:
        """The ``ssh_config`` files to read, in order of precedence."""
        if self.config is not None:
            return [self.config]
        return _existing(("~/.ssh/config", "/etc/ssh/ssh_config"))

    def known_hosts_files(self, configured: Sequence[str]) -> list[str]:
        """The ``known_hosts`` files that exist.

        Args:
            configured: Those that ``ssh_config`` names. Of none nobody is trusted.
        """
        names = [self.known_hosts] if self.known_hosts is not None else configured
        return [file for file in _there(tuple(names), moment()) if file != os.devnull]


def moment() -> int:
    """Which fifth of a second it is: what the disk said in it is not asked again for each host."""
    return int(time.monotonic() * 5)


def look_again() -> None:
    """Forget which files there were: one of them was just written here."""
    _found.cache_clear()
    _there.cache_clear()


def _existing(names: Iterable[str]) -> list[str]:
    return list(_found(tuple(names), moment()))


@functools.lru_cache(maxsize=16)
def _found(names: tuple[str, ...], _moment: int) -> tuple[str, ...]:
    # Not Path's, which takes five times as long.
    files = [os.path.expanduser(name) for name in names]  # noqa: PTH111
    return tuple(file for file in files if os.path.isfile(file))  # noqa: PTH113


@functools.lru_cache(maxsize=16)
def _there(names: tuple[str, ...], _moment: int) -> tuple[str, ...]:
    """Those that exist, whatever they are: one that is no file may not be passed over."""
    files = [os.path.expanduser(name) for name in names]  # noqa: PTH111
    return tuple(file for file in files if os.path.lexists(file))
