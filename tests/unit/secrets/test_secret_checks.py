"""RULES-*, FILE-*, AGE-*, GIT-*, TXN-*: each defect has its id, and a sound repository has none."""

from __future__ import annotations

import shlex

import pytest

from orchestrator.core.values import replace
from orchestrator.secrets.model.ciphertext import (
    Ciphertext,
    FormatFault,
    Header,
    Recipient,
    RecipientKind,
    SecretFinding,
    Severity,
    Stanza,
)
from orchestrator.secrets.model.repository import Journal, Repository, Rule, Rules, SecretUse
from orchestrator.secrets.plan.checks import check
from orchestrator.secrets.plan.evidence import Evidence, Unreadable, finding
from orchestrator.secrets.plan.hosts import concerning, secrets_of

KEY = Recipient("ssh-ed25519 AAAAhost", RecipientKind.ED25519, b"host")
RULE = Rule("a.age", (KEY.text,), (KEY,))
HEADER = Header((Stanza("ssh-ed25519", (), b"host", b""),), b"", 200, "digest")
FILE = Ciphertext("a.age", HEADER, None, False, 7, False)
SCRYPT = replace(HEADER, stanzas=(Stanza("scrypt", ("salt", "18"), None, b""),))
USE = SecretUse(
    *("p620", "a", "a.age", True, True, "0400", "root", "root", "/run/agenix/a", (), True, True)
)


def sound(**changes: object) -> Evidence:
    """One secret in which all is right, but for what is changed."""
    made = Evidence(
        rules=Rules("/r/secrets.nix", "/r", (RULE,)),
        files={"a.age": FILE},
        repository=Repository(tracked=frozenset({"a.age"})),
        hosts={KEY.text: ("p620",)},
        targets=frozenset({"p620"}),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def rules(*given: Rule) -> Rules:
    """Rules in place of the sound one."""
    return Rules("/r/secrets.nix", "/r", given)


def only(made: Evidence, *, strict: bool = False) -> SecretFinding:
    """The one thing that is found."""
    (one,) = check(made, strict=strict)
    return one


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    """Sound secrets have no finding, with uses or without, in git or not."""
    assert check(sound()) == ()
    assert check(sound(uses=(USE,))) == ()
    assert check(sound(repository=None)) == ()


@pytest.mark.parametrize(
    ("changes", "found", "severity"),
    [
        ({"rules": rules(replace(RULE, error="throws"))}, "RULES-EVAL", Severity.ERROR),
        ({"rules": rules(Rule("a.age", (), ()))}, "RULES-KEY", Severity.ERROR),
        ({"rules": rules(replace(RULE, unusable=(("x", "bad"),)))}, "RULES-KEY", Severity.ERROR),
        ({"rules": rules(replace(RULE, unusable=(("", "bad"),)))}, "RULES-KEY", Severity.ERROR),
        ({"rules": rules(replace(RULE, recipients=(KEY, KEY)))}, "RULES-DUP", Severity.WARNING),
        ({"rules": rules(RULE, RULE)}, "RULES-DUP", Severity.WARNING),
        ({"rules": rules(RULE, replace(RULE, path="../b"))}, "RULES-PATH", Severity.ERROR),
        ({"rules": rules(RULE, replace(RULE, path="/b"))}, "RULES-PATH", Severity.ERROR),
        ({"rules": rules(RULE, replace(RULE, path="b\0"))}, "RULES-PATH", Severity.ERROR),
        ({"files": {}}, "FILE-MISSING", Severity.WARNING),
        ({"files": {}, "uses": (USE,)}, "FILE-MISSING", Severity.ERROR),
        ({"undeclared": ("b.age",)}, "FILE-UNDECLARED", Severity.WARNING),
        ({"files": {"a.age": Unreadable("is a FIFO")}}, "FILE-READ", Severity.ERROR),
        (
            {"files": {"a.age": replace(FILE, fault=FormatFault.CRLF, detail="has CRLF")}},
            "AGE-FORMAT",
            Severity.ERROR,
        ),
        ({"files": {"a.age": replace(FILE, plaintext_size=0)}}, "AGE-EMPTY", Severity.WARNING),
        (
            {"files": {"a.age": replace(FILE, plaintext_size=0)}, "uses": (USE,)},
            "AGE-EMPTY",
            Severity.ERROR,
        ),
        ({"files": {"a.age": replace(FILE, extra_newline=True)}}, "AGE-NEWLINE", Severity.WARNING),
        ({"files": {"a.age": replace(FILE, armored=True)}}, "AGE-ARMOR", Severity.WARNING),
        ({"rules": rules(replace(RULE, armor=True))}, "AGE-ARMOR", Severity.WARNING),
        ({"files": {"a.age": replace(FILE, header=SCRYPT)}}, "AGE-PASSPHRASE", Severity.ERROR),
        ({"opened": {"a.age": "was altered"}}, "AGE-DECRYPT", Severity.ERROR),
        ({"repository": Repository()}, "GIT-UNTRACKED", Severity.ERROR),
        ({"repository": Repository(ignored={"a.age": "x:1: *"})}, "GIT-IGNORED", Severity.ERROR),
        (
            {"repository": Repository(frozenset({"a.age"}), not_binary=frozenset({"a.age"}))},
            "GIT-ATTR",
            Severity.WARNING,
        ),
        ({"pending": Journal("one", "rekey", ())}, "TXN-PENDING", Severity.ERROR),
    ],
)
def test_each_defect_has_its_id(changes: dict[str, object], found: str, severity: Severity) -> None:
    """Each defect has its id alone, with a fact, an effect and a fix; ``--strict`` makes errors."""
    one = only(sound(**changes))
    assert (one.id, one.severity) == (found, severity)
    start = f"{one.path}: " if one.path else ""
    assert one.message == f"{start}{one.fact}. {one.effect}. Fix: {one.fix}"
    assert only(sound(**changes), strict=True).severity is Severity.ERROR
    assert one.to_json()["id"] == found


def test_a_newline_is_of_no_matter_where_the_file_was_decrypted() -> None:
    """One in 256 files ends with one."""
    made = sound(files={"a.age": replace(FILE, extra_newline=True)}, opened={"a.age": None})
    assert check(made) == ()


def test_git_is_told_once_for_all_files_and_not_for_armored_ones() -> None:
    """A line in ``.gitattributes`` cures it for all."""
    paths = [f"{number}.age" for number in range(5)]
    every = frozenset(paths)
    made = sound(
        rules=rules(*(replace(RULE, path=path) for path in paths)),
        files={path: replace(FILE, path=path) for path in paths},
        repository=Repository(every, not_binary=every),
    )
    one = only(made)
    assert (one.id, one.path) == ("GIT-ATTR", ".gitattributes")
    assert "5 encrypted files" in one.fact
    armored = {path: replace(FILE, armored=True) for path in paths}
    rule = replace(RULE, armor=True)
    text = rules(*(replace(rule, path=path) for path in paths))
    assert check(replace(made, files=armored, rules=text)) == ()


@pytest.mark.parametrize("path", ["-rf.age", "a b.age", "it's.age", "$(id).age"])
def test_a_fix_can_be_pasted_whatever_the_files_name(path: str) -> None:
    """A shell and an option parser take it for a file."""
    made = sound(rules=rules(replace(RULE, path=path)), files={path: FILE}, repository=Repository())
    words = shlex.split(only(made).fix)
    assert words[:2] == ["git", "add"]
    assert words[2].removeprefix("./") == path
    assert not words[2].startswith("-")


def test_the_worst_comes_first() -> None:
    """Findings are listed by severity, then by check, then by file."""
    made = sound(
        rules=rules(RULE, replace(RULE, path="c.age"), replace(RULE, path="b.age")),
        undeclared=("z.age",),
        repository=Repository(),
    )
    assert [(one.id, one.path) for one in check(made)] == [
        ("GIT-UNTRACKED", "a.age"),
        ("FILE-MISSING", "b.age"),
        ("FILE-MISSING", "c.age"),
        ("FILE-UNDECLARED", "z.age"),
    ]


def test_what_concerns_some_hosts_is_theirs_and_nobodys() -> None:
    """A host's secrets are those of its key and those that it uses; the rest is other hosts'.

    Whose the secret of a broken entry is, nobody knows: it concerns every host.
    """
    other = Recipient("ssh-ed25519 AAAAother", RecipientKind.ED25519, b"othr")
    made = sound(
        rules=rules(
            *(RULE, Rule("b.age", (other.text,), (other,)), Rule("c.age", (), (), error="throws"))
        ),
        files={"c.age": FILE},
        repository=None,
        undeclared=("z.age",),
        pending=Journal("one", "rekey", ()),
        hosts={KEY.text: ("p620",), other.text: ("p510",)},
        targets=frozenset({"p510"}),
    )
    assert secrets_of(made, "p620") == {"a.age"}
    assert secrets_of(replace(made, uses=(replace(USE, host="p510"),)), "p510") == {
        "a.age",
        "b.age",
    }
    found = concerning(check(made), made, ("p510",))
    assert [(one.id, one.path) for one in found] == [
        ("RULES-EVAL", "c.age"),
        ("TXN-PENDING", ""),
        ("FILE-MISSING", "b.age"),
    ]


def test_a_file_with_rules_in_two_files_is_found() -> None:
    """Both are named: which of them counts is for a person to say."""
    made = rules(replace(RULE, source="a.nix"), replace(RULE, source="hosts/x/secrets.nix"))
    one = only(sound(rules=made))
    assert (one.id, one.severity) == ("RULES-DUP", Severity.WARNING)
    assert one.fact == "it has a rule in each of a.nix, hosts/x/secrets.nix"


def test_where_one_of_several_files_is_broken_only_its_own_secrets_are_concerned() -> None:
    """Nobody is told that a file has no rule, of which nobody knows it."""
    broken = finding("RULES-EVAL", "hosts/x/secrets.nix", "does not evaluate: a typo")
    beside, other = "hosts/x/deep/b.age", "hosts/xy/b.age"
    found = check(sound(broken=(broken,), undeclared=(beside, other)))
    assert [(one.id, one.path) for one in found] == [
        ("RULES-EVAL", "hosts/x/secrets.nix"),
        ("FILE-UNDECLARED", other),
    ]
    uses = (USE, replace(USE, host="x", file=beside, install_path="/run/agenix/b"))
    found = check(sound(broken=(broken,), uses=uses))
    assert [(one.id, one.path, one.host) for one in found] == [
        ("RULES-EVAL", beside, "x"),
        ("RULES-EVAL", broken.path, None),
    ]
    assert "hosts/x/secrets.nix does not evaluate: a typo" in found[0].fact


def test_a_file_without_a_rule_leads_to_the_rules_beside_it_that_nobody_named() -> None:
    """A ``secrets.nix`` at another place is not read before the inventory names it."""
    use = replace(USE, file="boxes/x/b.age", install_path="/run/agenix/b")
    tracked = frozenset({"a.age", "boxes/x/secrets.nix", "boxes/secrets.nix", "other/secrets.nix"})
    one = only(sound(uses=(use,), repository=Repository(tracked)))
    assert one.id == "CFG-NORULE"
    assert one.fix.startswith("if boxes/x/secrets.nix has it: `secrets: {rules: [FILE, …]}`")
    one = only(sound(uses=(use,), repository=Repository(frozenset({"a.age"}))))
    assert one.fix == "add a rule for it to secrets.nix"
