"""What is found on hosts, and what their configurations declare: values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from orchestrator.core.risk import Level
from orchestrator.risk.model import Firewall, Password


class Kind(Enum):
    """What a finding is about."""

    SOCKET = "socket"
    PROCESS = "process"
    SETUID = "setuid"
    CAPABILITY = "capability"
    ACCOUNT = "account"
    GROUP = "group"
    UNLOCKED = "unlocked"
    KEY = "key"
    UNIT = "unit"
    TIMER = "timer"
    CRON = "cron"
    ETC = "etc"
    LINK = "link"
    BOOT = "boot"
    MODULE = "module"
    HELPER = "helper"
    STORE = "store"
    LOGIN = "login"
    OWN = "own"


class Severity(Level):
    """How much a finding matters, in their order."""

    NOTE = "note"
    """Worth knowing, and no alarm: hosts that live have such things."""
    LOW = "low"
    MODERATE = "moderate"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def is_alarm(self) -> bool:
        """Whether somebody must look at it."""
        return self is not Severity.NOTE


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is on a host and that nobody declared.

    Attributes:
        subject: Which one, such as ``tcp/8080``; with the kind it names the finding.
        declared: What the configuration has in its place.
        seen: What is there.
        advice: What to do about it.
        since: When a check of this machine saw it first, and every one after that.
        accepted: The reason for which it is accepted; empty where it is not.
    """

    kind: Kind
    subject: str
    declared: str
    seen: str
    severity: Severity
    advice: str
    since: datetime | None = None
    accepted: str = ""

    @property
    def id(self) -> str:
        """Names it, whatever is seen of it: ``socket:tcp/8080``."""
        return f"{self.kind.value}:{self.subject}"

    @property
    def is_alarm(self) -> bool:
        """Whether somebody must look at it."""
        return self.severity.is_alarm and not self.accepted


@dataclass(frozen=True, slots=True)
class Account:
    """An account of ``users.users``.

    Attributes:
        person: Whether it is a person's, and not a service's.
        keys: Lines of authorized_keys.
        unread: Whether more keys are in files that could not be read.
    """

    uid: int | None
    person: bool
    groups: tuple[str, ...] = ()
    password: Password = Password.NONE
    keys: tuple[str, ...] = ()
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Wrapper:
    """A program of ``security.wrappers``."""

    setuid: bool
    setgid: bool
    capabilities: str


@dataclass(frozen=True, slots=True)
class Declared:
    """What a configuration declares: the parts of ``declared.nix``. ``None`` is not known.

    Attributes:
        mutable: Whether accounts that are made on the host stay: ``users.mutableUsers``.
        engines: What runs containers, machines or builds there.
        cron: Whether users may have tables of cron's.
        entries: Names of boot entries beside NixOS's own.
    """

    firewall: Firewall | None = None
    accounts: Mapping[str, Account] | None = None
    groups: Mapping[str, tuple[str, ...]] | None = None
    mutable: bool | None = None
    wrappers: Mapping[str, Wrapper] | None = None
    engines: tuple[str, ...] | None = None
    cron: bool | None = None
    entries: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """What else is known to be there: of a lab's host, what its base image has.

    Attributes:
        paths: Files and links that are as the image has them.
        groups: Their members, by name.
        keys: Keys of the lab's own, as they stand in a line: without options and comment.
    """

    paths: frozenset[str] = frozenset()
    accounts: frozenset[str] = frozenset()
    groups: Mapping[str, frozenset[str]] = field(default_factory=dict)
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Checked:
    """One host, checked.

    Attributes:
        system: What it runs.
        compared: What is declared is compared: ``configuration`` or ``closure`` alone.
        why: Why not with the configuration.
        before: When it was checked before this.
        gone: What that check found, and this one did not.
        unseen: Parts that could not be looked at, in words.
        not_kept: Why it cannot be compared with later.
    """

    at: datetime
    machine_id: str
    system: str
    findings: tuple[Finding, ...]
    compared: str
    why: str = ""
    before: datetime | None = None
    gone: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    not_kept: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """What somebody must look at, the worst first."""
        return tuple(one for one in self.findings if one.is_alarm)
