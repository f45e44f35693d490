"""What the inventory says of a host, once every layer of it is resolved."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import Enum
from typing import Any

from msgspec import Struct, field

from orchestrator.core.catalogue import Feature, Tier
from orchestrator.core.nix_settings import PLAIN, NixSettings
from orchestrator.core.risk import Acceptance, AcceptedFinding, Risk
from orchestrator.core.rollout import RolloutPolicy
from orchestrator.core.specialisation import KEEP, SpecialisePolicy

# One label of a host name: RFC 1123 section 2.1, in lower case as NixOS wants it.
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


def is_host_name(text: str) -> bool:
    """Whether ``text`` is one label of a host name as RFC 1123 section 2.1 defines it."""
    return _LABEL.fullmatch(text) is not None


class BuildOn(Enum):
    """Where a host's system is built."""

    HERE = "here"
    TARGET = "target"
    BUILDER = "builder"


class BuildSite(Struct, frozen=True):
    """Where a host's system is built; ``builder`` names another host of the fleet."""

    on: BuildOn = BuildOn.HERE
    builder: str | None = None

    def __str__(self) -> str:
        return self.builder if self.builder is not None else self.on.value


class Connect(Struct, frozen=True):
    """How a host is reached. What is ``None`` is left to ``~/.ssh/config``.

    Attributes:
        address: A host name, an IP address or an alias of ``~/.ssh/config``.
        user: The user to log in as.
        port: The TCP port.
        jump: A jump host, as ``ProxyJump`` takes it: ``[user@]host[:port]``.
        identity: A private key file.
        sudo: Whether root is reached through sudo. It is not asked when ``user`` is root.
        become: By what root is reached: ``sudo``, ``sudo-rs``, ``doas``, ``run0``, or the words
            that stand before a command.
        sudo_password: Whether sudo asks for a password there; ``None``: nothing is said of it.
    """

    address: str
    user: str | None = None
    port: int | None = None
    jump: str | None = None
    identity: str | None = None
    sudo: bool = True
    become: str = "sudo"
    sudo_password: bool | None = None


class Deadlines(Struct, frozen=True):
    """How long each phase may take on a host, in seconds.

    Attributes:
        lock: How long a lock counts whose deployer is gone.
    """

    connect: float = 15.0
    evaluate: float = 600.0
    build: float = 7200.0
    copy: float = 3600.0
    activate: float = 600.0
    verify: float = 120.0
    reboot: float = 600.0
    lock: float = 90.0


class NewlyFailed(Enum):
    """What becomes of a deployment after which units fail that did not fail before."""

    REPORT = "report"
    ROLL_BACK = "roll-back"


class LastResort(Enum):
    """What a guard does that cannot repair the way in."""

    NONE = "none"
    REBOOT = "reboot"


class Guard(Struct, frozen=True):
    """How long the guard on a host waits before it rolls back by itself.

    Attributes:
        confirm: Seconds from the end of activation to the deployer's new connection.
        health: Seconds from that connection to its word that the host is verified.
        failed_units: What units that newly fail lead to, and services that do not stay up.
        steady: Seconds that a service must have been up which systemd starts again when it dies.
        last_resort: Whether it boots the host into the old system where nobody gets in, by the
            host's own evidence, and it cannot be repaired.
    """

    confirm: float = 180.0
    health: float = 600.0
    failed_units: NewlyFailed = NewlyFailed.REPORT
    steady: float = 5.0
    last_resort: LastResort = LastResort.NONE


class UnsignedBuilds(Enum):
    """What becomes of a system that another machine built, and that no key has signed."""

    ACCEPT = "accept"
    REFUSE = "refuse"


class WhenUnreachable(Enum):
    """What becomes of a host that does not answer."""

    FAIL = "fail"
    DEFER = "defer"


class Preflight(Struct, frozen=True):
    """How much must be left over on a host.

    Attributes:
        store_margin: Bytes that must be free in the store's file system beside the copy.
        clock_skew: Seconds by which its clock may differ from this machine's.
        closure_budget: The most bytes that its system's closure may have; ``None`` for no limit.
    """

    store_margin: int = 512 * 2**20
    clock_skew: float = 300.0
    closure_budget: int | None = None


class Verify(Struct, frozen=True):
    """How a host is verified after activation.

    Attributes:
        suites: Test files or folders, relative to the fleet's root, in order, without repeats.
        settle: Seconds to wait after activation before the first try.
        retries: How often a failing check is tried again.
        interval: Seconds between two tries.
    """

    suites: tuple[str, ...] = ()
    settle: float = 0.0
    retries: int = 2
    interval: float = 1.0


class Host(Struct, frozen=True):
    """One host, resolved: fleet, template, profiles and its own entry folded into one.

    Attributes:
        name: An RFC 1123 label; the default attribute below ``nixosConfigurations``.
        attr: The attribute below ``nixosConfigurations``.
        flake: The flake that has it, as :class:`Fleet` has its own; ``None`` where it is that one.
        system: The Nix system, such as ``x86_64-linux``.
        tier: The bundle of features that it has.
        features: What it has, with all that these require.
        settings: By feature, those of features that take some: what JSON has.
        machine_id: The content of the host's ``/etc/machine-id``. Where it equals this machine's,
            the host *is* this machine and is deployed without SSH.
        hardware: Free-form facts for the templates, such as ``{"cpu": "amd"}``: what JSON has.
        state_version: NixOS's ``system.stateVersion``.
        substitute: The cache that it fetches its system from; ``None`` where it is copied to it.
        unsigned_builds: Whether it takes what another machine built without a signature.
        specialisation: Which specialisation of its system it is to run.
        unreachable: What becomes of it where it does not answer.
        pending_expiry: Seconds for which its system waits for it.
        nix: How Nix evaluates and builds its system.
        of: The class of equal hosts that it is a member of: all of them have one ``attr``.
        max_risk: How much it may be at; ``None`` where nobody says, and nothing is assessed.
        accept_risk: How much more is accepted for a while.
        accept_findings: What of a security check's findings is accepted for a while.
    """

    name: str
    attr: str
    connect: Connect
    flake: str | None = None
    system: str = "x86_64-linux"
    template: str | None = None
    tier: str | None = None
    profiles: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    hardware: Mapping[str, Any] = field(default_factory=dict)
    state_version: str | None = None
    machine_id: str | None = None
    build: BuildSite = BuildSite()
    substitute: str | None = None
    unsigned_builds: UnsignedBuilds = UnsignedBuilds.ACCEPT
    verify: Verify = Verify()
    deadlines: Deadlines = Deadlines()
    guard: Guard = Guard()
    preflight: Preflight = Preflight()
    specialisation: SpecialisePolicy = KEEP
    unreachable: WhenUnreachable = WhenUnreachable.FAIL
    pending_expiry: float = 7 * 86400.0
    nix: NixSettings = PLAIN
    of: str | None = None
    max_risk: Risk | None = None
    accept_risk: Acceptance | None = None
    accept_findings: tuple[AcceptedFinding, ...] = ()


class Cache(Struct, frozen=True):
    """A binary cache of the fleet's, from which hosts fetch their systems.

    Attributes:
        url: Where hosts fetch, as Nix's ``substituters`` takes it.
        public_key: ``NAME:BASE64``, as ``trusted-public-keys`` takes it: all must be signed by it.
        push: The store that this machine copies to; ``None`` where others fill the cache.
        secret_key: The file that what is pushed is signed with.
    """

    name: str
    url: str
    public_key: str
    push: str | None = None
    secret_key: str | None = None


class User(Struct, frozen=True):
    """A person's or a service's account, as the templates create it on a host.

    Attributes:
        profiles: Those whose user part the account gets, on hosts that have the profile too.
    """

    name: str
    groups: tuple[str, ...] = ()
    shell: str | None = None
    ssh_keys: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()


class Limits(Struct, frozen=True):
    """How many of each may be under way at once, over the whole fleet.

    Attributes:
        evaluations: ``None`` where the cores and the memory of this machine decide.
        evaluation_memory: What all evaluations may take together, in bytes; ``None`` where the
            memory that is free decides.
    """

    hosts: int = 1000
    evaluations: int | None = None
    evaluation_memory: int | None = None
    builds: int = 2
    copies: int = 8
    activations: int = 16
    connections: int = 256
    verifications: int = 4


class Fleet(Struct, frozen=True):
    """An inventory, read and resolved.

    Attributes:
        name: The fleet's name; with ``root`` it names the fleet's state folder.
        root: Absolute path of the folder that holds ``inventory/``.
        flake: The flake that has ``nixosConfigurations``: an absolute path or a flake URL.
        hosts: By name, in the inventory's order.
        users: By name.
        builders: Machines that build for this one, as Nix's ``builders`` takes them; none means
            those that Nix is set to use.
        caches: By name.
        rollout: How deployments go over the hosts.
        lab_nixpkgs: What the lab's hosts are built by: a flake reference, or a path relative to
            ``root``; none: the lab's stand-in.
        nix: What holds for all hosts, and for what is asked of the flake itself.
        secrets_fetch: What ``secrets.nix`` may fetch while it is read: beginnings of URLs.
        lab_secrets: ``own`` or ``placeholder``: what the lab's hosts have for the fleet's secrets.
        secrets_rules: Its files of rules, relative to ``root``; none: those that are found.
        features: The catalogue, by name.
        tiers: Bundles of features by name, the least one first.
    """

    name: str
    root: str
    flake: str
    hosts: Mapping[str, Host]
    users: Mapping[str, User] = field(default_factory=dict)
    limits: Limits = Limits()
    builders: tuple[str, ...] = ()
    caches: Mapping[str, Cache] = field(default_factory=dict)
    rollout: RolloutPolicy = field(default_factory=RolloutPolicy)
    lab_nixpkgs: str | None = None
    nix: NixSettings = PLAIN
    secrets_fetch: tuple[str, ...] = ()
    lab_secrets: str | None = None
    secrets_rules: tuple[str, ...] = ()
    features: Mapping[str, Feature] = field(default_factory=dict)
    tiers: Mapping[str, Tier] = field(default_factory=dict)
