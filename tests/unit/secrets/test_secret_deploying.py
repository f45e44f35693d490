"""What of the findings keeps one host from being changed, and in which words."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.core.checks import Check
from orchestrator.core.values import replace
from orchestrator.secrets.model.ciphertext import (
    Ciphertext,
    Header,
    Recipient,
    RecipientKind,
    SecretFinding,
    Severity,
    Stanza,
)
from orchestrator.secrets.model.repository import (
    HostSecrets,
    Identity,
    Repository,
    Rule,
    Rules,
    SecretUse,
)
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.hosts import before_the_copy, shortfalls

PATH = "/etc/ssh/ssh_host_ed25519_key"
MINE = Recipient("ssh-ed25519 AAAAmine", RecipientKind.ED25519, b"mine")
OLD = Recipient("ssh-ed25519 AAAAold", RecipientKind.ED25519, b"old.")
OTHERS = Recipient("ssh-ed25519 AAAAothers", RecipientKind.ED25519, b"othe")
FILES = ("secrets/a.age", "secrets/b.age")
ANOTHERS = "secrets/p510.age"
HAS_MINE = (Identity(PATH, there=True, public=MINE),)


def use(path: str) -> SecretUse:
    """A use of a file on p620."""
    where = f"/run/agenix/{path}"
    return SecretUse("p620", path, path, True, True, "0400", "0", "0", where, (PATH,), True, True)


SECRETS = HostSecrets("p620", tuple(map(use, FILES)), FILES, (PATH,), "/age")


def evidence(named: Recipient, encrypted_to: Recipient) -> Evidence:
    """A repository with two secrets of p620's, and one of p510's that is not encrypted to it."""
    header = Header((Stanza("ssh-ed25519", ("", ""), encrypted_to.tag, b""),), b"", 1, "")
    rules = [Rule(path, (named.text,), (named,)) for path in FILES]
    rules.append(Rule(ANOTHERS, (OTHERS.text,), (OTHERS,)))
    paths = (*FILES, ANOTHERS)
    return Evidence(
        rules=Rules("/fleet/secrets.nix", "/fleet", tuple(rules)),
        files={path: Ciphertext(path, header, None, False, 9, False) for path in paths},
        repository=Repository(tracked=frozenset(paths), secrets=paths),
        hosts={OTHERS.text: ("p510",)},
    )


def errors(findings: Sequence[SecretFinding]) -> list[tuple[str, str]]:
    """The id and the path of each error."""
    return [(one.id, one.path) for one in findings if one.severity is Severity.ERROR]


def test_a_sound_host_is_not_kept_up_by_anothers_secrets() -> None:
    """What is wrong with p510's is p510's; its own key is known by the host's word alone."""
    assert errors(list(before_the_copy(evidence(MINE, MINE), SECRETS, HAS_MINE))) == []


def test_a_reinstalled_host_is_told_once_for_each_file() -> None:
    """That its key is not in the rule follows, and is not told beside it."""
    found = list(before_the_copy(evidence(OLD, OLD), SECRETS, HAS_MINE))
    assert errors(found) == [("HOST-KEY", path) for path in FILES]
    rekeyed_rules = list(before_the_copy(evidence(MINE, OLD), SECRETS, HAS_MINE))
    assert errors(rekeyed_rules) == [("HOST-IDPATH", path) for path in FILES]


def test_what_is_wrong_with_its_own_files_keeps_it_up() -> None:
    """A file that is no age file, a configuration that names nobody."""
    sound = evidence(MINE, MINE)
    missing = replace(sound, files={path: sound.files[path] for path in (FILES[0], ANOTHERS)})
    assert errors(list(before_the_copy(missing, SECRETS, HAS_MINE))) == [("FILE-MISSING", FILES[1])]
    nobody = replace(SECRETS, uses=(replace(use(FILES[0]), owner="x", owner_known=False),))
    assert errors(list(before_the_copy(sound, nobody, HAS_MINE))) == [("CFG-OWNER", FILES[0])]


def finding(path: str, severity: Severity) -> SecretFinding:
    """A finding of HOST-KEY's."""
    return SecretFinding("HOST-KEY", severity, path, "p620", "it has another key", "Bad", "do")


def test_the_same_of_several_files_is_said_once() -> None:
    """The same finding of several files is one, with some of the files and how to learn more."""
    paths = [f"{name}.age" for name in "abcde"]
    (one,) = shortfalls([finding(path, Severity.ERROR) for path in paths])
    assert one.check is Check.SECRETS
    assert one.text == "HOST-KEY: a.age, b.age, c.age and 2 more: it has another key"
    assert one.remedy == "do (orchestrator secrets explain HOST-KEY)"
    assert one.refuses


def test_a_warning_does_not_refuse_and_information_is_not_told() -> None:
    """A warning about secrets refuses no deployment, and information is not reported there."""
    findings = [finding("", Severity.WARNING), replace(finding("", Severity.INFO), fact="x")]
    (one,) = shortfalls(findings)
    assert not one.refuses
    assert one.text == "HOST-KEY: it has another key"
