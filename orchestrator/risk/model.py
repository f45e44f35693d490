"""What an evaluated configuration says that risk is derived from: the parts of ``read.nix``.

A part that could not be evaluated, or is of another type than NixOS has it, is ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

Setting = bool | int | float | str | list[str] | None
"""A unit's or the kernel's setting, as NixOS has it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """Ports that are let in, and ranges of them from the first to the last."""

    tcp: tuple[int, ...] = ()
    udp: tuple[int, ...] = ()
    tcp_ranges: tuple[tuple[int, int], ...] = ()
    udp_ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Firewall:
    """``networking.firewall``.

    Attributes:
        enable: ``None`` where the configuration does not say.
        interfaces: What is let in by one of them only.
        trusted: Interfaces by which everything is let in.
        forwards: Ports, or ranges of them, that are passed on to other machines.
        own: Options that have rules in the firewall's own language, which are not read.
    """

    enable: bool | None
    everybody: Opened = Opened()
    interfaces: Mapping[str, Opened] = field(default_factory=dict)
    trusted: tuple[str, ...] = ()
    forwards: tuple[int | str, ...] = ()
    own: tuple[str, ...] = ()


class Unit(Enum):
    """How much of a unit the configuration says."""

    WHOLE = "whole"
    PART = "part"
    """The rest of it comes from a package, which is not read."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Service:
    """A service of ``systemd.services``: systemd.service(5), systemd.exec(5).

    Attributes:
        hardening: Those of the settings that confine it which are set.
    """

    unit: Unit
    type: str = "simple"
    user: str | int | None = None
    dynamic: Setting = False
    hardening: Mapping[str, Setting] = field(default_factory=dict)


class Password(Enum):
    """How an account's password is given."""

    EMPTY = "empty"
    STORED = "stored"
    """In clear, in the store."""
    SET = "set"
    """As a hash, or in a file on the host."""
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Account:
    """An account of ``users.users``.

    Attributes:
        person: Whether it is a person's, and not a service's.
        groups: Those that its own entry names; a group may name it, too.
        keys: How many keys may log in.
    """

    person: bool
    password: Password
    groups: tuple[str | None, ...] = ()
    keys: int = 0


@dataclass(frozen=True, slots=True)
class Ssh:
    """``services.openssh``: sshd_config(5). What is ``None`` is left to sshd.

    Attributes:
        own: Lines in sshd's own language, which are not read.
    """

    enable: bool
    passwords: bool | str | None = None
    keyboard: bool | str | None = None
    root: bool | str | None = None
    empty: bool | str | None = None
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sudoer:
    """A rule of sudo's or doas'.

    Attributes:
        who: Users, and groups after a percent sign.
        free: Whether no password is asked for.
        all: Whether it is for every command.
    """

    who: tuple[str, ...]
    free: bool
    all: bool


@dataclass(frozen=True, slots=True)
class Sudo:
    """``security.sudo``, ``sudo-rs`` or ``doas``; ``own`` are lines that are not read."""

    name: str
    enable: bool
    wheel_asks: bool | None = None
    rules: tuple[Sudoer, ...] = ()
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A program of ``security.wrappers``."""

    enable: bool
    owner: str
    setuid: bool
    setgid: bool
    capabilities: str


@dataclass(frozen=True, slots=True)
class Store:
    """Nix on the host: whom it trusts, and what the configuration lets in.

    Attributes:
        own: Lines in nix.conf's own language that say such things, which are not read.
    """

    trusted: tuple[str, ...] = ()
    sandbox: bool | str | None = None
    signatures: bool | None = None
    keys: tuple[str, ...] = ()
    insecure: tuple[str, ...] = ()
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Login:
    """Who is logged in without a password at the machine itself."""

    console: str | None = None
    display: str | None = None
    emergency: bool | str = False


@dataclass(frozen=True, slots=True)
class Kernel:
    """What the kernel is told, and what confines it."""

    params: tuple[str, ...] = ()
    sysctl: Mapping[str, Setting] = field(default_factory=dict)
    locks_modules: bool | None = None
    protects_image: bool | None = None
    confines: bool | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """A container of ``virtualisation.oci-containers``."""

    ports: tuple[str, ...] = ()
    privileged: bool = False


@dataclass(frozen=True, slots=True)
class Surface:
    """All parts. Of the mappings, what could not be evaluated alone is ``None``.

    Attributes:
        failures: Why parts are not known, by their names, as far as that was said.
    """

    firewall: Firewall | None = None
    services: Mapping[str, Service | None] | None = None
    accounts: Mapping[str, Account | None] | None = None
    groups: Mapping[str, tuple[str, ...]] | None = None
    ssh: Ssh | None = None
    sudo: tuple[Sudo, ...] | None = None
    wrappers: Mapping[str, Wrapper | None] | None = None
    store: Store | None = None
    login: Login | None = None
    kernel: Kernel | None = None
    containers: Mapping[str, Container | None] | None = None
    failures: Mapping[str, str] = field(default_factory=dict)
