"""REKEY-*: who can read a file against who should, from tags, numbers and the lock file."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.values import replace
from orchestrator.secrets.files.rules import names_in
from orchestrator.secrets.model.ciphertext import (
    Ciphertext,
    FormatFault,
    Header,
    Recipient,
    RecipientKind,
    Severity,
    Stanza,
)
from orchestrator.secrets.model.repository import LockEntry, Rule, Rules
from orchestrator.secrets.plan.checks import check_rekey
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.readers import recipients, secrets

HOST = Recipient("ssh-ed25519 AAAAhost", RecipientKind.ED25519, b"host")
ALICE = Recipient("ssh-rsa AAAAalice", RecipientKind.RSA, b"alic", "alice@desk")
BOB = Recipient("age1bob", RecipientKind.X25519, None, "bob")
EVE = Recipient("age1eve", RecipientKind.X25519, None, "eve")
OLD = Recipient("ssh-ed25519 AAAAold", RecipientKind.ED25519, b"old!", "old laptop")
STRANGER = Recipient("ssh-ed25519 AAAAstranger", RecipientKind.ED25519, b"????")

GREASE = Stanza("x1-grease", ("a",), None, b"")
PASSPHRASE = Stanza("scrypt", ("a", "18"), None, b"")


def stanza(recipient: Recipient) -> Stanza:
    """What age writes for a recipient."""
    return Stanza(recipient.kind.value, (), recipient.tag, b"")


def evidence(
    declared: tuple[Recipient, ...],
    actual: tuple[Recipient | Stanza, ...],
    *,
    locked: tuple[Recipient, ...] | None = None,
    **changes: object,
) -> Evidence:
    """One file, for some, that others can read; perhaps with what was written down."""
    stanzas = tuple(stanza(one) if isinstance(one, Recipient) else one for one in actual)
    file = Ciphertext("a.age", Header(stanzas, b"", 200, "digest"), None, False, 7, False)
    lock = {} if locked is None else {"a.age": LockEntry.of("digest", locked)}
    made = Evidence(
        rules=Rules("/r/secrets.nix", "/r", (Rule("a.age", (), declared),)),
        files={"a.age": file},
        lock=lock,
        hosts={HOST.text: ("p620",)},
        targets=frozenset({"p620"}),
        known=(OLD, EVE),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def found(made: Evidence) -> dict[str, str]:
    """Id → fact."""
    findings = list(check_rekey(made))
    assert len({one.id for one in findings}) == len(findings), findings
    return {one.id: one.fact for one in findings}


@pytest.mark.parametrize("more", [(), (GREASE,), (HOST,)])
def test_those_who_should_and_nobody_else(more: tuple[Recipient | Stanza, ...]) -> None:
    """Whatever the order; noise, and a stanza that is there twice, are nobody else."""
    assert found(evidence((HOST, ALICE), (ALICE, HOST, *more))) == {}
    assert found(evidence((HOST, BOB), (BOB, HOST, *more), locked=(HOST, BOB))) == {}


def test_a_host_is_an_error_where_it_is_a_target_only() -> None:
    """Another host's deployment is not stopped by it."""
    made = evidence((HOST, ALICE), (ALICE,))
    (one,) = check_rekey(made)
    assert (one.id, one.host, one.severity) == ("REKEY-NEEDED", "p620", Severity.ERROR)
    (one,) = check_rekey(replace(made, targets=frozenset()))
    assert (one.host, one.severity) == ("p620", Severity.WARNING)


def test_a_host_that_can_read_it_by_another_of_its_keys_is_no_error() -> None:
    """A host that reads a secret by another of its keys is told so, and not stopped."""
    rsa = Recipient("ssh-rsa AAAAhostrsa", RecipientKind.RSA, b"hrsa")
    made = evidence((HOST, rsa), (HOST,), hosts={HOST.text: ("p620",), rsa.text: ("p620",)})
    (one,) = check_rekey(made)
    assert (one.id, one.host, one.severity) == ("REKEY-NEEDED", None, Severity.WARNING)
    assert one.fact == "declared and cannot read it: p620 (ssh-rsa AAAAhostrsa)"


def test_persons_are_named_together() -> None:
    """Persons are named together by their comments and the ends of their keys."""
    made = evidence((HOST, ALICE, OLD), (HOST,))
    assert found(made) == {
        "REKEY-NEEDED": "declared and cannot read it: "
        "alice@desk (ssh-rsa AAAAalice), old laptop (ssh-ed25519 AAAAold)"
    }


def test_a_known_key_is_extra_and_a_strange_one_unknown() -> None:
    """A reader that nobody declared is extra where its key is known, otherwise unknown."""
    assert found(evidence((HOST,), (HOST, OLD))) == {
        "REKEY-EXTRA": "not declared and can read it: old laptop (ssh-ed25519 AAAAold)"
    }
    assert found(evidence((HOST,), (HOST, STRANGER))) == {
        "REKEY-UNKNOWN": "1 key can read it that nobody here has"
    }


def test_of_x25519_the_number_is_seen() -> None:
    """Of x25519 recipients the number is known, and not who they are."""
    assert set(found(evidence((HOST, BOB), (HOST,)))) == {"REKEY-COUNT"}
    assert set(found(evidence((HOST,), (HOST, BOB)))) == {"REKEY-COUNT"}
    assert set(found(evidence((HOST, BOB), (HOST, EVE)))) == {"REKEY-UNPROVEN"}


def test_a_recipient_that_stands_twice_may_have_one_stanza_or_two() -> None:
    """A recipient that a rule has twice may have one stanza, or two as agenix writes."""
    for actual in ((BOB,), (BOB, BOB)):
        assert set(found(evidence((BOB, BOB), actual))) == {"REKEY-UNPROVEN"}


def test_the_lock_file_tells_who_x25519_recipients_are() -> None:
    """One in another's place is seen: extra where its key is known, unknown where it is not."""
    swapped = evidence((HOST, BOB), (HOST, EVE), locked=(HOST, EVE))
    assert set(found(swapped)) == {"REKEY-NEEDED", "REKEY-EXTRA"}
    strange = replace(EVE, text="age1strange")
    unknown = evidence((HOST, BOB), (HOST, strange), locked=(HOST, strange))
    assert set(found(unknown)) == {"REKEY-NEEDED", "REKEY-UNKNOWN"}


def test_a_lock_of_another_header_says_nothing() -> None:
    """The file was encrypted again by somebody else."""
    made = evidence((HOST, BOB), (HOST, EVE))
    stale = {"a.age": LockEntry.of("another", (HOST, BOB))}
    assert set(found(replace(made, lock=stale))) == {"REKEY-UNPROVEN"}


def test_a_lock_that_lies_does_not_hide_what_the_header_shows() -> None:
    """Tags and numbers are believed before what was written down."""
    assert set(found(evidence((HOST, ALICE), (HOST,), locked=(HOST, ALICE)))) == {"REKEY-NEEDED"}
    assert set(found(evidence((HOST,), (HOST, OLD), locked=(HOST,)))) == {"REKEY-EXTRA"}
    assert set(found(evidence((HOST,), (HOST, STRANGER), locked=(HOST,)))) == {"REKEY-UNKNOWN"}
    assert set(found(evidence((HOST, BOB), (HOST,), locked=(HOST, BOB)))) == {"REKEY-COUNT"}
    assert set(found(evidence((HOST,), (HOST, BOB), locked=(HOST,)))) == {"REKEY-COUNT"}


def test_what_cannot_be_judged_is_not() -> None:
    """Of a broken rule or file no more is said than that it is broken."""
    good = evidence((HOST,), (STRANGER,))
    rule = good.rules.rules[0]
    for other in (replace(rule, error="throws"), replace(rule, recipients=())):
        assert found(replace(good, rules=Rules("", "", (other,)))) == {}
    file = good.ciphertext("a.age")
    assert file is not None
    for broken in (replace(file, fault=FormatFault.MAC), replace(file, header=None)):
        assert found(replace(good, files={"a.age": broken})) == {}
    assert found(evidence((HOST,), (PASSPHRASE,))) == {}


def test_a_key_that_is_not_understood_may_be_the_strangers() -> None:
    """Whoever is missing or known to be extra is told all the same."""
    made = evidence((HOST,), (STRANGER, BOB, OLD))
    rule = replace(made.rules.rules[0], unusable=(("ecdsa-x", "is ECDSA"),))
    assert set(found(replace(made, rules=Rules("", "", (rule,))))) == {
        "REKEY-NEEDED",
        "REKEY-EXTRA",
    }


def test_the_overview_shows_who_can_read_and_not_who_should() -> None:
    """A host that is missing is left out, a key that is extra is there, the unproved is marked."""
    made = evidence((HOST, ALICE, BOB), (ALICE, BOB, OLD, STRANGER))
    (one,) = secrets(made, check_rekey(made), {})
    assert one.hosts == ()
    assert one.others == ("alice@desk", "bob", "old laptop")
    assert one.unproved == ("bob",)
    assert one.unknown == 1
    assert one.size == 7
    assert {finding.id for finding in one.findings} >= {"REKEY-NEEDED", "REKEY-EXTRA"}


def test_each_recipient_is_told_what_it_lacks_and_has_too_much() -> None:
    """Hosts come first; a known key that is nowhere is left out."""
    rows = recipients(evidence((HOST, ALICE), (ALICE, OLD)))
    assert [(row.name, row.declared, row.lacking, row.extra) for row in rows] == [
        ("p620", 1, ("a.age",), ()),
        ("alice@desk", 1, (), ()),
        ("old laptop", 0, (), ("a.age",)),
    ]


def test_a_key_is_called_as_secrets_nix_calls_it() -> None:
    """Before its comment, and after a host's name; a stranger keeps its kind and end."""
    found = evidence((HOST, ALICE, BOB), (HOST, ALICE, BOB), called={ALICE.text: "admin"})
    assert [one.name for one in recipients(found)] == ["p620", "admin", "bob"]


def test_a_name_that_two_keys_have_is_said_with_the_key() -> None:
    """Whoever reads `admin` is to know which one of the two can read a secret."""
    again = replace(BOB, comment="alice@desk")
    found = {one.name for one in recipients(evidence((ALICE, again), (ALICE, again)))}
    assert found == {"alice@desk (ssh-rsa AAAAalice)", "alice@desk (age1bob)"}


def test_names_are_found_in_the_text_of_secrets_nix(tmp_path: Path) -> None:
    """The first name of a key; no attribute of a rule, no comment, nor what is no key."""
    (tmp_path / "secrets.nix").write_text(
        'let\n  # old = "ssh-ed25519 AAAA gone";\n'
        '  me = "ssh-ed25519 AAAA me@desk";\n  web-1="age1xyz" ; other = "ssh-ed25519 AAAA";'
        ' text = "age2"; in { "a.age".publicKeys = [ me ]; "b = c".x = "age1quoted"; }'
    )
    found = names_in(tmp_path / "secrets.nix")
    assert found == {"ssh-ed25519 AAAA": "me", "age1xyz": "web-1"}
    assert names_in(tmp_path / "none.nix") == {}
