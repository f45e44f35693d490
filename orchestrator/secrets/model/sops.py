"""What is known of secrets that sops-nix decrypts: never a value, never a private key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SopsUse:
    """One ``sops.secrets.NAME`` of one host.

    Attributes:
        host: The host.
        name: The attribute's name.
        file: ``sopsFile``: relative to the repository where it lies in it, else absolute.
        in_repo: Whether it lies in the repository.
        exists: Whether it is there for the evaluation.
        key: Where the value is in the file, such as ``api/token``; empty for the whole file.
        format: ``yaml``, ``json``, ``dotenv``, ``ini`` or ``binary``.
    """

    host: str
    name: str
    file: str
    in_repo: bool
    exists: bool
    key: str
    format: str


@dataclass(frozen=True, slots=True)
class SopsKeys:
    """Where a host has the private keys that it opens files of sops with.

    Attributes:
        ssh: ``sops.age.sshKeyPaths``: an age key is made of each.
        file: ``sops.age.keyFile``.
        generated: Whether the host makes that file where it is missing.
        gnupg_ssh: ``sops.gnupg.sshKeyPaths``: a PGP key is made of each.
        elsewhere: Whether there are others: a keyring of GnuPG, or what its environment names.
    """

    ssh: tuple[str, ...] = ()
    file: str | None = None
    generated: bool = False
    gnupg_ssh: tuple[str, ...] = ()
    elsewhere: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """All files with private keys that it names."""
        return (*self.ssh, *self.gnupg_ssh, *filter(None, (self.file,)))


@dataclass(frozen=True, slots=True)
class SopsKey:
    """A key that sops encrypts to.

    Attributes:
        kind: ``age``, ``pgp``, or the name of a cloud's service.
        text: The recipient or the fingerprint.
    """

    kind: str
    text: str


Groups = tuple[tuple[SopsKey, ...], ...]


@dataclass(frozen=True, slots=True)
class SopsRule:
    """One of the ``creation_rules`` of a ``.sops.yaml``.

    Attributes:
        config: The ``.sops.yaml``, relative to the repository.
        number: From 1, in its order.
        pattern: ``path_regex``; empty where it takes every file.
        groups: Its keys.
        threshold: ``shamir_threshold``; 0 where it says none.
    """

    config: str
    number: int
    pattern: str
    groups: Groups
    threshold: int = 0


@dataclass(frozen=True, slots=True)
class SopsContent:
    """What a file says without being decrypted.

    Attributes:
        groups: The keys that it is encrypted to.
        threshold: Of how many groups a key is needed.
        clear: Its names; instead of values, texts that sops encrypted. Empty for flat formats.
        whole: Whether ``clear`` has all names.
    """

    groups: Groups
    threshold: int
    clear: Mapping[str, object] = field(default_factory=dict, repr=False)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class SopsFile:
    """A file that a host uses, or that sops encrypted, as it is read in one format.

    Attributes:
        path: Relative to the repository.
        format: ``yaml``, ``json``, ``dotenv``, ``ini`` or ``binary``.
        content: ``None`` where sops has not encrypted it, or it cannot be read.
        there: Whether it is in the work tree.
        fault: Why it is of no use to sops; empty where it is not known to be.
        unread: Why it is not known what it says; empty where it is.
        rule: The first creation rule that takes it; ``None`` where none does, or that is not known.
        ruled: Whether it is known which rule takes it.
        others: Rules that take it by a ``.sops.yaml`` further above.
    """

    path: str
    format: str
    content: SopsContent | None = None
    there: bool = True
    fault: str = ""
    unread: str = ""
    rule: SopsRule | None = None
    ruled: bool = False
    others: tuple[SopsRule, ...] = ()


@dataclass(frozen=True, slots=True)
class SopsHost:
    """The keys that a host opens files with.

    Attributes:
        age: Points of its age keys: :func:`orchestrator.secrets.age.keys.point`.
        age_known: Whether it has no other.
        pgp: Fingerprints of its PGP keys.
        pgp_known: Whether it has no other.
        ssh_used: Whether it may open what is encrypted to an SSH key as such.
        lacks: Its ``sops.age.keyFile``, where that is not there.
    """

    age: frozenset[int] = frozenset()
    age_known: bool = False
    pgp: frozenset[str] = frozenset()
    pgp_known: bool = False
    ssh_used: bool = True
    lacks: str = ""


@dataclass(frozen=True, slots=True)
class SopsEvidence:
    """What is known of a repository that uses sops.

    Attributes:
        files: Those that hosts use, in each format that they take them for; of the others those
            that sops encrypted.
        rules: Of each ``.sops.yaml`` above them.
        faults: A ``.sops.yaml`` → why it is of no use.
        unread: A ``.sops.yaml`` → why it is not known what it says.
        uses: What hosts' configurations do with the files, where that was evaluated.
        hosts: The keys of the hosts that do.
        known: A point of a key → whose it is.
        in_lab: Whether the hosts are a lab's, which have published keys by right.
    """

    files: tuple[SopsFile, ...] = ()
    rules: tuple[SopsRule, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    uses: tuple[SopsUse, ...] = ()
    hosts: Mapping[str, SopsHost] = field(default_factory=dict)
    known: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    in_lab: bool = False
