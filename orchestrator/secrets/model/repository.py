"""What a repository and hosts' configurations say of secrets."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from orchestrator.core.values import replace
from orchestrator.secrets.model.ciphertext import Recipient
from orchestrator.secrets.model.sops import SopsKeys, SopsUse


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``secrets.nix``.

    Attributes:
        path: The secret's file, relative to the repository.
        keys: ``publicKeys`` as written.
        recipients: Those of them that can be encrypted to, in their order.
        unusable: The others, each with the reason.
        armor: Whether the file is to be in the textual form.
        error: What Nix said where this entry alone cannot be evaluated or has a wrong shape.
        source: Its ``secrets.nix``, relative to the repository, where there are several.
    """

    path: str
    keys: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    unusable: tuple[tuple[str, str], ...] = ()
    armor: bool = False
    error: str | None = None
    source: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole ``secrets.nix``, or all of a fleet.

    Attributes:
        file: The file, or the first; absolute.
        root: The repository, absolute: what the rules' paths are relative to.
        rules: In the order of their paths.
    """

    file: str
    root: str
    rules: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree's files, by their paths relative to it.

    Attributes:
        tracked: All that is in the index.
        ignored: Files that were asked about and are ignored → what ignores them.
        not_binary: Files that git may take for text.
        secrets: The ``.age`` files that are tracked, or are there and not ignored.
    """

    tracked: frozenset[str] = frozenset()
    ignored: Mapping[str, str] = field(default_factory=dict)
    not_binary: frozenset[str] = frozenset()
    secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LockEntry:
    """What is known of one encrypted file. It counts as long as the file's header is this one.

    Attributes:
        header: SHA-256 of the header, in hex.
        recipients: The recipients' fingerprints.
    """

    header: str
    recipients: frozenset[str]

    @classmethod
    def of(cls, header: str, recipients: Iterable[Recipient]) -> LockEntry:
        """Make the entry of a file that was just encrypted."""
        return cls(header, frozenset(fingerprint(one) for one in recipients))


@functools.lru_cache(maxsize=4096)
def fingerprint(recipient: Recipient) -> str:
    """Name a recipient by a hash of its text; two spellings of a key are two recipients."""
    digest = hashlib.sha256(recipient.text.encode()).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


@dataclass(frozen=True, slots=True)
class Replacement:
    """One file of a change.

    Attributes:
        path: Relative to the root.
        staged: Where its new content waits until it is renamed; relative to the root.
        old: SHA-256 of what it held, in hex; ``None`` where there was no such file.
        new: SHA-256 of what it shall hold, in hex.
    """

    path: str
    staged: str
    old: str | None
    new: str


VERSION = 1
"""Of the journal and of ``secrets.lock.json``."""


@dataclass(frozen=True, slots=True)
class Journal:
    """A change that was begun and has not ended.

    Attributes:
        id: Names the change; no two share it.
        what: The command that began it: ``rekey``.
        replacements: Its files.
        folders: Folders that it makes, the outermost first; relative to the root.
        committed: Whether everything was staged: it goes forward then, and back if not.
    """

    id: str
    what: str
    replacements: tuple[Replacement, ...]
    folders: tuple[str, ...] = ()
    committed: bool = False
    version: int = VERSION


MEMBER = "/@member@/"
"""Stands in a path for the folder of each member of the class whose configuration it is."""


@dataclass(frozen=True, slots=True)
class SecretUse:
    """One ``age.secrets.NAME`` of one host.

    Attributes:
        host: The host.
        name: The attribute's name.
        file: The encrypted file: relative to the repository where it lies in it, else absolute.
        in_repo: Whether it lies in the repository.
        exists: Whether it is there for the evaluation.
        mode: Permissions of the decrypted file, such as ``0400``.
        owner: The user who owns it.
        group: The group that owns it.
        install_path: Where it is decrypted to.
        identity_paths: The private keys that the host tries, in order.
        owner_known: Whether the configuration has that user.
        group_known: Whether the configuration has that group.
        hidden: Whether it is decrypted into the folder that agenix's link takes the place of.
        of_member: Whether each member of a class has its own file, by its name.
    """

    host: str
    name: str
    file: str
    in_repo: bool
    exists: bool
    mode: str
    owner: str
    group: str
    install_path: str
    identity_paths: tuple[str, ...]
    owner_known: bool
    group_known: bool
    hidden: bool = False
    of_member: bool = False


@dataclass(frozen=True, slots=True)
class HostSecrets:
    """What a host's configuration says of its secrets.

    Attributes:
        uses: The secrets that agenix decrypts.
        sources: Beside each use, the encrypted file's path on the host; ``None`` where it has none.
        identity_paths: Where the host looks for private keys, in order.
        program: The age that it opens them with; ``None`` where the configuration names none.
        sops: The secrets that sops-nix decrypts.
        sops_keys: With which keys it does.
    """

    host: str
    uses: tuple[SecretUse, ...] = ()
    sources: tuple[str | None, ...] = ()
    identity_paths: tuple[str, ...] = ()
    program: str | None = None
    sops: tuple[SopsUse, ...] = ()
    sops_keys: SopsKeys = field(default_factory=SopsKeys)

    def called(self, name: str) -> HostSecrets:
        """The same of another name that has this configuration: an equal host, or their class."""
        uses = tuple(replace(use, host=name) for use in self.uses)
        sops = tuple(replace(use, host=name) for use in self.sops)
        return replace(self, host=name, uses=uses, sops=sops)

    def of_host(self, name: str) -> HostSecrets:
        """The same of a host that has this configuration; a member's own files are by its name."""
        folder, called = f"/{name}/", self.called(name)
        uses = (replace(use, file=use.file.replace(MEMBER, folder)) for use in called.uses)
        sources = (source and source.replace(MEMBER, folder) for source in self.sources)
        return replace(called, uses=tuple(uses), sources=tuple(sources))


@dataclass(frozen=True, slots=True)
class Identity:
    """A place where a host looks for a private key.

    Attributes:
        there: Whether there is something that root can read.
        public: The public half of an SSH key; ``None`` where it is another kind, or not known.
    """

    path: str
    there: bool
    public: Recipient | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of opening an encrypted file on a host.

    Attributes:
        error: What age said; ``None`` where it opened.
    """

    file: str
    error: str | None = None


class Lack(Enum):
    """Why a host cannot open a secret that is meant for it, and so what has to be done.

    The value is a fact about the secret, without a full stop.
    """

    RULE = "has no rule in secrets.nix"
    FILE = "is not there"
    KEY = "has a rule that does not name its key"
    REKEY = "is not encrypted to its key"
    UNCLEAR = "is damaged, or its rule is: orchestrator secrets check says"


@dataclass(frozen=True, slots=True)
class Need:
    """One secret that is meant for a host.

    Attributes:
        path: Relative to the repository.
        lacks: All that is in the way; empty where the host can open it.
    """

    path: str
    lacks: frozenset[Lack] = frozenset()


@dataclass(frozen=True, slots=True)
class Needs:
    """All secrets that are meant for a host.

    Attributes:
        host: Its name.
        key: The key to encrypt to, without a comment; ``None`` where none of its keys will do.
        secrets: Those that its configuration uses, and those whose rules name a key of its.
        old: Keys that the rules call its own by their comments, and that are none of its keys.
        elsewhere: Secrets that it uses and opens with another key than its host key.
    """

    host: str
    key: str | None
    secrets: tuple[Need, ...] = ()
    old: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()

    def lacking(self, *which: Lack) -> tuple[str, ...]:
        """The secrets that lack any of these, in their order."""
        return tuple(one.path for one in self.secrets if one.lacks & set(which))

    @property
    def opened(self) -> int:
        """How many of the secrets the host can open."""
        return sum(not one.lacks for one in self.secrets)
