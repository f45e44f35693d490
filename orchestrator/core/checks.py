"""What is asked before a host is changed, and what was found."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import Enum

from msgspec import Struct, field

from orchestrator.core.run import Load


class Check(Enum):
    """The checks, by the names that ``--skip-preflight`` takes."""

    IDENTITY = "identity"
    OLDER = "older"
    SUDO = "sudo"
    NIX = "nix"
    READ_ONLY = "read-only"
    STORE_SPACE = "store-space"
    INODES = "inodes"
    BOOT_SPACE = "boot-space"
    CLOSURE_SIZE = "closure-size"
    CLOCK = "clock"
    ACTIVATION = "activation"
    INHIBITORS = "inhibitors"
    NEEDS = "needs"
    SECRETS = "secrets"
    ACCOUNTS = "accounts"
    WAY_BACK = "way-back"
    HARDWARE = "hardware"


class Shortfall(Struct, frozen=True):
    """What one check found wanting.

    Attributes:
        check: Which.
        text: What it is, in one sentence with figures.
        remedy: What to do about it.
        command: What to run on the host, to see it or to repair it.
        refuses: Whether the host is left alone for it; else it is a warning.
        always: Whether it refuses in an emergency, too, where its check would not.
    """

    check: Check
    text: str
    remedy: str = ""
    command: tuple[str, ...] = ()
    refuses: bool = True
    always: bool = False


class Room(Struct, frozen=True):
    """What is left of a file system.

    Attributes:
        free: Bytes that root may still write.
        inodes: Files that may still be made; ``None`` where the file system has no such limit.
    """

    free: int
    inodes: int | None = None


class BootFiles(Struct, frozen=True):
    """The files that the boot loader takes of a system.

    Attributes:
        sizes: Bytes of each, by its ``boot_name``.
    """

    sizes: Mapping[str, int] = field(default_factory=dict)


def boot_name(path: str) -> str:
    """Name a file of the store as systemd-boot, GRUB and extlinux do where they keep it.

    It is the path below ``/nix/store`` with dashes for slashes; systemd-boot adds ``.efi``.
    """
    return path.removeprefix("/nix/store/").replace("/", "-")


class BootRoom(Struct, frozen=True):
    """Where the boot loader's files are kept.

    Attributes:
        folder: Such as ``/boot``.
        room: What is left of its file system.
        files: Names of what is kept there, without ``.efi``.
        generations: How many generations have an entry there.
        read_only: What is mounted there, where it cannot be written; else empty.
    """

    folder: str
    room: Room
    files: frozenset[str] = frozenset()
    generations: int = 0
    read_only: str = ""


class Inhibitor(Struct, frozen=True):
    """A lock of systemd's that holds something up; see systemd-inhibit(1)."""

    what: str
    who: str
    why: str


class Facts(Struct, frozen=True):
    """A host's answer. What it did not say is ``None``.

    Attributes:
        volatile_id: Whether each boot makes another machine-id: its root is in memory.
        user: The user's id that commands run as.
        nix_error: What keeps Nix from reading its database; empty where it does.
        read_only: Places that cannot be written, with what is mounted there.
        store: What is left of the store's file system.
        boot: Where the boot loader's files are; ``None`` also where there is none of that.
        running: The boot loader's files of the system that runs.
        target: Likewise of the target, where that is on the host.
        clock: Seconds since 1970.
        activations: What activates a system there at the moment.
        inhibitors: What holds up a shutdown.
    """

    volatile_id: bool = False
    user: int | None = None
    nix_error: str | None = None
    read_only: tuple[str, ...] | None = None
    store: Room | None = None
    boot: BootRoom | None = None
    running: BootFiles | None = None
    target: BootFiles | None = None
    clock: int | None = None
    activations: tuple[str, ...] | None = None
    inhibitors: tuple[Inhibitor, ...] | None = None


class Seen(Struct, frozen=True):
    """A machine as it was seen under a host's name before."""

    machine_id: str
    at: datetime


class Wanted(Struct, frozen=True):
    """What a deployment will take of a host.

    Attributes:
        machine_id: What the host says.
        seen: The machine that answered under this name before; ``None`` where none did.
        load: What will be copied; ``None`` where that is not known beforehand.
        boot_files: The target's, where they are known here.
        asked: When this machine sent the question and had the answer, seconds since 1970.
        store_margin: Bytes that must be left over in the store's file system.
        clock_skew: Seconds by which the clocks may differ.
        changes: Whether the host will be changed, and not only copied to.
        commits: Whether its boot default will be.
        boots: Whether it will be rebooted.
        emergency: Whether only what would make the deployment fail may refuse it.
        skipped: Checks that do not count.
        closure_budget: The most bytes that the target's closure may have; ``None`` for no limit.
        closure_size: What it has; ``None`` where that is not known beforehand.
    """

    machine_id: str
    seen: Seen | None
    load: Load | None
    boot_files: BootFiles | None
    asked: tuple[float, float]
    store_margin: int
    clock_skew: float
    changes: bool = True
    commits: bool = True
    boots: bool = False
    emergency: bool = False
    skipped: frozenset[Check] = frozenset()
    closure_budget: int | None = None
    closure_size: int | None = None


class Login(Struct, frozen=True):
    """Who an executor's commands come as.

    Attributes:
        user: Who logs in; on this machine, who runs this.
        kind: The kind of the key that let it in, such as ``ssh-ed25519``, or
            ``ssh-ed25519-cert-v01@openssh.com``; empty where no key did.
        key: That key or certificate, in base64: RFC 4253, 6.6.
        sudo: Whether root is reached through sudo.
        password: Whether sudo asked for a password.
        by: What stands in sudo's place: ``connect: {become: …}``.
    """

    user: str
    kind: str = ""
    key: str = ""
    sudo: bool = False
    password: bool = False
    by: str = "sudo"

    @property
    def is_certificate(self) -> bool:
        """Whether it is a certificate: who lets it in trusts its authority."""
        return self.kind.endswith("-cert-v01@openssh.com")

    @property
    def fingerprint(self) -> str:
        """The key's, as ``ssh-keygen -l`` writes it; empty where no key let it in."""
        if not self.key:
            return ""
        digest = hashlib.sha256(base64.b64decode(self.key)).digest()
        return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


class Account(Struct, frozen=True):
    """An account: its home, and its login shell; empty where it is not said."""

    home: str
    shell: str


class NextLogin(Struct, frozen=True):
    """What a host said of logins once it has its next system.

    Attributes:
        sshd: ``asked`` where sshd answered, ``gone`` where that system has none and this one has;
            else what keeps sshd from an answer, or empty where the host did not say.
        says: What ``sshd -T`` says for this user, by keyword: sshd_config(5).
        now: The account as it is.
        then: The account as the system declares it; ``None`` where it does not.
        removed: Whether the account is there and will be taken away.
        looked: The files that sshd will look for keys in.
        unread: Whether there is another one, whose name cannot be told here.
        held: Those of them that have the key.
        entries: Their lines with that key, as they stand there.
        groups: The groups that the user will be in; ``None`` where that is not known.
        leaves: Those that the user is in and will not be.
        expires: The day from which on the account is no good, as ``2026-11-29``; empty: never.
        locked: Whether its password is locked, which matters where sshd asks no PAM.
        peer: The address that sshd sees this deployer at; empty where it is not known.
        came: The address and port that this connection came to, as ``192.0.2.7:22``.
        listens: Those that sshd will listen on, where it does on ``came`` and will not.
        clock: The host's, its own and UTC, as ``20261129120000``; empty where it did not say.
        rules: The lines of sudoers as they will be, without comments; none where that is gone;
            ``None`` where the host did not say.
    """

    sshd: str
    says: Mapping[str, tuple[str, ...]]
    now: Account | None
    then: Account | None
    removed: bool
    looked: tuple[str, ...]
    unread: bool
    held: tuple[str, ...]
    entries: tuple[str, ...] = ()
    groups: frozenset[str] | None = None
    leaves: frozenset[str] = frozenset()
    expires: str = ""
    locked: bool = False
    peer: str = ""
    came: str = ""
    listens: tuple[str, ...] = ()
    clock: tuple[str, ...] = ()
    rules: tuple[str, ...] | None = None


class Grade(Enum):
    """How a finding is to be taken."""

    GOOD = "good"
    LESS = "less"
    BAD = "bad"


class Finding(Struct, frozen=True):
    """One of the things that the orchestrator needs or would like.

    Attributes:
        what: The thing, such as ``Nix``.
        grade: Whether it is there, would be better, or is needed and missing.
        text: What was found.
        hint: What to do about it.
    """

    what: str
    grade: Grade
    text: str
    hint: str = ""
