"""HOST-*: what a host can open, by the keys that it has and by what came of a trial."""

from __future__ import annotations

from orchestrator.core.values import replace
from orchestrator.secrets.model.ciphertext import (
    Ciphertext,
    Header,
    Recipient,
    RecipientKind,
    Stanza,
)
from orchestrator.secrets.model.repository import (
    HostSecrets,
    Identity,
    Rule,
    Rules,
    SecretUse,
    Trial,
)
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.hosts import has_keys, opened

PATH = "/etc/ssh/ssh_host_ed25519_key"
FILE = "secrets/wifi.age"
SOURCE = "/nix/store/w-wifi.age"
OLD = Recipient("ssh-ed25519 AAAAold", RecipientKind.ED25519, b"old.")
NEW = Recipient("ssh-ed25519 AAAAnew", RecipientKind.ED25519, b"new.")
USE = SecretUse(
    "p620", "wifi", FILE, True, True, "0400", "0", "0", "/run/agenix/wifi", (PATH,), True, True
)
SECRETS = HostSecrets("p620", (USE,), (SOURCE,), (PATH,), "/nix/store/a-age/bin/age")
HAS_NEW = Identity(PATH, there=True, public=NEW)
OPAQUE = Stanza("X25519", ("AAAA",), None, b"")


def for_(*keys: Recipient) -> tuple[Stanza, ...]:
    """Stanzas for SSH keys."""
    return tuple(Stanza("ssh-ed25519", ("", ""), key.tag, b"") for key in keys)


def evidence(stanzas: tuple[Stanza, ...], named: Recipient = OLD) -> Evidence:
    """A file with stanzas, and a rule that names a key."""
    file = Ciphertext(FILE, Header(stanzas, b"", 0, ""), None, False, 1, False)
    rules = Rules("/fleet/secrets.nix", "/fleet", (Rule(FILE, (named.text,), (named,)),))
    return Evidence(rules=rules, files={FILE: file})


def ids(evidence: Evidence, *identities: Identity) -> list[str]:
    """The ids of what is found."""
    return [one.id for one in has_keys(evidence, SECRETS, identities)]


def test_a_host_that_has_the_key() -> None:
    """A host with one key that opens the secret is fine, though another key is missing."""
    missing = Identity("/etc/ssh/ssh_host_rsa_key", there=False)
    assert ids(evidence(for_(OLD, NEW)), missing, HAS_NEW) == []


def test_a_host_that_was_reinstalled() -> None:
    """The cure has its new key, whole."""
    (found,) = has_keys(evidence(for_(OLD)), SECRETS, (HAS_NEW,))
    assert (found.id, found.path, found.host) == ("HOST-KEY", FILE, "p620")
    assert NEW.text in found.fix
    assert "reinstalled" in found.effect


def test_a_file_that_was_not_rekeyed() -> None:
    """Where a file was not rekeyed for a key that its rule names, no key is to be changed."""
    (found,) = has_keys(evidence(for_(OLD), named=NEW), SECRETS, (HAS_NEW,))
    assert found.id == "HOST-IDPATH"
    assert found.fix == f"orchestrator secrets rekey {FILE}"


def test_a_host_without_any_key() -> None:
    """All places are named; a host without secrets needs none."""
    nothing = Identity(PATH, there=False)
    (found,) = has_keys(evidence(for_(OLD)), SECRETS, (nothing,))
    assert found.id == "HOST-IDPATH"
    assert PATH in found.fact
    none = HostSecrets("p620", identity_paths=(PATH,))
    assert list(has_keys(evidence(for_(OLD)), none, (nothing,))) == []


def test_what_cannot_be_told_is_not_claimed() -> None:
    """A key of another kind, a stanza that tells nobody, a file that is not read or not ours."""
    unknown = Identity("/persist/age.key", there=True)
    assert ids(evidence(for_(OLD)), HAS_NEW, unknown) == []
    native = Recipient("age1n", RecipientKind.X25519, None)
    assert ids(evidence((*for_(OLD), OPAQUE)), Identity(PATH, there=True, public=native)) == []
    assert ids(replace(evidence(for_(OLD)), files={}), HAS_NEW) == []
    outside = replace(SECRETS, uses=(replace(USE, in_repo=False),))
    assert list(has_keys(evidence(for_(OLD)), outside, (HAS_NEW,))) == []


def test_what_a_trial_said() -> None:
    """Each file that did not open, with what age said of it."""
    two = replace(SECRETS, uses=(USE, replace(USE, file="b.age")), sources=(SOURCE, None))
    assert list(opened(two, (Trial(SOURCE),))) == []
    (found,) = opened(two, (Trial(SOURCE, "no identity matched"),))
    assert (found.id, found.path) == ("HOST-PROBE", FILE)
    assert "no identity matched" in found.fact
