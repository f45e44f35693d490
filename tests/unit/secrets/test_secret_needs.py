"""What a host whose key became known is told to need: exactly that, with the commands."""

from __future__ import annotations

import io
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from secret_bench import keys_of, make_key, rule, run, vault

from orchestrator.core.values import replace
from orchestrator.render.output import Output
from orchestrator.secrets.age import keys as age_keys
from orchestrator.secrets.draw import draw_needs
from orchestrator.secrets.gather import read_files
from orchestrator.secrets.model.repository import Lack, Needs, Rule, Rules, SecretUse
from orchestrator.secrets.plan.evidence import Evidence
from orchestrator.secrets.plan.hosts import needs
from orchestrator.secrets.rekey import rekey

OPENSSH = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
SSHD = ("/etc/ssh/ssh_host_rsa_key", "/etc/ssh/ssh_host_ed25519_key")


def ssh_key() -> str:
    """The public half of a host's key."""
    return ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*OPENSSH).decode()


def use(path: str, *, exists: bool = True, identities: tuple[str, ...] = SSHD) -> SecretUse:
    """The host ``web1`` uses a file."""
    return SecretUse(
        "web1", path, path, True, exists, "0400", "0", "0", f"/run/{path}", identities, True, True
    )


class Fleet:
    """A repository that I read; the host ``web1`` has a new key."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "repo"
        self.root.mkdir()
        self.me = make_key(folder, "me")
        self.mine = keys_of(folder, "me")
        self.key, self.other = ssh_key(), ssh_key()
        self.rules: list[Rule] = []

    def add(self, path: str, *keys: str, to: tuple[str, ...] | None = None) -> None:
        """A rule, and its file encrypted to its keys, or to some."""
        self.rules.append(rule(path, self.me, *keys))
        self.encrypt(path, *(keys if to is None else to))

    def encrypt(self, path: str, *keys: str) -> None:
        """Write a file that I read, and others."""
        to = [pyrage.x25519.Recipient.from_str(self.me)]
        to += [pyrage.ssh.Recipient.from_str(key) for key in keys]
        (self.root / path).write_bytes(pyrage.encrypt(b"value", to))

    def needs(self, *uses: SecretUse, keys: tuple[str, ...] | None = None) -> Needs:
        """What the host needs."""
        own = (self.key,) if keys is None else keys
        rules = Rules(str(self.root / "secrets.nix"), str(self.root), tuple(self.rules))
        evidence = Evidence(
            rules=rules,
            files=read_files(self.root, [one.path for one in self.rules]),
            uses=uses,
            hosts=dict.fromkeys(own, ("web1",)),
            known=tuple(age_keys.parse(key) for key in own),
        )
        return needs(evidence, "web1")


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    """One secret that the host opens, one of another host's."""
    made = Fleet(tmp_path)
    made.add("right.age", made.key)
    made.add("others.age", made.other)
    return made


def lacks(found: Needs) -> dict[str, set[Lack]]:
    """What each secret lacks."""
    return {one.path: set(one.lacks) for one in found.secrets}


def drawn(found: Needs) -> list[str]:
    """What a person reads."""
    stream = io.StringIO()
    draw_needs(found, "secrets.nix", Output(stream))
    return stream.getvalue().splitlines()


def test_a_host_that_opens_all_of_its_secrets_needs_nothing(fleet: Fleet) -> None:
    """A host that opens all of its secrets needs nothing, and others' are not mentioned."""
    found = fleet.needs(use("right.age"))
    assert lacks(found) == {"right.age": set()}
    assert drawn(found) == ["web1: 1 secret is meant for it; its key opens 1"]


def test_a_host_without_secrets_is_told_so(tmp_path: Path) -> None:
    """A host for which no secret is meant is reported so, without a next step."""
    assert drawn(Fleet(tmp_path).needs()) == ["web1: 0 secrets are meant for it"]


def test_each_lack_has_its_step(fleet: Fleet) -> None:
    """The key to add, the one rekey, the secret to make."""
    fleet.add("named.age", fleet.key, to=())
    fleet.add("absent.age", fleet.key)
    (fleet.root / "absent.age").unlink()
    fleet.add("-broken.age", fleet.key)
    (fleet.root / "-broken.age").write_bytes(b"plain text")
    fleet.encrypt("bare.age")
    names = ("right.age", "others.age", "named.age", "absent.age", "-broken.age", "bare.age")
    found = fleet.needs(*map(use, names), use("new.age", exists=False))
    assert lacks(found) == {
        "right.age": set(),
        "others.age": {Lack.KEY, Lack.REKEY},
        "named.age": {Lack.REKEY},
        "absent.age": {Lack.FILE},
        "-broken.age": {Lack.UNCLEAR},
        "bare.age": {Lack.RULE},
        "new.age": {Lack.RULE, Lack.FILE},
    }
    key = f"{fleet.key} root@web1"
    assert drawn(found) == [
        "web1: 7 secrets are meant for it; its key opens 1",
        "  -broken.age is damaged, or its rule is: orchestrator secrets check says",
        "  absent.age is not there",
        "  bare.age has no rule in secrets.nix",
        "  named.age is not encrypted to its key",
        "  new.age has no rule in secrets.nix; is not there",
        "  others.age has a rule that does not name its key",
        "to publicKeys in secrets.nix add its key, for others.age:",
        f'  "{key}"',
        "to secrets.nix add a rule with its key and yours, for bare.age:",
        f'  publicKeys = [ "{key}" … ];',
        "then: orchestrator secrets rekey bare.age named.age others.age",
        "make it: orchestrator secrets create absent.age",
        f"make it: orchestrator secrets create new.age --recipient '{key}' --recipient YOURS",
    ]


def test_after_the_steps_nothing_is_needed(fleet: Fleet) -> None:
    """The line and the rekey that are told are the right ones."""
    fleet.add("named.age", fleet.key, to=())
    uses = use("others.age"), use("named.age")
    found = fleet.needs(*uses)
    line = drawn(found)[4].strip().strip('"')
    fleet.rules = [
        rule(one.path, *one.keys, line) if one.path in found.lacking(Lack.KEY) else one
        for one in fleet.rules
    ]
    names = drawn(found)[-1].removeprefix("then: orchestrator secrets rekey ").split()
    assert names == ["named.age", "others.age"]
    now = vault(fleet.root, *fleet.rules)
    chosen = [now.rule(name, fleet.root) for name in names]
    run(rekey(now, chosen, fleet.mine, every=False, without_me=False))
    assert not any(lacks(fleet.needs(*uses)).values())


def test_without_its_configuration_the_rules_still_tell(fleet: Fleet) -> None:
    """What names its key, or an old one of its by the comment; the old one is to be replaced."""
    old = ssh_key()
    fleet.rules.append(rule("mine.age", fleet.me, f"{old} root@web1.lan"))
    fleet.encrypt("mine.age", old)
    found = fleet.needs()
    assert lacks(found) == {"right.age": set(), "mine.age": {Lack.KEY, Lack.REKEY}}
    assert f'  in place of this one, if it was its key before: "{old}"' in drawn(found)


def test_a_second_key_of_its_is_no_old_one(fleet: Fleet) -> None:
    """Where a rule names a key that is known, another one beside it is left in peace."""
    fleet.rules.append(rule("two.age", fleet.me, fleet.key, f"{ssh_key()} root@web1"))
    fleet.encrypt("two.age", fleet.key)
    assert fleet.needs().old == ()


def test_secrets_that_it_opens_with_other_keys_are_not_claimed_for_its_host_key(
    fleet: Fleet,
) -> None:
    """What a host's own age identity opens is not claimed for its host key."""
    found = fleet.needs(use("others.age", identities=("/var/lib/age/key.txt",)))
    assert found.elsewhere == ("others.age",)
    assert lacks(found) == {"right.age": set()}
    assert "it opens 1 with other keys (age.identityPaths)" in drawn(found)


def test_a_host_whose_key_age_does_not_take_is_told_so(fleet: Fleet) -> None:
    """Such as one of ECDSA: there is no line to add."""
    found = fleet.needs(use("others.age"), keys=())
    assert found.key is None
    assert drawn(found)[-1].startswith("no key of its is known that age could encrypt to")


def test_an_entry_with_an_error_is_left_to_the_check(fleet: Fleet) -> None:
    """An entry of the rules with an error is left to `check`, and no rekey is advised."""
    fleet.rules = [replace(one, error="it throws", recipients=()) for one in fleet.rules]
    found = fleet.needs(use("right.age"))
    assert lacks(found) == {"right.age": {Lack.UNCLEAR}}
    assert not any("rekey" in line for line in drawn(found))
