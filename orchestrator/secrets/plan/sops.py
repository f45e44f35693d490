"""What ``.sops.yaml`` and the files that sops encrypted say of who can read them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.core.units import listing
from orchestrator.secrets.age import keys
from orchestrator.secrets.model.ciphertext import SecretFinding, Severity
from orchestrator.secrets.plan.evidence import finding, shortened
from orchestrator.secrets.plan.published import is_published

_COMPARED = frozenset({"age", "pgp"})
"""Kinds of keys that rule and file name in one way; those of clouds are written in several."""


@dataclass(frozen=True, slots=True)
class SopsKey:
    """A key that sops encrypts to.

    Attributes:
        kind: ``age``, ``pgp``, or the name of a service of a cloud.
        text: The recipient or the fingerprint.
    """

    kind: str
    text: str

    @property
    def name(self) -> str:
        """It, in few characters."""
        return shortened(self.text) if self.kind == "age" else f"{self.kind} {self.text[-16:]}"


@dataclass(frozen=True, slots=True)
class SopsRule:
    """One of the ``creation_rules`` of a ``.sops.yaml``.

    Attributes:
        config: The ``.sops.yaml``, relative to the repository.
        number: From 1, in its order.
        pattern: ``path_regex``; empty where it takes every file.
        keys: All that it names, in whichever group.
        unusable: Keys of age that nothing can be encrypted to, each with the reason.
    """

    config: str
    number: int
    pattern: str
    keys: tuple[SopsKey, ...] = ()
    unusable: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class SopsFile:
    """A file that a rule takes, or that sops encrypted.

    Attributes:
        path: Relative to the repository.
        keys: Whom it is encrypted to; ``None`` where it is not encrypted.
        rule: The first rule that takes it; ``None`` where none does, or that cannot be known.
        chosen: Whether that rule is for files like this one, and not for any of its kind.
        known: Whether it is known which rule takes it.
        fault: Why it cannot be read; empty where it can.
    """

    path: str
    keys: tuple[SopsKey, ...] | None
    rule: SopsRule | None = None
    chosen: bool = False
    known: bool = True
    fault: str = ""


@dataclass(frozen=True, slots=True)
class SopsUse:
    """One ``sops.secrets.NAME`` of one host.

    Attributes:
        host: The host.
        name: The attribute's name.
        file: ``sopsFile``: relative to the repository where it lies in it, else absolute.
        in_repo: Whether it lies in the repository.
        exists: Whether it is there for the evaluation.
        by_host_key: Whether the host opens it with its SSH host key.
    """

    host: str
    name: str
    file: str
    in_repo: bool
    exists: bool
    by_host_key: bool


@dataclass(frozen=True, slots=True)
class SopsEvidence:
    """What is known of a repository that uses sops.

    Attributes:
        rules: Of all its ``.sops.yaml``.
        files: Those that a rule takes, and those that sops encrypted.
        faults: A ``.sops.yaml`` → why it cannot be used.
        hosts: Host → its public keys, as ``known_hosts`` has them.
        uses: What hosts' configurations do with the files, where that was evaluated.
        in_lab: Whether the hosts are a lab's, which have published keys by right.
    """

    rules: tuple[SopsRule, ...] = ()
    files: tuple[SopsFile, ...] = ()
    faults: Mapping[str, str] = field(default_factory=dict)
    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    uses: tuple[SopsUse, ...] = ()
    in_lab: bool = False

    @property
    def encrypted(self) -> int:
        """How many files sops encrypted."""
        return sum(1 for file in self.files if file.keys is not None)


@functools.lru_cache(maxsize=4096)
def same_key(key: SopsKey) -> object:
    """What two spellings of one key share: an SSH key and the age key made of it are one.

    ``ssh-to-age`` makes an X25519 key of an Ed25519 one; both are one point of the curve.
    """
    if key.kind != "age":
        return key.kind, key.text.replace(" ", "").upper()
    try:
        recipient = keys.parse(key.text)
        return keys.point(recipient) or recipient.text
    except ValueError:
        return key.text


def check(evidence: SopsEvidence) -> Iterator[SecretFinding]:
    """Find what is wrong, without a private key; what cannot be known is not a finding."""
    for config, why in evidence.faults.items():
        yield finding("SOPS-CONFIG", config, why)
    for rule in evidence.rules:
        yield from _rule(rule)
    owners = _owners(evidence)
    for file in evidence.files:
        yield from _file(file, owners, evidence)
    for use in evidence.uses:
        yield from _use(use, evidence)


def _rule(rule: SopsRule) -> Iterator[SecretFinding]:
    for text, why in rule.unusable:
        fact = f"creation rule {rule.number}: {shortened(text)} {why}"
        yield finding("SOPS-KEY", rule.config, fact)
    if not rule.keys and not rule.unusable:
        yield finding("SOPS-KEY", rule.config, f"creation rule {rule.number} names no key")


def _owners(evidence: SopsEvidence) -> dict[object, tuple[str, ...]]:
    """A key → the hosts whose it is."""
    found: dict[object, tuple[str, ...]] = {}
    for host, texts in evidence.hosts.items():
        for text in texts:
            same = same_key(SopsKey("age", text))
            found[same] = (*found.get(same, ()), host)
    return found


def _file(
    file: SopsFile, owners: Mapping[object, tuple[str, ...]], evidence: SopsEvidence
) -> Iterator[SecretFinding]:
    users = tuple(use.host for use in evidence.uses if use.in_repo and use.file == file.path)
    if file.fault:
        if file.chosen or users or file.keys is not None:
            yield finding("SOPS-FORMAT", file.path, file.fault)
        return
    if file.keys is None:
        if users or (file.chosen and is_secret_kind(file.path)):
            used = f"; {listing(users)} would use it" if users else ""
            rule = f"creation rule {file.rule.number} takes it" if file.rule else "no rule takes it"
            yield finding("SOPS-PLAIN", file.path, f"{rule}, and sops has not encrypted it{used}")
        return
    if not evidence.in_lab:
        yield from _published(file)
    if file.rule is not None:
        yield from _against(file, file.rule, owners)
    elif file.known and not evidence.faults:
        yield finding("SOPS-NORULE", file.path, "sops encrypted it, and no creation rule takes it")


def _published(file: SopsFile) -> Iterator[SecretFinding]:
    named = [key for key in file.keys or () if key.kind == "age" and _is_published(key.text)]
    if named:
        names = listing([key.name for key in named])
        fact = (
            f"it is encrypted to keys whose private halves are published with the example: {names}"
        )
        fix = "name keys of your own in .sops.yaml; then: sops updatekeys PATH; and new values"
        yield finding("KEY-PUBLISHED", file.path, fact, fix=fix)


def _is_published(text: str) -> bool:
    try:
        return is_published(keys.parse(text))
    except ValueError:
        return False


def _against(
    file: SopsFile, rule: SopsRule, owners: Mapping[object, tuple[str, ...]]
) -> Iterator[SecretFinding]:
    """Compare whom a file is encrypted to with whom its rule names."""
    able, named = _compared(file.keys or ()), _compared(rule.keys)
    for same, key in named.items():
        if same in able:
            continue
        hosts = owners.get(same, ())
        who = f"{listing(hosts)} ({key.name})" if hosts else key.name
        fact = f"creation rule {rule.number} names {who}, and it is not encrypted to that key"
        severity = Severity.ERROR if hosts else None
        host = hosts[0] if len(hosts) == 1 else None
        yield finding("SOPS-MISSING", file.path, fact, host=host, severity=severity)
    for same, key in able.items():
        if same not in named:
            hosts = owners.get(same, ())
            who = f"{listing(hosts)} ({key.name})" if hosts else key.name
            fact = f"{who} can read it, and creation rule {rule.number} does not name that key"
            yield finding("SOPS-EXTRA", file.path, fact)


def _compared(given: Iterable[SopsKey]) -> dict[object, SopsKey]:
    return {same_key(key): key for key in given if key.kind in _COMPARED}


def _use(use: SopsUse, evidence: SopsEvidence) -> Iterator[SecretFinding]:
    """Hold what a host uses against the file."""
    what = f"sops.secrets.{use.name} of {use.host}"
    if not use.in_repo:
        return  # a file of another source: nothing of it can be seen from here
    file = next((one for one in evidence.files if one.path == use.file), None)
    if not use.exists or file is None:
        if not use.exists:
            fact = f"{what} names it, and it is not there"
            yield finding("SOPS-FILE", use.file, fact, host=use.host)
        return
    known = evidence.hosts.get(use.host, ())
    if file.keys is None or not use.by_host_key or not known:
        return
    able = _compared(file.keys)
    if not any(same_key(SopsKey("age", text)) in able for text in known):
        fact = f"{what} uses it, and it is not encrypted to a host key of {use.host}"
        yield finding("SOPS-HOST", use.file, fact, host=use.host)


_IN_CLEAR = frozenset(
    {
        *("md", "nix", "pub", "lock", "sh", "py", "age", "gpg", "asc", "crt", "cer"),
        *("example", "sample", "gitignore", "gitattributes", "gitkeep"),
    }
)
"""Endings of what lies beside secrets, and is none of sops'."""


def is_secret_kind(path: str) -> bool:
    """Whether a file that a rule takes is to be encrypted: not what lies beside secrets."""
    name = path.rpartition("/")[2].lower()
    return name != ".sops.yaml" and name.rpartition(".")[2] not in _IN_CLEAR


def concerning(
    findings: Iterable[SecretFinding], evidence: SopsEvidence, hosts: Sequence[str]
) -> tuple[SecretFinding, ...]:
    """The findings that concern some hosts: of files that are theirs, and of the rules."""
    theirs = {
        same_key(SopsKey("age", text)) for host in hosts for text in evidence.hosts.get(host, ())
    }
    used = {use.file for use in evidence.uses if use.host in hosts}
    others = {
        file.path
        for file in evidence.files
        if file.path not in used and not theirs & _readers(file).keys()
    }
    return tuple(one for one in findings if one.path not in others)


def _readers(file: SopsFile) -> dict[object, SopsKey]:
    """Whom a file is encrypted to, and whom its rule names."""
    return _compared((*(file.keys or ()), *(file.rule.keys if file.rule else ())))
