"""What configurations and keys mean for hosts' secrets; what keeps a host from being changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.checks import Check, Shortfall
from orchestrator.core.units import listing
from orchestrator.core.values import replace
from orchestrator.secrets.model.ciphertext import (
    Header,
    Recipient,
    RecipientKind,
    SecretFinding,
    Severity,
    is_for,
)
from orchestrator.secrets.model.repository import (
    HostSecrets,
    Identity,
    Lack,
    Need,
    Needs,
    Rule,
    Trial,
)
from orchestrator.secrets.plan import published
from orchestrator.secrets.plan.checks import check
from orchestrator.secrets.plan.config import uses_host_keys_only
from orchestrator.secrets.plan.evidence import Evidence, finding
from orchestrator.secrets.plan.readers import known_recipients


def secrets_of(evidence: Evidence, host: str) -> frozenset[str]:
    """The files that a host can read by their rules, or uses by its configuration."""
    declared = {
        rule.path
        for rule in evidence.rules.rules
        if any(host in evidence.hosts.get(one.text, ()) for one in rule.recipients)
    }
    used = {use.file for use in evidence.uses if use.host == host and use.in_repo}
    return frozenset(declared | used)


def concerning(
    findings: Iterable[SecretFinding], evidence: Evidence, hosts: Sequence[str]
) -> tuple[SecretFinding, ...]:
    """The findings that concern some hosts: of their secrets, of none, of nobody knows whose."""
    theirs = frozenset().union(*(secrets_of(evidence, host) for host in hosts))
    others = {rule.path for rule in evidence.rules.rules if rule.error is None}
    others |= set(evidence.undeclared)
    others -= theirs
    return tuple(
        one
        for one in findings
        if one.path not in others and (one.host is None or one.host in hosts)
    )


def has_keys(
    evidence: Evidence, secrets: HostSecrets, identities: Sequence[Identity]
) -> Iterator[SecretFinding]:
    """Hold the keys that a host has against the files that it is to open.

    Where one of its keys is not known, or a file does not tell whom it is for, nothing is said: a
    decryption there will tell.

    Args:
        evidence: The repository's rules and files.
        secrets: What the host's configuration says.
        identities: What the host says of its ``identity_paths``.
    """
    present = [one for one in identities if one.there]
    if secrets.uses and not present:
        yield _no_identity(secrets)
    keys = [one.public for one in present if one.public is not None]
    if not keys or len(keys) < len(present):
        return
    rules = {rule.path: rule for rule in evidence.rules.rules}
    for path in dict.fromkeys(use.file for use in secrets.uses if use.in_repo):
        if not _shut(evidence, path, keys):
            continue
        rule = rules.get(path)
        if rule is not None and any(key.text in {r.text for r in rule.recipients} for key in keys):
            yield _not_rekeyed(secrets, path)
        else:
            yield _other_key(secrets, path, keys[-1])


def opened(secrets: HostSecrets, trials: Sequence[Trial]) -> Iterator[SecretFinding]:
    """Tell which files a host failed to open.

    Args:
        secrets: What the host's configuration says.
        trials: What came of its sources.
    """
    errors = {trial.file: trial.error for trial in trials if trial.error is not None}
    for use, source in zip(secrets.uses, secrets.sources, strict=True):
        if source in errors:
            fact = f"{secrets.host} cannot decrypt it: {errors[source]}"
            yield finding("HOST-PROBE", use.file, fact, host=secrets.host)


def _shut(evidence: Evidence, path: str, keys: Sequence[Recipient]) -> bool:
    """Whether a file tells that none of some keys opens it."""
    file = evidence.ciphertext(path)
    if file is None or file.header is None:
        return False
    return all(is_for(stanza, key) is False for stanza in file.header.stanzas for key in keys)


def _no_identity(secrets: HostSecrets) -> SecretFinding:
    paths = ", ".join(secrets.identity_paths) or "age.identityPaths"
    fact = f"{secrets.host} has no private key at {paths}"
    return finding("HOST-IDPATH", "", fact, host=secrets.host)


def _not_rekeyed(secrets: HostSecrets, path: str) -> SecretFinding:
    fact = f"the rule has {secrets.host}'s key, and the file is not encrypted to it yet"
    fix = "orchestrator secrets rekey PATH"
    return finding("HOST-IDPATH", path, fact, host=secrets.host, fix=fix)


def _other_key(secrets: HostSecrets, path: str, key: Recipient) -> SecretFinding:
    fact = f"{secrets.host} has another key than those that it is encrypted to"
    fix = f"make its key in secrets.nix {key.text}; then: orchestrator secrets rekey"
    return finding("HOST-KEY", path, fact, host=secrets.host, fix=fix)


_TOLD_BY_KEYS = frozenset({"CFG-HOST", "REKEY-NEEDED"})
"""What is less than the host's own keys tell of the same file."""


_FLEETS = frozenset({"KEY-PUBLISHED"})
"""What concerns every host of a fleet, also one that has nothing to do with the secret."""


def before_the_copy(
    evidence: Evidence, secrets: HostSecrets, identities: Sequence[Identity]
) -> Iterator[SecretFinding]:
    """Find what is wrong with one host's secrets, by all that is known before the copy.

    Args:
        evidence: What is known of the repository.
        secrets: What the host's configuration says.
        identities: What the host says of its keys: they count for more than those known before.
    """
    host = secrets.host
    live = {one.public.text: (host,) for one in identities if one.public is not None}
    own = replace(
        evidence,
        uses=secrets.uses,
        hosts={**evidence.hosts, **live},
        targets=frozenset({host}),
    )
    by_keys = list(has_keys(own, secrets, identities))
    by_keys += published.check_identities(evidence, secrets, identities)
    told = {one.path for one in by_keys}
    files = {use.file for use in secrets.uses} | {""}
    for one in (*by_keys, *check(own)):
        if one.host is None and one.path not in files and one.id not in _FLEETS:
            continue
        if one.host not in (None, host):
            continue
        if not (one.path in told and one.id in _TOLD_BY_KEYS):
            yield one


PLACEHOLDERS = Shortfall(
    Check.SECRETS,
    "this lab's hosts have placeholders for the fleet's secrets: none is checked",
    "to have the fleet's own: orchestrator lab up --secrets own",
    refuses=False,
)
"""What is said of a host whose lab has something else for its secrets."""


def shortfalls(findings: Sequence[SecretFinding]) -> Iterator[Shortfall]:
    """Put findings into preflight's words; the same of several files is said once."""
    alike: dict[tuple[str, str, str], list[SecretFinding]] = {}
    for one in findings:
        if one.severity is not Severity.INFO:
            alike.setdefault((one.id, one.fact, one.fix), []).append(one)
    for (name, fact, fix), same in alike.items():
        paths = listing([one.path for one in same if one.path])
        yield Shortfall(
            Check.SECRETS,
            f"{name}: {paths}{': ' if paths else ''}{fact}",
            f"{fix} (orchestrator secrets explain {name})",
            refuses=same[0].severity is Severity.ERROR,
            always=name in _FLEETS,
        )


def needs(evidence: Evidence, host: str) -> Needs:
    """Tell of each secret that is meant for a host what its key lacks to open it.

    Meant for it are those that its configuration uses, as far as ``evidence.uses`` tells, and those
    whose rules name a key of its, or one that says by its comment that it is.
    """
    keys = _keys(evidence, host)
    rules = {rule.path: rule for rule in evidence.rules.rules}
    paths = sorted({*secrets_of(evidence, host), *(rule.path for rule in _claimed(evidence, host))})
    elsewhere = tuple(
        path for path in _opened_otherwise(evidence, host) if not _declares(rules.get(path), keys)
    )
    return Needs(
        host=host,
        key=keys[0].text if keys else None,
        secrets=tuple(
            Need(path, _lacks(evidence, path, rules.get(path), keys))
            for path in paths
            if path not in elsewhere
        ),
        old=_old(evidence, host, keys),
        elsewhere=elsewhere,
    )


def _keys(evidence: Evidence, host: str) -> list[Recipient]:
    """A host's keys; first one of Ed25519, which every host has that agenix is made for."""
    keys = [one for one in known_recipients(evidence) if host in evidence.hosts.get(one.text, ())]
    return sorted(keys, key=lambda one: one.kind is not RecipientKind.ED25519)


def _opened_otherwise(evidence: Evidence, host: str) -> list[str]:
    """The files that a host tries other private keys on than those of its SSH server."""
    uses = (use for use in evidence.uses if use.host == host and use.in_repo)
    return sorted({use.file for use in uses if not uses_host_keys_only(use)})


def _lacks(
    evidence: Evidence, path: str, rule: Rule | None, keys: Sequence[Recipient]
) -> frozenset[Lack]:
    if rule is None:
        there = any(use.exists for use in evidence.uses if use.in_repo and use.file == path)
        return frozenset({Lack.RULE} if there else {Lack.RULE, Lack.FILE})
    if rule.error is not None:
        return frozenset({Lack.UNCLEAR})
    named = frozenset() if _declares(rule, keys) else frozenset({Lack.KEY})
    if path not in evidence.files:
        return named | {Lack.FILE}
    file = evidence.ciphertext(path)
    if file is None or file.fault is not None or file.header is None:
        return named | {Lack.UNCLEAR}
    return named if _opens(file.header, keys) else named | {Lack.REKEY}


def _declares(rule: Rule | None, keys: Sequence[Recipient]) -> bool:
    texts = {one.text for one in keys}
    return rule is not None and any(one.text in texts for one in rule.recipients)


def _opens(header: Header, keys: Sequence[Recipient]) -> bool:
    return any(is_for(stanza, key) for stanza in header.stanzas for key in keys)


def _claimed(evidence: Evidence, host: str) -> list[Rule]:
    rules = evidence.rules.rules
    return [rule for rule in rules if any(_says(one, host) for one in rule.recipients)]


def _old(evidence: Evidence, host: str, keys: Sequence[Recipient]) -> tuple[str, ...]:
    rules = (rule for rule in _claimed(evidence, host) if not _declares(rule, keys))
    found = (one.text for rule in rules for one in rule.recipients if _says(one, host))
    return tuple(dict.fromkeys(found))


def _says(one: Recipient, host: str) -> bool:
    """Whether a key's comment is a host's, as ``ssh-keygen -A`` writes it."""
    return one.comment.partition(".")[0] == f"root@{host}"
