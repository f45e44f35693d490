"""Files of sops: whom they are for, what is in them, and what a hostile one may say."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from sops_bench import (
    ADMIN,
    DB1,
    DB1_SSH,
    FORMATS,
    KEYS,
    MADE,
    NO_GNUPG,
    RULES,
    WEB1,
    WEB1_SSH,
    a_use,
    age,
    gathered,
    made,
)

from orchestrator.secrets.files import sops as sops_files
from orchestrator.secrets.files.sops import (
    SopsError,
    SopsUnreadError,
    first_matches,
    read_config,
    read_content,
    understood,
)
from orchestrator.secrets.model.sops import (
    SopsContent,
    SopsHost,
    SopsKey,
    SopsKeys,
)
from orchestrator.secrets.plan.sops import unreachable
from orchestrator.secrets.plan.sops_keys import host_as_known, opens


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_of_sops_says_whom_it_is_for(name: str) -> None:
    """In YAML, JSON, .env, .ini and binary files the recipients that sops wrote are read."""
    content = made(name)
    assert (content.groups, content.threshold) == ((age(ADMIN, WEB1),), 1)


def test_a_file_of_several_groups_says_of_how_many_a_key_is_needed() -> None:
    """The groups of Shamir's secret sharing and their threshold are as sops wrote them."""
    content = made("shared.yaml")
    assert (content.groups, content.threshold) == ((age(ADMIN, WEB1), age(ADMIN, DB1)), 2)


def test_hosts_open_what_sops_itself_opened_with_their_keys() -> None:
    """For each file and host the answer is what `sops decrypt` gave with the host's age key."""
    hosts = {"web1": host_as_known(NO_GNUPG, [WEB1_SSH]), "db1": host_as_known(NO_GNUPG, [DB1_SSH])}
    said = {
        (name, host): opens(made(name), keys)
        for name in (*FORMATS, "db.yaml", "shared.yaml", "ssh.yaml", "pgp.yaml")
        for host, keys in hosts.items()
    }
    opened = {*((name, "web1") for name in FORMATS), ("db.yaml", "db1")}
    assert said == {one: one in opened for one in said}


def test_what_depends_on_an_unknown_key_is_neither_opened_nor_shut() -> None:
    """A key file, a keyring, an SSH key elsewhere, a host without a known key: not known."""
    unknown = (
        host_as_known(KEYS, []),
        host_as_known(SopsKeys(file="/var/lib/sops-nix/key.txt"), [WEB1_SSH]),
        host_as_known(SopsKeys(ssh=("/root/.ssh/id_ed25519",)), [WEB1_SSH]),
        host_as_known(SopsKeys(elsewhere=True), [WEB1_SSH]),
    )
    assert [opens(made("db.yaml"), host) for host in unknown] == [None] * 4
    assert opens(made("pgp.yaml"), host_as_known(KEYS, [WEB1_SSH])) is None
    assert opens(made("ssh.yaml"), host_as_known(SopsKeys(elsewhere=True), [])) is None
    cloud = SopsContent(((SopsKey("kms", "arn:aws:kms:x"),),), 1)
    assert opens(cloud, SopsHost(age_known=True, pgp_known=True, ssh_used=False)) is None


VALUE = "ENC[AES256_GCM,data:BQ==,iv:44w=,tag:zyZ=,type:%s]"


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("api/token", ""),
        ("plain", ""),
        ("api/nope", "it is not in it"),
        ("nope/token", "nope is not in it"),
        ("plain/token", "plain has no keys below it"),
        ("api", "its value is no text"),
        ("list", "its value is no text"),
        ("api/port", "its value is no text, but of type int"),
        ("sops", "it is not in it"),
    ],
)
def test_a_key_leads_to_a_text_or_it_is_said_why_not(key: str, why: str) -> None:
    """Names are followed as sops-nix follows them, and a number is no text for it."""
    assert unreachable(made("web.yaml"), a_use("t", "web.yaml", key)) == why


def test_of_a_file_that_was_not_read_whole_no_name_is_missing() -> None:
    """A tag or a key that is no text here may be what sops-nix finds."""
    text = (MADE / "web.yaml").read_text()
    content = read_content("yaml", f"5: {VALUE % 'str'}\n{text}".encode())
    assert content is not None
    assert unreachable(content, a_use("t", "web.yaml", "5")) == ""
    assert unreachable(content, a_use("t", "web.yaml", "api")) == "its value is no text"


def test_what_sops_has_not_encrypted_is_told_from_what_it_cannot_read() -> None:
    """Plain files have no metadata; of sops' that are damaged it is said what is wrong."""
    for form, data in (
        ("yaml", b"a: b"),
        ("json", b"{}"),
        ("dotenv", b"A=1"),
        ("ini", b"[s]\na=1"),
    ):
        assert read_content(form, data) is None
    damaged = {
        ("json", b"a: b"): "is not JSON",
        ("binary", b"\x00\xff"): "is not JSON",
        ("yaml", b"a: [b"): "is not YAML",
        ("yaml", b"\xff"): "is not YAML",
        ("yaml", b"sops: text"): "none of sops' metadata",
        ("json", b'{"sops": {"mac": "x", "age": []}}'): "no key",
        ("json", b'{"sops": {"mac": "x", "key_groups": {"a": 1}}}'): "that are none",
        ("dotenv", b"sops_mac=x"): "no key",
    }
    for (form, data), why in damaged.items():
        with pytest.raises(SopsError, match=why):
            read_content(form, data)


_BOMB = "".join(f"k{n}: &k{n} [{', '.join([f'*k{n - 1}' if n else 'x'] * 10)}]\n" for n in range(9))


@pytest.mark.parametrize(
    "text",
    [_BOMB, "a: " + "[" * 10**6, "a: 1\n---\nb: 2\n"],
    ids=["aliases", "depth", "documents"],
)
def test_what_is_too_much_or_not_read_here_is_no_fault_of_the_file(text: str) -> None:
    """Aliases that multiply, depth and further documents end the reading; nothing is claimed."""
    with pytest.raises(SopsUnreadError):
        read_content("yaml", text.encode())


def test_deep_json_is_no_crash() -> None:
    """JSON that is deeper than anything is refused as what it is."""
    with pytest.raises(SopsError):
        read_content("json", b"[" * 200_000 + b"]" * 200_000)


def test_rules_have_keys_as_sops_reads_them() -> None:
    """Lists, texts with commas, groups, merged groups, anchors: each key of each rule is found."""
    text = f"""
keys: [&admin {ADMIN}]
creation_rules:
  - path_regex: a$
    age: >-
      {ADMIN},
      {WEB1}
    pgp: [F1, F2]
  - path_regex: b$
    shamir_threshold: 2
    key_groups:
      - age: [*admin]
        merge: [{{age: ["{WEB1},{DB1}"]}}]
      - kms: [{{arn: "arn:x"}}]
        pgp: [F1]
  - age: {DB1}
"""
    one, two, three = read_config(".sops.yaml", text.encode())
    assert one.groups == ((*age(ADMIN, WEB1), SopsKey("pgp", "F1"), SopsKey("pgp", "F2")),)
    assert two.groups == (
        age(WEB1, DB1, ADMIN),
        (SopsKey("pgp", "F1"), SopsKey("kms", json.dumps({"arn": "arn:x"}))),
    )
    assert (two.threshold, two.pattern, two.number) == (2, "b$", 2)
    assert (three.pattern, three.groups) == ("", (age(DB1),))
    assert read_config(".sops.yaml", b"stores: {}\n") == ()


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("creation_rules: [", SopsError),
        ("creation_rules: text", SopsError),
        ("creation_rules: [text]", SopsError),
        ("creation_rules: [{age: 5}]", SopsError),
        ("creation_rules: [{key_groups: text}]", SopsError),
        ("creation_rules: [{path_regex: [a]}]", SopsError),
        ("a: &a {age: x}\ncreation_rules: [{<<: *a}]", SopsUnreadError),
        ("creation_rules: [!mine {age: x}]", SopsUnreadError),
    ],
)
def test_rules_of_no_use_are_told_from_rules_that_are_not_read_here(
    text: str, error: type[Exception]
) -> None:
    """What sops refuses is a fault; a merge key or a tag, which it may take, is none."""
    with pytest.raises(error):
        read_config(".sops.yaml", text.encode())


def test_the_first_rule_whose_pattern_is_found_takes_a_file() -> None:
    """Patterns are searched, in order; none takes every file; one of Go's alone is not known."""
    patterns = [r"^secrets/web\.(yaml|json)$", r"\.yaml\z", ""]
    paths = ["secrets/web.json", "x/secrets/web.yaml", "other"]
    answers = asyncio.run(
        first_matches([(patterns, paths), (patterns[:1], paths), ([r"\pL", ""], paths[:1])])
    )
    assert answers == [[0, 1, 2], [0, None, None], [-1]]


@pytest.mark.parametrize(
    "pattern", [r"a(?=b)", r"(a)\1", r"\Z", r"[[:alpha:]]", "a++", "(", "a" * 1001]
)
def test_a_pattern_that_python_may_read_in_another_way_is_not_taken(pattern: str) -> None:
    """What Go refuses or reads differently is not known, and never guessed."""
    assert understood(pattern) is None


def test_patterns_that_do_not_end_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that would take for ever holds nobody up."""
    monkeypatch.setattr(sops_files, "_SECONDS", 0.5)
    with pytest.raises(SopsUnreadError, match="did not end"):
        asyncio.run(first_matches([(["(a|aa)+$"], ["a" * 200 + "b"])]))


def test_the_nearest_rules_above_a_file_are_its_own(tmp_path: Path) -> None:
    """A path is matched as the nearest .sops.yaml sees it; without one no rule is missed."""
    web = (MADE / "web.yaml").read_bytes()
    files = {
        ".sops.yaml": RULES,
        "secrets/web.yaml": web,
        "other.yaml": web,
        "below/.sops.yaml": f"creation_rules: [{{path_regex: ^web, age: {ADMIN}}}]",
        "below/web.yaml": web,
        "plain.yaml": "sops: [mac]\n",
    }
    found = {file.path: file for file in gathered(tmp_path, files).files}
    assert found.keys() == {"secrets/web.yaml", "other.yaml", "below/web.yaml"}
    assert all(file.ruled for file in found.values())
    rules = {path: file.rule and file.rule.config for path, file in found.items()}
    assert rules == {
        "secrets/web.yaml": ".sops.yaml",
        "other.yaml": None,
        "below/web.yaml": "below/.sops.yaml",
    }
    (tmp_path / ".sops.yaml").unlink()
    alone = gathered(tmp_path, {"secrets/web.yaml": web})
    assert [(file.ruled, file.rule) for file in alone.files] == [(False, None)]


def test_no_link_leads_out_and_no_odd_file_holds_it_up(tmp_path: Path) -> None:
    """Links out, pipes, folders and files without an end are named, and not followed or read."""
    root = tmp_path / "root"
    (root / "folder.yaml").mkdir(parents=True)
    (tmp_path / "outside.yaml").write_bytes((MADE / "web.yaml").read_bytes())
    (root / "out.yaml").symlink_to("../outside.yaml")
    (root / "zero.yaml").symlink_to("/dev/zero")
    (root / ".sops.yaml").symlink_to("/etc/passwd")
    os.mkfifo(root / "pipe.yaml")
    with (root / "sparse.yaml").open("wb") as file:
        file.truncate(5 * 2**30)
    names = ("out.yaml", "zero.yaml", "pipe.yaml", "folder.yaml", "sparse.yaml", "gone.yaml")
    uses = [a_use(name, name, "x") for name in names]
    found = gathered(root, {"web.yaml": (MADE / "web.yaml").read_bytes()}, *uses)
    said = {file.path: file.fault or file.unread or file.there for file in found.files}
    assert said == {
        "out.yaml": "is a symbolic link out of the repository",
        "zero.yaml": "is a symbolic link out of the repository",
        "pipe.yaml": "is a FIFO",
        "folder.yaml": "is a folder",
        "sparse.yaml": "is larger than 4 MiB and was not read",
        "gone.yaml": False,
        "web.yaml": True,
    }
    assert found.unread == {".sops.yaml": "is a symbolic link out of the repository"}
