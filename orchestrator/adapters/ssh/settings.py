"""How this machine speaks SSH: which files of OpenSSH's count."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from orchestrator.model.host import Connect

# ssh_config(5): the defaults of UserKnownHostsFile and GlobalKnownHostsFile.
_KNOWN_HOSTS = (
    "~/.ssh/known_hosts",
    "~/.ssh/known_hosts2",
    "/etc/ssh/ssh_known_hosts",
    "/etc/ssh/ssh_known_hosts2",
)


@dataclass(frozen=True, slots=True)
class SshSettings:
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
        """``NIX_SSHOPTS`` for an ssh of Nix's own to a machine that is none of the fleet's."""
        return f"-F {self.config}" if self.config is not None else ""

    @property
    def config_files(self) -> list[str]:
        """The ``ssh_config`` files to read, in order of precedence."""
        if self.config is not None:
            return [self.config]
        return _existing(("~/.ssh/config", "/etc/ssh/ssh_config"))

    def known_hosts_files(self, configured: object) -> list[str]:
        """The ``known_hosts`` files that exist.

        Args:
            configured: What ``ssh_config`` says: a list of files, empty where it is silent.
                ``UserKnownHostsFile none`` arrives as ``None``; it leaves nothing to trust, and
                never means that any key will do.
        """
        if self.known_hosts is not None:
            names = [self.known_hosts]
        elif isinstance(configured, list):
            names = [str(name) for name in configured] or list(_KNOWN_HOSTS)
        else:
            names = []
        return _existing(names)


def moment() -> int:
    """Which fifth of a second it is: what the disk said in it is not asked again for each host."""
    return int(time.monotonic() * 5)


def look_again() -> None:
    """Forget which files there were: one of them was just written here."""
    _found.cache_clear()


def _existing(names: Iterable[str]) -> list[str]:
    return list(_found(tuple(names), moment()))


@functools.lru_cache(maxsize=16)
def _found(names: tuple[str, ...], _moment: int) -> tuple[str, ...]:
    # Not Path's, which takes five times as long.
    files = [os.path.expanduser(name) for name in names]  # noqa: PTH111
    return tuple(file for file in files if os.path.isfile(file))  # noqa: PTH113
