"""200 secrets, 40 recipients, no private key: every defect is found, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from secret_fleet import Repository, ed25519_key, encrypt, rsa_key, sound, x25519_key

from orchestrator.core.values import replace
from orchestrator.secrets.check import SecretCheck, check_secrets
from orchestrator.secrets.files import journal
from orchestrator.secrets.gather import Context
from orchestrator.secrets.model.ciphertext import Severity
from orchestrator.secrets.model.repository import Journal, SecretUse
from orchestrator.secrets.place import place_of

pytestmark = pytest.mark.usefixtures("nix")

Found = set[tuple[str, str]]
"""Pairs of a check's id and a file."""


def check(made: Repository, context: Context | None = None, *, strict: bool = False) -> SecretCheck:
    """Check a repository as the command does."""
    fleet, ssh = made.fleet()

    async def work() -> SecretCheck:
        place = await place_of(made.root / "secrets.nix")
        return await check_secrets(place, context or Context(fleet, ssh), strict=strict)

    return asyncio.run(work())


def pairs(found: SecretCheck) -> Found:
    """What was found, of what."""
    assert len({(one.id, one.path, one.host) for one in found.findings}) == len(found.findings)
    return {(one.id, one.path) for one in found.findings}


@pytest.fixture
def made(tmp_path: Path) -> Repository:
    """A repository of 20 secrets in which all is right."""
    return sound(tmp_path / "repository", 20, 8)


def test_a_sound_repository_has_nothing_wrong(tmp_path: Path) -> None:
    """200 secrets for 40 recipients of three kinds: no finding at all, not even an unproved one."""
    made = sound(tmp_path / "repository")
    made.write()
    found = check(made)
    assert found.findings == ()
    assert found.count == 200


class Planted:
    """A repository with every defect planted once, each at a secret of its own."""

    def __init__(self, root: Path) -> None:
        self.made = sound(root)
        self.paths = iter(sorted(self.made.rules))
        self.expected: Found = set()
        self.uses: list[SecretUse] = []
        self.after: list[Callable[[], object]] = []
        for plant in (self.rules, self.files, self.age, self.rekey, self.git, self.config):
            plant()
        self.made.write()
        for step in self.after:
            step()

    def next(self, *ids: str, kind: str = "ssh-ed25519") -> str:
        """The next sound secret that has a person of a kind; what is to be found of it."""
        path = next(path for path in self.paths if any(k.startswith(kind) for k in self.keys(path)))
        self.expected |= {(name, path) for name in ids}
        return path

    def keys(self, path: str) -> list[str]:
        """The keys of the people that a rule names."""
        return self.made.of(path)[1:]

    def person(self, path: str, kind: str) -> str:
        """A person with a kind of key whom a rule names."""
        return next(n for n in self.made.rules[path][1:] if self.made.keys[n].startswith(kind))

    def rules(self) -> None:
        """RULES-*."""
        self.made.raw[self.next("RULES-EVAL")] = '{ publicKeys = throw "not yet"; }'
        self.made.raw["../out.age"] = "{ publicKeys = [ keys.h0 ]; }"
        self.expected.add(("RULES-PATH", "../out.age"))
        self.made.raw[self.next("RULES-KEY")] = "{ publicKeys = [ ]; }"
        path = self.next("RULES-DUP")
        self.made.rules[path].append(self.made.rules[path][0])

    def files(self) -> None:
        """FILE-*."""
        del self.made.files[self.next("FILE-MISSING")]
        self.made.files["secrets/stray.age"] = encrypt([ed25519_key()])
        self.expected.add(("FILE-UNDECLARED", "secrets/stray.age"))
        path = self.next("FILE-READ")
        del self.made.files[path]
        outside = self.made.root.parent / "outside.age"
        outside.write_bytes(encrypt(self.made.of(path)))
        (self.made.root / path).parent.mkdir(exist_ok=True)
        (self.made.root / path).symlink_to(outside)

    def age(self) -> None:
        """AGE-*."""
        path = self.next("AGE-FORMAT")
        self.made.files[path] = self.made.files[path][:100]
        path = self.next("AGE-EMPTY")
        self.made.files[path] = encrypt(self.made.of(path), b"")
        self.made.write_down(path, self.made.of(path))
        self.made.files[self.next("AGE-NEWLINE")] += b"\n"
        path = self.next("AGE-ARMOR")
        self.made.files[path] = pyrage.encrypt(
            b"a value", [pyrage.ssh.Recipient.from_str(self.made.keys["h0"])], armored=True
        )
        self.made.rules[path] = ["h0"]
        self.made.files[self.next("AGE-PASSPHRASE")] = pyrage.passphrase.encrypt(b"a value", "word")

    def rekey(self) -> None:
        """REKEY-*."""
        path = self.next("REKEY-NEEDED")
        self.made.encrypt(path, without=(self.made.rules[path][0],))
        path = self.next("REKEY-NEEDED", kind="ssh-rsa")
        self.made.encrypt(path, without=(self.person(path, "ssh-rsa"),))
        path = self.next("REKEY-NEEDED", kind="age1")
        self.made.encrypt(path, without=(self.person(path, "age1"),))
        path = self.next("REKEY-EXTRA")
        other = next(
            n for n in self.made.keys if n.startswith("h") and n != self.made.rules[path][0]
        )
        self.made.encrypt(path, self.made.keys[other])
        self.made.encrypt(self.next("REKEY-UNKNOWN"), rsa_key())
        self.made.encrypt(self.next("REKEY-COUNT"), x25519_key(), lock=False)
        self.made.encrypt(self.next("REKEY-UNPROVEN", kind="age1"), lock=False)
        # A stranger's key in the place of a declared one: the number is right.
        path = self.next("REKEY-NEEDED", "REKEY-UNKNOWN", kind="age1")
        self.made.encrypt(path, x25519_key(), without=(self.person(path, "age1"),))

    def git(self) -> None:
        """GIT-* and TXN-PENDING."""
        untracked, ignored, text = (
            self.next(f"GIT-{what}") for what in ("UNTRACKED", "IGNORED", "ATTR")
        )
        root, git = self.made.root, self.made.git
        attributes = f"*.age binary\n{text} text\n"
        self.after += [
            lambda: git("rm", "-q", "--cached", untracked, ignored),
            lambda: (root / ".gitignore").write_text(f"/{ignored}\n"),
            lambda: (root / ".gitattributes").write_text(attributes),
            lambda: (root / journal.FOLDER).mkdir(),
            lambda: journal.write_plan(root, Journal("one", "rekey", ())),
        ]
        self.expected.add(("TXN-PENDING", ""))

    def config(self) -> None:
        """CFG-*, of what configurations would say."""
        self.use("CFG-FILE", exists=False)
        self.use("CFG-OUTSIDE", in_repo=False, file="/etc/outside.age")
        self.use("CFG-NORULE", file="secrets/norule.age")
        self.use("CFG-HOST", host="h7" if self.made.rules[self.next()][0] != "h7" else "h6")
        self.use("CFG-MODE", mode="0444")
        self.use("CFG-OWNER", owner_known=False)
        self.use("CFG-SYMLINK", hidden=True)
        self.use()
        self.use("CFG-COLLIDE", install_path=self.uses[-1].install_path, host=self.uses[-1].host)

    def use(self, *ids: str, **how: object) -> None:
        """Have a host use a sound secret, in some way."""
        path = next(self.paths)
        host = str(how.get("host", self.made.rules[path][0]))
        if "CFG-COLLIDE" in ids:
            path = next(p for p in self.paths if self.made.rules[p][0] == host)
        if "CFG-HOST" in ids:
            path = next(p for p in self.paths if self.made.rules[p][0] != host)
        sound_use = SecretUse(
            host=host,
            name=path.removesuffix(".age").replace("/", "-"),
            file=path,
            in_repo=True,
            exists=True,
            mode="0400",
            owner="root",
            group="root",
            install_path=f"/run/agenix/{path}",
            identity_paths=("/etc/ssh/ssh_host_ed25519_key",),
            owner_known=True,
            group_known=True,
        )
        self.uses.append(replace(sound_use, **how))  # type: ignore[arg-type]
        self.expected |= {(name, self.uses[-1].file) for name in ids}


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    """200 secrets with all defects."""
    return Planted(tmp_path_factory.mktemp("planted") / "repository")


def test_every_defect_is_found_and_nothing_else(planted: Planted) -> None:
    """Each planted defect has its finding, with its id, at its file; there is no other finding."""
    fleet, ssh = planted.made.fleet()
    found = check(planted.made, Context(fleet, ssh, uses=tuple(planted.uses)))
    assert pairs(found) == planted.expected
    assert {name.split("-")[0] for name, _ in planted.expected} == {
        *("RULES", "FILE", "AGE", "REKEY", "GIT", "CFG", "TXN")
    }


def test_each_message_is_a_fact_an_effect_and_a_fix(planted: Planted) -> None:
    """``path: fact. Effect. Fix: command``, in one line; the worst finding comes first."""
    found = check(planted.made).findings
    for finding in found:
        start = f"{finding.path}: " if finding.path else ""
        assert finding.message == f"{start}{finding.fact}. {finding.effect}. Fix: {finding.fix}"
        assert "\n" not in finding.message
        assert "PATH" not in finding.fix
    order = list(Severity)
    places = [order.index(finding.severity) for finding in found]
    assert places == sorted(places)


def test_strict_leaves_no_warning(planted: Planted) -> None:
    """``--strict``: what was a warning is an error; what cannot be proved stays told."""
    severities = {finding.severity for finding in check(planted.made, strict=True).findings}
    assert severities == {Severity.ERROR, Severity.INFO}


def test_a_host_that_cannot_read_its_secret_is_named(made: Repository) -> None:
    """A host that cannot read its secret is an error; a person who cannot is a warning."""
    path, other = list(made.rules)[:2]
    made.encrypt(path, without=(made.rules[path][0],))
    person = next(name for name in made.rules[other][1:])
    made.encrypt(other, without=(person,))
    made.write()
    host, someone = check(made).findings
    assert (host.severity, host.host, host.path) == (Severity.ERROR, made.rules[path][0], path)
    assert (someone.severity, someone.host, someone.path) == (Severity.WARNING, None, other)


def test_only_the_chosen_hosts_secrets_are_told_of(made: Repository) -> None:
    """A defect of another host's secret is left out; the rules' own defects never are."""
    paths = list(made.rules)[:2]
    for path in paths:
        made.files[path] = b"plain text"
    made.write()
    fleet, ssh = made.fleet()
    mine = next(h for h in made.rules[paths[0]] if h.startswith("h"))
    found = check(made, Context(fleet, ssh, (mine,)))
    assert pairs(found) == {("AGE-FORMAT", paths[0])}
    (made.root / "secrets.nix").write_text("{ broken")
    assert pairs(check(made, Context(fleet, ssh, (mine,)))) == {("RULES-EVAL", "secrets.nix")}


def test_an_unusable_key_is_named_with_the_reason(made: Repository) -> None:
    """ECDSA, RSA of 1024 bits, a hardware key, a cut one: each is told by itself."""
    path = next(iter(made.rules))
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    openssh = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    good = made.keys["h0"]
    bad = (curve.public_bytes(*openssh).decode(), rsa_key(1024), good[:-6], "sk-ssh-x AAAA", "")
    made.raw[path] = f"{{ publicKeys = [ keys.h0 {' '.join(map(repr, bad))} ]; }}".replace("'", '"')
    made.encrypt(path)
    made.write()
    found = [finding for finding in check(made).findings if finding.id == "RULES-KEY"]
    assert [finding.path for finding in found] == [path] * len(bad)
    assert "ECDSA" in found[0].message or "ecdsa" in found[0].message
    assert "1024" in found[1].message
