"""What is found of a fleet's files of sops, and what is said before a host is changed."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from sops_bench import (
    ADMIN,
    DB1,
    DB1_SSH,
    KEYS,
    MADE,
    NO_GNUPG,
    RULES,
    WEB1,
    WEB1_SSH,
    a_use,
    gathered,
    made,
)
from test_secret_trial import Machine, key

from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.core.values import replace
from orchestrator.host.setup import Setup
from orchestrator.nix.verbs import Flake
from orchestrator.secrets.age import keys
from orchestrator.secrets.check import check_secrets
from orchestrator.secrets.files import files
from orchestrator.secrets.gather import Context
from orchestrator.secrets.model.ciphertext import SecretFinding, Severity
from orchestrator.secrets.model.repository import HostSecrets, Identity
from orchestrator.secrets.model.sops import SopsEvidence, SopsKeys
from orchestrator.secrets.plan.published import published
from orchestrator.secrets.plan.sops import check
from orchestrator.secrets.plan.sops_keys import host_as_known, host_as_seen, opens, pgp_fingerprint
from orchestrator.secrets.sops import check_before_deploying
from orchestrator.ssh.settings import SshSettings

WEB = (MADE / "web.yaml").read_bytes()
HOSTS = {"web1": host_as_known(KEYS, [WEB1_SSH]), "db1": host_as_known(KEYS, [DB1_SSH])}
KNOWN = {
    keys.point(keys.parse(text)) or 0: (host,)
    for host, text in (("web1", WEB1_SSH), ("db1", DB1_SSH))
}


def found(evidence: SopsEvidence) -> list[tuple[str, str, str | None]]:
    """Id, file and host of each finding."""
    judged = check(replace(evidence, hosts=HOSTS, known=KNOWN))
    return [(one.id, one.path, one.host) for one in judged]


def only(evidence: SopsEvidence) -> SecretFinding:
    """The one finding that there is."""
    (one,) = check(replace(evidence, hosts=HOSTS, known=KNOWN))
    return one


def test_of_a_sound_fleet_nothing_is_found(tmp_path: Path) -> None:
    """Files of each format that are for their hosts by their rules: not even an information."""
    files = {f"secrets/{name}": (MADE / name).read_bytes() for name in ("web.json", "web.bin")}
    uses = (
        a_use("t", "secrets/web.yaml", "api/token"),
        a_use("j", "secrets/web.json", "api/token", "json"),
        a_use("b", "secrets/web.bin", "b", "binary"),
    )
    assert (
        found(gathered(tmp_path, {**files, "secrets/web.yaml": WEB, ".sops.yaml": RULES}, *uses))
        == []
    )


def test_a_host_that_cannot_open_its_file_is_told_its_key(tmp_path: Path) -> None:
    """The error names the host, and the age key of the host that belongs into the rule."""
    use = a_use("t", "secrets/web.yaml", "plain", host="db1")
    one = only(gathered(tmp_path, {"secrets/web.yaml": WEB}, use))
    assert (one.id, one.host, one.severity) == ("SOPS-HOST", "db1", Severity.ERROR)
    assert one.fix == (
        f"name {DB1} in its rule in .sops.yaml; then: sops updatekeys secrets/web.yaml"
    )


def test_an_ssh_key_as_such_is_not_the_age_key_that_is_made_of_it(tmp_path: Path) -> None:
    """sops-nix hands sops the converted key: what is for the SSH key stays shut, and it is said."""
    data = (MADE / "ssh.yaml").read_bytes()
    one = only(gathered(tmp_path, {"ssh.yaml": data}, a_use("t", "ssh.yaml", "x")))
    assert (one.id, WEB1 in one.fix) == ("SOPS-HOST", True)
    assert "the age key that ssh-to-age makes of it" in one.fact


def test_what_only_a_pgp_key_opens_is_not_proved_and_is_no_error(tmp_path: Path) -> None:
    """A file for a PGP key alone is an information where the host has PGP keys."""
    data = (MADE / "pgp.yaml").read_bytes()
    one = only(gathered(tmp_path, {"pgp.yaml": data}, a_use("t", "pgp.yaml", "x")))
    assert (one.id, one.severity) == ("SOPS-UNPROVEN", Severity.INFO)


def test_what_is_missing_of_a_file_is_said_by_its_secret(tmp_path: Path) -> None:
    """No file, one that git does not have, a plain one, another format, no such key."""
    uses = (
        a_use("gone", "gone.yaml", "x"),
        replace(a_use("new", "new.yaml", "x"), exists=False),
        a_use("plain", "plain.yaml", "x"),
        a_use("form", "secrets/web.yaml", "x", "json"),
        a_use("key", "secrets/web.yaml", "x"),
        replace(a_use("out", "/persist/x.yaml", "x"), in_repo=False),
    )
    files = {"new.yaml": WEB, "plain.yaml": "x: y\n", "secrets/web.yaml": WEB}
    findings = check(replace(gathered(tmp_path, files, *uses), hosts=HOSTS, known=KNOWN))
    said = {(one.id, one.path): one for one in findings}
    assert said.keys() == {
        ("SOPS-FILE", "gone.yaml"),
        ("SOPS-FILE", "new.yaml"),
        ("SOPS-FORMAT", "plain.yaml"),
        ("SOPS-FORMAT", "secrets/web.yaml"),
        ("SOPS-NAME", "secrets/web.yaml"),
        ("SOPS-UNPROVEN", "/persist/x.yaml"),
    }
    assert said["SOPS-FILE", "new.yaml"].fix == "git add new.yaml"
    assert "sops has not encrypted it" in said["SOPS-FORMAT", "plain.yaml"].fact


@pytest.mark.parametrize(
    ("keys_of_rule", "ids"),
    [
        (f"age: '{ADMIN},{WEB1}'", []),
        (f"age: {ADMIN}", ["SOPS-EXTRA"]),
        (f"age: ['{ADMIN}', '{WEB1}', '{DB1}']", ["SOPS-MISSING"]),
        (f"age: ['{ADMIN}', '{DB1}']", ["SOPS-EXTRA", "SOPS-MISSING"]),
        (f"key_groups: [{{age: [{ADMIN}]}}, {{age: [{WEB1}]}}]", ["SOPS-GROUPS"]),
        (f"age: '{ADMIN},{WEB1},age1nonsense'", ["SOPS-CONFIG", "SOPS-MISSING"]),
        (f"age: '{ADMIN},{WEB1}'\n    kms: arn:aws:kms:x", []),
        ("unencrypted_suffix: _clear", []),
    ],
)
def test_a_file_is_held_against_the_keys_of_its_rule(
    tmp_path: Path, keys_of_rule: str, ids: Sequence[str]
) -> None:
    """Keys that are missing and too many; a cloud's and those given when sops runs do not count."""
    rules = f"creation_rules:\n  - path_regex: web\n    {keys_of_rule}\n"
    evidence = gathered(tmp_path, {".sops.yaml": rules, "web.yaml": WEB})
    assert sorted(name for name, _, _ in found(evidence)) == ids


def test_findings_of_a_rule_name_the_host_whose_key_it_is(tmp_path: Path) -> None:
    """A key that no rule explains is said to be a host's, where it is one's."""
    rules = f"creation_rules: [{{age: {ADMIN}}}]"
    one = only(gathered(tmp_path, {".sops.yaml": rules, "web.yaml": WEB}))
    assert "web1 (age1m024" in one.fact
    assert one.fix.startswith("sops updatekeys web.yaml, and rotate its values")


def test_another_threshold_than_the_rules_is_found(tmp_path: Path) -> None:
    """Of how many groups a key is needed is compared, where the rule says it."""
    groups = f"key_groups: [{{age: ['{ADMIN}', '{WEB1}']}}, {{age: ['{ADMIN}', '{DB1}']}}]"
    shared = (MADE / "shared.yaml").read_bytes()
    for threshold, ids in ((0, []), (2, []), (1, ["SOPS-GROUPS"])):
        rules = f"creation_rules: [{{shamir_threshold: {threshold}, {groups}}}]"
        evidence = gathered(tmp_path, {".sops.yaml": rules, "shared.yaml": shared})
        assert [name for name, _, _ in found(evidence)] == ids


def test_a_file_may_be_as_any_of_the_rules_above_it_says(tmp_path: Path) -> None:
    """Sops takes the nearest .sops.yaml above the folder that it is run in, which is not known."""
    near, far, none = (
        f"creation_rules: [{{path_regex: {regex}, age: '{keys}'}}]"
        for regex, keys in (("web", ADMIN), ("web", f"{ADMIN},{WEB1}"), ("other", ADMIN))
    )
    for above, below, ids in (
        (far, near, []),
        (far, none, []),
        (near, far, []),
        (near, near, ["SOPS-EXTRA"]),
        (near, none, ["SOPS-EXTRA"]),
        (none, none, ["SOPS-NORULE"]),
    ):
        files = {".sops.yaml": above, "secrets/.sops.yaml": below, "secrets/web.yaml": WEB}
        assert [name for name, _, _ in found(gathered(tmp_path, files))] == ids


def test_rules_that_are_wrong_or_not_read_are_not_compared(tmp_path: Path) -> None:
    """A fault of the rules is one error; what is not read here is an information."""
    for rules, name in (
        ("creation_rules: [", "SOPS-CONFIG"),
        ("creation_rules: text", "SOPS-CONFIG"),
        ("a: &a {age: x}\ncreation_rules: [{<<: *a}]", "SOPS-UNPROVEN"),
        ("creation_rules: [{path_regex: 'a(?=b)', age: x}]", "SOPS-CONFIG"),
    ):
        evidence = gathered(tmp_path, {".sops.yaml": rules, "web.yaml": WEB})
        assert [one[0] for one in found(evidence)] == [name]
    other = f"creation_rules: [{{path_regex: other, age: {ADMIN}}}]"
    assert found(gathered(tmp_path, {".sops.yaml": other, "web.yaml": WEB})) == [
        ("SOPS-NORULE", "web.yaml", None)
    ]


def test_keys_that_everybody_has_are_found_but_in_a_lab(tmp_path: Path) -> None:
    """A file for a key of the example fleet is an error wherever the hosts are not a lab's."""
    open_to_all = keys.as_x25519(published()[1]).text
    evidence = gathered(tmp_path, {"web.yaml": WEB.replace(WEB1.encode(), open_to_all.encode())})
    assert only(evidence).id == "KEY-PUBLISHED"
    assert found(replace(evidence, in_lab=True)) == []


RSA = (
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABgQDtwQhY3uyYF0EtACthbkam7TA672VqWH6epfX/m6KqVTbqozHstCp6"
    "CRuBhGxTtkHQNbf38iQkwePPaqXQWMD1ahyKmgUg1LNek1At6X+Q4kOHTKyS8ygbavKy7MhGT8TE3fG/M1PZoz58tw7C"
    "oe0tLlQh+wPnIFEhBeR15ZxZAaJWbxYXnvijbXwkxDV/KJ9itElmH3SpkOyhUhZCThWsORNF9ipbZVwiVRwOjoOdHISZ"
    "UrUvcamhxxt8TM8sKWzao2GXnQTiMvf8xMfyAtHLGBdPpiVcSym2FvjPqRSmKoVFDFwsNQMfcDv1eSH1/c5art14KyKw"
    "uJpkiJUPWwfdppdjHbBV26moE+4YvMi04Z7tw2RMi0x8tXaiYxwhNvyDVqBdSD56AjckTmHo5dZCjbcsV00gzDiVZlWg"
    "P8RCzr55BJlMVjKLM6YkzVZl+c5kJorsfL3NyohxC/hrIwItQoqJW9XtA/rSd9/1AdkrE+iPahsCQQ1ZhH0KiUr00Pk="
)
RSA_PRINT = "2504791468B153B8A3963CC97BA53D1919C5DFD4"


def test_the_pgp_key_of_an_rsa_host_key_is_the_one_that_sops_nix_makes() -> None:
    """The key and the fingerprint in the metadata of a file are those of sops-nix's own tests."""
    assert pgp_fingerprint(keys.parse(RSA)) == RSA_PRINT
    assert pgp_fingerprint(keys.parse(WEB1_SSH)) is None
    content = made("pgp.yaml")
    ours = replace(content, groups=((replace(content.groups[0][0], text=RSA_PRINT),),))
    host = host_as_known(KEYS, [WEB1_SSH, RSA])
    assert (opens(ours, host), opens(content, host)) == (True, False)


def test_what_a_host_says_of_its_keys_counts() -> None:
    """Keys that are not there open nothing; a key file may open anything, if it is there."""
    said = SopsKeys(ssh=("/a", "/b"), file="/key")
    there = Identity("/a", there=True, public=keys.parse(WEB1_SSH))
    gone, file = Identity("/b", there=False), Identity("/key", there=True)
    no_file = replace(file, there=False)
    assert opens(made("web.yaml"), host_as_seen(said, (there, gone, file))) is True
    assert opens(made("db.yaml"), host_as_seen(said, (there, gone, file))) is None
    bare = host_as_seen(said, (there, gone, no_file))
    assert (opens(made("db.yaml"), bare), bare.lacks) == (False, "/key")
    assert host_as_seen(replace(said, generated=True), (there, gone, no_file)).lacks == ""
    locked = host_as_seen(NO_GNUPG, (Identity(NO_GNUPG.ssh[0], there=True),))
    assert opens(made("web.yaml"), locked) is None


class Repository:
    """A fleet of web1, db1 and one without secrets, in git, with a file of sops for web1."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "fleet"
        self.key = folder / "ssh_host_ed25519_key"
        public = key(self.key)
        mine = keys.as_x25519(keys.parse(public)).text
        self.data = WEB.replace(WEB1.encode(), mine.encode())
        rules = RULES.replace(WEB1, mine)
        gathered(self.root, {"secrets/web.yaml": self.data, ".sops.yaml": rules})
        subprocess.run(("git", "init", "-q", self.root), check=True)
        subprocess.run(("git", "-C", self.root, "add", "-A"), check=True)
        known = folder / "known_hosts"
        known.write_text(f"web1 {public}\ndb1 {DB1_SSH}\n")
        hosts = {name: Host(name, name, Connect(name)) for name in ("web1", "db1", "idle")}
        fleet = Fleet("made-up", str(self.root), str(self.root), hosts)
        ssh = SshSettings(config="/dev/null", known_hosts=str(known))
        flake = Flake.at(str(self.root), str(self.root))
        self.setup = Setup(fleet, flake, ssh, folder / "state")

    def secrets(self, host: str, key_file: str | None = None) -> HostSecrets:
        """What a host's configuration says."""
        said = SopsKeys(ssh=(str(self.key),), file=key_file)
        use = a_use("t", "secrets/web.yaml", "api/token", host=host)
        return HostSecrets(host, sops=(use,), sops_keys=said)

    def context(self, *hosts: str, targets: tuple[str, ...] = ()) -> Context:
        """What is known of it, with what these hosts' configurations say."""
        return Context(
            self.setup.fleet,
            self.setup.ssh,
            targets,
            sops=tuple(map(self.secrets, hosts)),
            evaluated=frozenset(hosts),
            setup=self.setup,
        )


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A fleet whose secrets are sops-nix's alone."""
    return Repository(tmp_path)


def test_a_fleet_without_agenix_is_checked_by_its_hosts_keys(repository: Repository) -> None:
    """Without a secrets.nix files of sops alone are checked; a host's key comes of known_hosts."""
    sound = asyncio.run(check_secrets(None, repository.context("web1")))
    assert (sound.findings, sound.count, sound.sops, sound.strangers) == ((), None, 1, ())
    wrong = asyncio.run(check_secrets(None, repository.context("web1", "db1")))
    assert [(one.id, one.host) for one in wrong.findings] == [("SOPS-HOST", "db1")]


def test_where_nothing_speaks_of_sops_no_file_is_opened_for_it(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fleet of agenix alone may track many files: names are enough to know that none is sops'."""
    opened: list[str] = []

    def read(root: str, path: str, limit: int) -> None:
        del root, limit
        opened.append(path)

    monkeypatch.setattr(files, "read", read)
    git = ("git", "-C", str(repository.root), "rm", "-q", "-f", ".sops.yaml")
    subprocess.run(git, check=True)
    assert asyncio.run(check_secrets(None, repository.context())).sops == 0
    assert opened == []
    below = repository.root / "below"
    below.mkdir()
    (below / ".sops.yaml").write_text(RULES)
    subprocess.run(("git", "-C", str(repository.root), "add", "-A"), check=True)
    asyncio.run(check_secrets(None, repository.context()))
    assert "secrets/web.yaml" in opened


def test_of_some_hosts_only_their_findings_are_told(repository: Repository) -> None:
    """A host's own, by its use or its key; one of which nothing is known is a stranger."""

    def told(*targets: str) -> tuple[list[str | None], tuple[str, ...]]:
        checked = asyncio.run(
            check_secrets(None, replace(repository.context("db1"), targets=targets))
        )
        return [one.host for one in checked.findings], checked.strangers

    assert told("db1") == (["db1"], ())
    assert told("web1") == ([], ())
    assert told("idle") == ([], ("idle",))


def test_before_a_deployment_the_keys_that_the_host_has_count(repository: Repository) -> None:
    """The host prints its public keys; a key file that it lacks ends sops-nix, and is an error."""
    machine = Machine(("bash",)).executor

    def said(secrets: HostSecrets) -> list[str]:
        found = asyncio.run(check_before_deploying(repository.setup, secrets, machine))
        return [one.id for one in found]

    assert said(repository.secrets("web1")) == []
    assert said(repository.secrets("web1", "/no/such/key.txt")) == ["SOPS-HOST"]
    repository.key.unlink()
    key(repository.key)
    assert said(repository.secrets("web1")) == ["SOPS-HOST"]
    assert said(HostSecrets("web1")) == []
