"""All checks of a repository: its rules, files, git, encryption, recipients."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from orchestrator.core.units import listing
from orchestrator.secrets.model.ciphertext import (
    Ciphertext,
    Recipient,
    SecretFinding,
    Severity,
    is_passphrase,
)
from orchestrator.secrets.model.repository import Journal, Repository, Rule
from orchestrator.secrets.plan import config, leaks, published
from orchestrator.secrets.plan.evidence import Evidence, Unreadable, finding, in_order, shortened
from orchestrator.secrets.plan.readers import Names, Readers, judged, known_recipients, readers


def check_rules(rules: Sequence[Rule]) -> Iterator[SecretFinding]:
    """Find what is wrong with the rules themselves."""
    for rule in rules:
        yield from _one(rule)
    entries: dict[str, list[str]] = defaultdict(list)
    for rule in rules:
        entries[rule.path].append(rule.source)
    for path, sources in entries.items():
        if len(set(sources)) > 1:
            yield _two_files(path, sorted(set(sources)))
        elif len(sources) > 1:
            yield finding("RULES-DUP", path, f"{len(sources)} entries name this file")


def _two_files(path: str, sources: Sequence[str]) -> SecretFinding:
    return finding(
        "RULES-DUP",
        path,
        f"it has a rule in each of {listing(sources)}",
        effect="Nobody knows which of them counts, and a rekey by one undoes the other's",
        fix="remove it from all but one of them",
    )


def leads_out(path: str) -> bool:
    """Whether a path may be outside the repository."""
    return path.startswith("/") or ".." in path.split("/") or "\0" in path


def _one(rule: Rule) -> Iterator[SecretFinding]:
    if leads_out(rule.path):
        yield finding("RULES-PATH", rule.path, "its name leads out of the repository")
    if rule.error is not None:
        yield finding("RULES-EVAL", rule.path, rule.error)
        return
    if not rule.keys and not rule.unusable:
        yield finding(
            "RULES-KEY",
            rule.path,
            "its publicKeys is empty",
            effect="Nobody could read it",
            fix="name its recipients in secrets.nix",
        )
    for key, why in rule.unusable:
        which = f"its recipient {shortened(key)!r}" if key else "a recipient of it"
        yield finding("RULES-KEY", rule.path, f"{which} {why}")
    twice = [
        key for key, times in Counter(one.text for one in rule.recipients).items() if times > 1
    ]
    if twice:
        names = listing([shortened(key) for key in twice])
        yield finding("RULES-DUP", rule.path, f"it has a recipient twice: {names}")


def check_files(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find files that are missing, that have no rule, or that are no files."""
    for path in dict.fromkeys(rule.path for rule in evidence.rules.rules):
        if leads_out(path):
            continue
        match evidence.files.get(path):
            case None:
                yield _missing(evidence, path)
            case Unreadable(why):
                yield finding("FILE-READ", path, why)
    for path in evidence.undeclared:
        if evidence.unread(path) is None:
            yield finding("FILE-UNDECLARED", path, "it has no rule in secrets.nix")


def _missing(evidence: Evidence, path: str) -> SecretFinding:
    if users := evidence.users(path):
        fact = f"it is declared and does not exist, and is used by {listing(users)}"
        return finding("FILE-MISSING", path, fact, severity=Severity.ERROR)
    return finding("FILE-MISSING", path, "it is declared and does not exist")


def check_git(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find declared files that git does not track, and those that it may take for text."""
    if evidence.repository is None:
        return
    for path in evidence.files:
        yield from _tracked(evidence.repository, path)
    # Armored files are text: a hook does them no harm.
    text = [
        path
        for path in evidence.files
        if path in evidence.repository.not_binary
        and (file := evidence.ciphertext(path)) is not None
        and not file.armored
    ]
    if len(text) == 1:
        yield finding("GIT-ATTR", text[0], "git may take it for text")
    elif text:
        fact = f"git may take {len(text)} encrypted files for text: {listing(text)}"
        yield finding("GIT-ATTR", ".gitattributes", fact)


def _tracked(repository: Repository, path: str) -> Iterator[SecretFinding]:
    if path in repository.tracked:
        return
    if path in repository.ignored:
        yield finding("GIT-IGNORED", path, f"git ignores it ({repository.ignored[path]})")
    else:
        yield finding("GIT-UNTRACKED", path, "git does not track it")


def check_transaction(pending: Journal | None) -> Iterator[SecretFinding]:
    """Find a change that was cut off."""
    if pending is not None:
        count = len(pending.replacements)
        yield finding("TXN-PENDING", "", f"a {pending.what} of {count} files was cut off")


def check_age(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find what is wrong with each declared file in itself."""
    for rule in evidence.rules.rules:
        if file := evidence.ciphertext(rule.path):
            yield from _one_age(evidence, rule, file)


def _one_age(evidence: Evidence, rule: Rule, file: Ciphertext) -> Iterator[SecretFinding]:
    if file.header and any(map(is_passphrase, file.header.stanzas)):
        yield finding("AGE-PASSPHRASE", rule.path, "a passphrase opens it")
        return
    if file.fault is not None:
        yield finding("AGE-FORMAT", rule.path, file.detail)
        return
    if file.plaintext_size == 0:
        yield _empty(evidence, rule.path)
    if rule.path in evidence.opened:
        if (why := evidence.opened[rule.path]) is not None:
            yield finding("AGE-DECRYPT", rule.path, f"it does not decrypt: {why}")
    elif file.extra_newline:
        yield finding("AGE-NEWLINE", rule.path, "it ends with a newline")
    if rule.error is None and file.armored != rule.armor:
        forms = ("armored", "binary") if file.armored else ("binary", "armored")
        yield finding("AGE-ARMOR", rule.path, f"it is {forms[0]}, and its rule wants it {forms[1]}")


def _empty(evidence: Evidence, path: str) -> SecretFinding:
    if users := evidence.users(path):
        fact = f"its plaintext is empty, and is used by {listing(users)}"
        return finding("AGE-EMPTY", path, fact, severity=Severity.ERROR)
    return finding("AGE-EMPTY", path, "its plaintext is empty")


def check_rekey(evidence: Evidence) -> Iterator[SecretFinding]:
    """Find files that somebody cannot read who should, or can who should not."""
    known, names = known_recipients(evidence), Names(evidence)
    for rule in evidence.rules.rules:
        file = evidence.ciphertext(rule.path)
        header = judged(rule, file) if file else None
        if header is None:
            continue
        found = readers(rule, header, evidence.lock.get(rule.path), known)
        yield from _missing_readers(evidence, rule, found.missing, names)
        yield from _others(rule, found, names)


def _missing_readers(
    evidence: Evidence, rule: Rule, missing: Sequence[Recipient], names: Names
) -> Iterator[SecretFinding]:
    """One finding for each host that no key of its own helps, and one for all others together."""
    lacking = {one.text for one in missing}
    able = set(_hosts(evidence, (one for one in rule.recipients if one.text not in lacking)))
    shut = dict.fromkeys(host for host in _hosts(evidence, missing) if host not in able)
    for host in shut:
        severity = Severity.ERROR if host in evidence.targets else Severity.WARNING
        fact = f"{host} is declared and cannot read it"
        yield finding("REKEY-NEEDED", rule.path, fact, host=host, severity=severity)
    people = [one for one in missing if not shut.keys() & set(_hosts(evidence, (one,)))]
    if people:
        who = listing([names.full(one) for one in people])
        fact = f"declared and cannot read it: {who}"
        yield finding("REKEY-NEEDED", rule.path, fact, effect="They cannot decrypt the file")


def _hosts(evidence: Evidence, keys: Iterable[Recipient]) -> Iterator[str]:
    return (host for one in keys for host in evidence.hosts.get(one.text, ()))


def _others(rule: Rule, found: Readers, names: Names) -> Iterator[SecretFinding]:
    if found.extra:
        who = listing([names.full(one) for one in found.extra])
        fact = f"not declared and can read it: {who}"
        yield finding("REKEY-EXTRA", rule.path, fact)
    if rule.unusable:
        return  # a key that is not understood may be whose the rest is
    if found.unknown:
        fact = f"{_keys(found.unknown)} can read it that nobody here has"
        yield finding("REKEY-UNKNOWN", rule.path, fact)
    if not found.count_is_right:
        declared = f"its rule has {found.expected[0]} of that kind"
        fact = f"{_keys(found.unnamed)} can read it that it does not name, and {declared}"
        yield finding("REKEY-COUNT", rule.path, fact)
    elif not found.proved:
        fact = f"who {found.unnamed} of its recipients are is not proved"
        yield finding("REKEY-UNPROVEN", rule.path, fact)


def _keys(count: int) -> str:
    return "1 key" if count == 1 else f"{count} keys"


def check(evidence: Evidence, *, strict: bool = False) -> tuple[SecretFinding, ...]:
    """Find all that is wrong, the worst first.

    Args:
        evidence: What was found out.
        strict: Whether a warning is taken for an error.
    """
    found = (
        *check_transaction(evidence.pending),
        *evidence.broken,
        *check_rules(evidence.rules.rules),
        *published.check(evidence),
        *check_files(evidence),
        *check_age(evidence),
        *check_rekey(evidence),
        *check_git(evidence),
        *config.check(evidence),
        *leaks.check(evidence),
    )
    return in_order(found, strict=strict)
