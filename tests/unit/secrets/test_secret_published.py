"""The example fleet's keys, which everybody has: known in any spelling, refused but in a lab."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from orchestrator.core.checks import Check, Facts, Wanted
from orchestrator.core.values import replace
from orchestrator.deploy.plan.preflight import examine
from orchestrator.secrets.age import header, keys
from orchestrator.secrets.model.ciphertext import Recipient, RecipientKind, SecretFinding, Severity
from orchestrator.secrets.model.repository import HostSecrets, Identity, Rule, Rules
from orchestrator.secrets.plan.checks import check
from orchestrator.secrets.plan.evidence import Evidence, finding
from orchestrator.secrets.plan.hosts import before_the_copy, shortfalls
from orchestrator.secrets.plan.published import is_published, published

SECRETS = Path(__file__).parents[3] / "secrets"
OPEN = SECRETS / "open-keys"
PATH = "secrets/token.age"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key"


def private_key(name: str) -> Ed25519PrivateKey:
    """One of the example's private keys."""
    key = serialization.load_ssh_private_key((OPEN / name).read_bytes(), password=None)
    assert isinstance(key, Ed25519PrivateKey)
    return key


def new_key() -> Recipient:
    """A key that nobody has published."""
    public = Ed25519PrivateKey.generate().public_key()
    raw = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return keys.parse(public.public_bytes(*raw).decode())


def evidence(named: Recipient, encrypted_to: Recipient | None = None) -> Evidence:
    """A repository with one secret, for one key by its rule and another by its file."""
    to = encrypted_to or named
    kind = pyrage.x25519.Recipient if to.text.startswith("age1") else pyrage.ssh.Recipient
    data = pyrage.encrypt(b"a value", [kind.from_str(to.text)])
    file = header.examine(PATH, data, len(data), data[-1:])
    rules = Rules("/fleet/secrets.nix", "/fleet", (Rule(PATH, (named.text,), (named,)),))
    return Evidence(rules, {PATH: file})


def found(it: Evidence) -> list[SecretFinding]:
    """The findings about published keys, by all checks."""
    return [one for one in check(it) if one.id == "KEY-PUBLISHED"]


EXAMPLES = published()[0]


def test_what_the_tool_refuses_is_what_the_example_publishes() -> None:
    """Each key in open-keys/ is known to the tool, and its private half is the one beside it."""
    texts = {one.text: one.comment for one in published()}
    files = sorted(OPEN.glob("*.pub"))
    assert files
    for file in files:
        one = keys.parse(file.read_text().strip())
        assert texts.get(one.text) == one.comment, file
        raw = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        own = private_key(file.stem).public_key().public_bytes(*raw).decode()
        assert own == one.text, file


def test_the_examples_secrets_are_for_published_keys_alone() -> None:
    """A key that somebody uses elsewhere would make the example's secrets theirs."""
    named = re.findall(r"ssh-ed25519 [A-Za-z0-9+/]+|age1\w+", (SECRETS / "secrets.nix").read_text())
    assert named
    assert {text for text in named if not is_published(keys.parse(text))} == set()


@pytest.mark.parametrize("key", published(), ids=lambda one: one.comment)
def test_keys_that_are_computed_with_as_a_published_one_are_known(key: Recipient) -> None:
    """The sign of an Ed25519 key and the top bit of an X25519 one do not count: RFC 7748."""
    wire = bytearray(base64.b64decode(key.text.split()[1]))
    wire[-1] ^= 0x80
    assert is_published(keys.parse(f"ssh-ed25519 {base64.b64encode(wire).decode()}"))
    name, data = keys.decode(keys.as_x25519(key).text)
    assert is_published(keys.parse(keys.encode(name, bytes((*data[:-1], data[-1] | 0x80)))))
    other = bytes((data[0] ^ 1, *data[1:]))
    assert not is_published(keys.parse(keys.encode(name, other)))


@pytest.mark.parametrize("key", published(), ids=lambda one: one.comment)
def test_ages_spelling_of_a_published_key_is_known_too(key: Recipient) -> None:
    """What `ssh-to-age` makes of a key is opened by the same private half, and is refused as it."""
    name = key.comment.removeprefix("root@").partition("@")[0]
    raw = private_key(name).private_bytes_raw()
    scalar = hashlib.sha512(raw).digest()[:32]  # RFC 8032 section 5.1.5; X25519 clamps it
    secret = keys.encode("age-secret-key-", scalar).upper()
    public = str(pyrage.x25519.Identity.from_str(secret).to_public())
    assert public == keys.as_x25519(key).text
    assert is_published(keys.parse(public))
    (one,) = found(evidence(keys.parse(public)))
    assert one.severity is Severity.ERROR


def test_a_rule_with_a_published_key_is_an_error_that_names_it() -> None:
    """The file, the key and the cure are named."""
    (one,) = found(evidence(EXAMPLES))
    assert (one.severity, one.path) == (Severity.ERROR, PATH)
    assert EXAMPLES.text[-8:] in one.fact
    assert EXAMPLES.comment in one.fact
    assert f"orchestrator secrets rekey {PATH}" in one.fix


def test_a_file_that_was_not_rekeyed_is_an_error() -> None:
    """The rule names somebody's own key already, and everybody can still decrypt the file."""
    (one,) = found(evidence(new_key(), EXAMPLES))
    assert "still encrypted to" in one.fact
    assert EXAMPLES.comment in one.fact


def test_nothing_is_said_in_a_lab_nor_of_ones_own_keys() -> None:
    """The lab's hosts have the published keys; a key of one's own is nobody else's affair."""
    assert found(replace(evidence(EXAMPLES), in_lab=True)) == []
    assert found(evidence(new_key())) == []


def test_every_host_of_such_a_fleet_is_refused() -> None:
    """A host that has nothing to do with a secret that everybody can read is refused, too."""
    nothing = HostSecrets("web1", (), (), (HOST_KEY,), "/age")
    told = list(before_the_copy(evidence(EXAMPLES), nothing, ()))
    assert [one.id for one in told] == ["KEY-PUBLISHED"]
    assert list(before_the_copy(evidence(new_key()), nothing, ())) == []


def test_a_host_whose_own_key_is_published_is_refused() -> None:
    """Everybody can pose as a host with a published key, whatever the rules say."""
    nothing = HostSecrets("web1", (), (), (HOST_KEY,), "/age")
    identity = Identity(HOST_KEY, there=True, public=EXAMPLES)
    it = evidence(new_key())
    (one,) = before_the_copy(it, nothing, [identity])
    assert (one.id, one.host) == ("KEY-PUBLISHED", "web1")
    assert HOST_KEY in one.message
    assert "orchestrator host trust web1" in one.fix
    assert list(before_the_copy(replace(it, in_lab=True), nothing, [identity])) == []


WANTED = Wanted("m", None, None, None, (0.0, 0.0), 0, 1.0)
PAST = frozenset({Check.SECRETS})


@pytest.mark.parametrize(
    ("wanted", "refusing"),
    [
        (WANTED, ["KEY-PUBLISHED", "RULES-KEY"]),
        (replace(WANTED, emergency=True), ["KEY-PUBLISHED"]),
        (replace(WANTED, emergency=True, skipped=PAST), []),
        (replace(WANTED, skipped=PAST), []),
    ],
    ids=["deployment", "emergency", "emergency past it", "past it"],
)
def test_an_emergency_is_refused_too(wanted: Wanted, refusing: list[str]) -> None:
    """Only who names the check goes past it; of what else is wrong an emergency is told."""
    others = shortfalls([finding("RULES-KEY", PATH, "its publicKeys is empty")])
    told = examine(Facts(), wanted, [*shortfalls(found(evidence(EXAMPLES))), *others])
    of_secrets = [one for one in told if one.check is Check.SECRETS]
    assert len(of_secrets) == 2
    assert [one.text.partition(":")[0] for one in of_secrets if one.refuses] == refusing


def test_what_is_no_key_is_not_a_published_one() -> None:
    """A recipient that is cut off is another check's finding, and stops none."""
    assert not is_published(Recipient("age1cut", RecipientKind.X25519, None))
