"""HOST-*: whether a host can open its secrets with the keys that it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.secrets.model.finding import SecretFinding
from orchestrator.secrets.model.host import HostSecrets, Identity, Trial
from orchestrator.secrets.model.matching import is_for
from orchestrator.secrets.model.recipient import Recipient
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.severity import finding


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
