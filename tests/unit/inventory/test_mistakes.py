"""Every kind of mistake is told with its place, what was expected and the nearest name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.inventory.load import load
from orchestrator.inventory.tree import MAX_MISTAKES, InventoryError

Told = Callable[..., list[str]]


def host(settings: str) -> str:
    """An inventory whose only host has ``settings``, from line 3 on."""
    return f"hosts:\n  web1:\n    {settings}\n"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("tempalte: x", "3:5: the unknown key 'tempalte' in a host; expected one of "),
        ("tempalte: x", "did you mean 'template'?"),
        (
            "template: box",
            "3:15: the unknown template 'box'; expected one declared under templates",
        ),
        ("profiles: [a]", "3:16: the unknown profile 'a'"),
        ("features: [a]", "3:16: the unknown feature 'a'"),
        ("users: [a]", "3:13: the unknown user 'a'"),
        (
            "build: wbe1",
            "3:12: the unknown host 'wbe1'; expected one of web1; did you mean 'web1'?",
        ),
        ("tags: x", "3:11: the text 'x'; expected a list"),
        ("tags: [[x]]", "3:12: a list; expected a name"),
        ("connect: 5", "3:14: the number 5; expected connect: a mapping with one of become"),
        ("connect: {port: 0}", "the number 0; expected a whole number from 1 to 65535"),
        ("connect: {port: 65536}", "the number 65536; expected a whole number from 1 to 65535"),
        ("connect: {port: 2.5}", "the number 2.5; expected a whole number"),
        ("connect: {port: true}", "the boolean true; expected a whole number"),
        ("connect: {port: '22'}", "the text '22'; expected a whole number"),
        ("connect: {port: 022}", "'022' (YAML 1.1 and 1.2 read it differently)"),
        ("connect: {sudo: yes}", "'yes' (YAML 1.1 and 1.2 read it differently); expected true or"),
        ("connect: {jump: 'a b'}", "expected [user@]host[:port]"),
        ("state_version: 25.05", 'the number 25.05; expected a release such as "25.05"'),
        ("state_version: 25.05", 'it is written in quotes: "25.05"'),
        ("address:", "3:13: nothing; expected a host name, an IP address or an alias"),
        ("hardware: [amd]", "3:15: a list; expected a mapping"),
        ("hardware: {x: .nan}", "the number .nan; expected a finite number"),
        ("hardware: {x: [.inf]}", "the number .inf; expected a finite number"),
        ("hardware: {x: 9223372036854775808}", "expected a whole number of at most 64 bits"),
        ('hardware: {x: "a\\0"}', "the text 'a\\x00'; expected a text without NUL"),
        ('hardware: {x: [{"a\\0": 1}]}', "the key 'a\\x00'; expected a text without NUL"),
        ("hardware: {x: {y: on}}", "'on' (YAML 1.1 and 1.2 read it differently)"),
        ("deadlines: {copy: 0}", "expected more than nothing and at most 7 days"),
        ("deadlines: {copy: 8000m, build: 200h}", "the text '200h'; expected more than nothing"),
        ("deadlines: {copy: soon}", "such as 90s, 10m, 2h"),
        ("deadlines: {copy: .nan}", "the number .nan"),
        ("verify: {settle: -1}", "the number -1; expected at most 7 days"),
        ("specialisation: ../x", "expected a name of letters"),
        ("specialisation: [x]", "expected a name of letters"),
        ("verify: {suites: [../x]}", "expected a path relative to the fleet's root"),
        ("verify: {suites: [/x]}", "expected a path relative to the fleet's root"),
        ("verify: {suites: [nowhere]}", "the suite 'nowhere', which does not exist"),
        (
            "machine_id: 5",
            '32 hexadecimal digits, in quotes; as a text it is written in quotes: "5"',
        ),
        (
            "tags: [&a x, !!str y]",
            "3:18: a YAML tag 'tag:yaml.org,2002:str'; expected plain values",
        ),
        ("<<: {tags: [x]}", "3:5: a merge key '<<'; expected a template"),
        ("tags: [*a]", "3:12: an unknown alias '*a'; expected an anchor &a above it"),
        ("tags: &a [*a]", "3:15: an alias '*a' inside of what it stands for"),
        ("tags: [x]\n    tags: [y]", "4:5: the key 'tags' a second time (the other is at"),
        ("tags: [x\n", "5:1: not YAML: did not find expected ',' or ']'"),
        ("tags: [x\n", "while parsing a flow sequence from line 3 on; expected YAML (look for"),
        ("\ttags: [x]", "3:5: a tab where YAML wants spaces; expected indentation with spaces"),
        ("tags: [x]\n...\n---\nb: c", "5:1: a second YAML document; expected one document a file"),
    ],
)
def test_a_mistake_is_told(mistakes: Told, settings: str, told: str) -> None:
    """The line says where, what and what instead."""
    lines = mistakes(h=host(settings))
    assert any(line.startswith("inventory/h.yaml:") and told in line for line in lines), lines


@pytest.mark.parametrize(
    "field", ["address", "connect: {user", "connect: {jump", "connect: {identity"]
)
@pytest.mark.parametrize("value", ["-oProxyCommand=x", "a\\nb", "a\\0b", "", " a"])
def test_no_text_can_become_an_option(mistakes: Told, field: str, value: str) -> None:
    """What reaches a command line has no leading dash, no line ends and no NUL."""
    assert mistakes(h=host(f'{field}: "{value}"' + ("}" if "{" in field else "")))


@pytest.mark.parametrize(
    "name", ["Web", "-a", "a-", "a_b", "a.b", "a" * 64, "and", "not", "here", "ü", "-oX", "a b"]
)
def test_host_names_follow_rfc_1123(mistakes: Told, name: str) -> None:
    """A host's name is one label in lower case, and no word of ours."""
    (line,) = mistakes(h=f'hosts:\n  "{name}":\n')
    assert line.startswith("inventory/h.yaml:2:3: the host name ")


@pytest.mark.parametrize(
    "name", ["on", "yes", "007", "5", "1.5", "null", "~", "true", "[a]", "{a: b}"]
)
def test_a_key_that_is_no_text(mistakes: Told, name: str) -> None:
    """What YAML does not read as a text is to be quoted, and is not guessed at."""
    (line, *_) = mistakes(h=f"hosts:\n  ? {name}\n  : \n")
    assert "as a key; expected a text" in line
    assert name[0] in "[{" or f'in quotes: "{name}":' in line


def test_a_quoted_key_is_a_name(mistakes: Told, write: Callable[..., Path]) -> None:
    """A key such as ``on`` is a host's name once it is quoted, as the mistake advises."""
    assert list(load(write(h='hosts:\n  "on":\n')).fleet.hosts) == ["on"]


def test_all_mistakes_at_once_sorted_by_place(mistakes: Told) -> None:
    """Nobody has to run a check five times."""
    lines = mistakes(
        b="hosts:\n  web1: {tags: 5}\n  web1: {}\n",
        a="fleet: {naem: x}\nlimits: {builds: 0}\n",
        c="hosts: [\n",
    )
    places = [line.split(": ")[0] for line in lines]
    assert places == [
        "inventory/a.yaml:1:9",
        "inventory/a.yaml:2:18",
        "inventory/b.yaml:2:16",
        "inventory/b.yaml:3:3",
        "inventory/c.yaml:2:1",
    ]


def test_an_error_shows_all_and_says_what_to_do(write: Callable[..., Path]) -> None:
    """The message has each mistake on a line of its own; the exit code is that of usage."""
    with pytest.raises(InventoryError) as caught:
        load(write(h="hosts:\n  Web:\n  Wob:\n"))
    assert caught.value.exit_code == 2
    assert caught.value.message.splitlines()[0] == "the inventory has 2 mistakes"
    assert "\n  inventory/h.yaml:2:3: the host name 'Web'" in caught.value.message
    assert "orchestrator check --inventory" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("section", "what"),
    [("hosts", "host"), ("templates", "template"), ("users", "user"), ("features", "feature")],
)
def test_a_name_twice_over_two_files(mistakes: Told, section: str, what: str) -> None:
    """A name given twice in two files is a mistake that names both places."""
    lines = mistakes(a=f"{section}:\n  x1: {{}}\n", b=f"\n{section}:\n  x1: {{}}\n")
    told = f"b.yaml:3:3: the {what} 'x1' a second time (the other is at inventory/a.yaml:2:3)"
    assert any(told in line for line in lines)


def test_a_single_section_twice(mistakes: Told) -> None:
    """Defaults stand in one file, so that one place is to be read."""
    (line,) = mistakes(a="defaults: {}\nhosts: {a: }", b="defaults: {}")
    assert "inventory/b.yaml:1:1: the section 'defaults' a second time" in line
    assert "inventory/a.yaml:1:1" in line


@pytest.mark.parametrize("section", ["templates", "profiles"])
def test_cycles(mistakes: Told, section: str) -> None:
    """A cycle is told once, with all that are in it; what leads into it is not to blame."""
    (line,) = mistakes(
        h=f"{section}:\n  a: {{extends: b}}\n  b: {{extends: c}}\n  c: {{extends: b}}\n"
        "hosts: {h: }\n"
    )
    assert line.startswith("inventory/h.yaml:3:16: a cycle: 'b' → 'c' → 'b'")


def test_extending_oneself_is_a_cycle(mistakes: Told) -> None:
    """A template that extends itself is a cycle, and a mistake."""
    (line,) = mistakes(h="templates: {a: {extends: a}}\nhosts: {h: }\n")
    assert "a cycle: 'a' → 'a'" in line


def test_a_chain_that_nobody_could_follow(mistakes: Told) -> None:
    """A chain of more than 16 templates that extend each other is a mistake."""
    chain = "".join(f"  t{n}: {{extends: t{n + 1}}}\n" for n in range(30))
    assert "a chain of more than 16" in mistakes(h=f"templates:\n{chain}  t30:\nhosts: {{h: }}")[0]


def test_extends_stays_within_its_kind(mistakes: Told) -> None:
    """A profile extends a profile and no template."""
    (line,) = mistakes(h="templates: {a: }\nprofiles: {b: {extends: a}}\nhosts: {h: }\n")
    assert "the unknown profile 'a'; expected one of b" in line


def test_a_users_profile_is_one_of_the_fleets(mistakes: Told) -> None:
    """A profile that a user names and nobody declares is a mistake with the nearest name."""
    (line,) = mistakes(
        h="users:\n  u:\n    profiles: [developper]\nprofiles: {developer: }\nhosts: {h: }\n"
    )
    assert "h.yaml:3:16: the unknown profile 'developper'; expected one of developer" in line
    assert line.endswith("did you mean 'developer'?")


def test_names_in_an_unreadable_file_are_not_called_unknown(mistakes: Told) -> None:
    """One broken file is one mistake, and not one for each name that it would have declared."""
    (line,) = mistakes(a="templates: [", b="hosts: {h: {template: box}}")
    assert line.startswith("inventory/a.yaml:")


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "hosts:\n", "hosts: {}\n", "fleet: {name: x}\n"]
)
def test_an_empty_inventory_shows_the_smallest_one(mistakes: Told, text: str) -> None:
    """Who begins is shown the three lines to begin with."""
    (line,) = mistakes(h=text)
    assert "no hosts" in line
    assert "hosts:\n        web1:\n          address: 10.0.0.5" in line


def test_no_inventory_at_all(tmp_path: Path) -> None:
    """A folder without inventory/ is told like an empty one."""
    with pytest.raises(InventoryError, match="no hosts"):
        load(tmp_path)


def test_an_inventory_that_is_no_folder(tmp_path: Path) -> None:
    """A file in its place is told."""
    (tmp_path / "inventory").touch()
    with pytest.raises(InventoryError, match=r"inventory/: unreadable \(Not a directory\)"):
        load(tmp_path)


def test_a_file_that_is_a_list(mistakes: Told) -> None:
    """A file is a mapping of sections."""
    (line,) = mistakes(h="- a\n- b\n")
    assert line.startswith("inventory/h.yaml:1:1: a list; expected an inventory file: a mapping")


@pytest.mark.parametrize("hosts", ["5", "[web1]", "text"])
def test_hosts_that_are_no_mapping(mistakes: Told, hosts: str) -> None:
    """A section is a mapping from names."""
    (line,) = mistakes(h=f"hosts: {hosts}\n")
    assert "expected a mapping from each host's name to what it is" in line


def test_keys_without_a_value_are_empty(write: Callable[..., Path]) -> None:
    """A list, mapping or section of which every line is commented out is no mistake."""
    text = "users:\ndefaults:\nhosts:\n  web1:\n    tags:\n    connect:\n    hardware:\n"
    host = load(write(h=text)).fleet.hosts["web1"]
    assert (host.tags, host.hardware, host.connect.port) == ((), {}, None)


def test_many_names_are_listed_in_part(mistakes: Told) -> None:
    """Where very many names are allowed, a mistake lists some of them and their number."""
    tags = "".join(f"  t{n:02}: {{}}\n" for n in range(30))
    (line,) = mistakes(h=f"templates:\n{tags}hosts: {{h: {{template: t5}}}}\n")
    assert "t18, t19, … (30 in all); did you mean" in line


def test_a_private_key_is_not_shown(write: Callable[..., Path]) -> None:
    """Whoever pastes the wrong half of a key does not find it in a log."""
    key = "-----BEGIN OPENSSH PRIVATE KEY-----\\nc2VjcmV0\\n"
    with pytest.raises(InventoryError) as caught:
        load(write(h=f'users: {{a: {{ssh_keys: ["{key}"]}}}}\nhosts: {{h: }}\n'))
    assert "PRIVATE" not in caught.value.message
    assert "c2VjcmV0" not in caught.value.message


def test_public_keys_are_read(write: Callable[..., Path]) -> None:
    """The forms that ssh-keygen writes are right."""
    keys = [f"ssh-ed25519 {'A' * 68} me@x", f"sk-ssh-ed25519@openssh.com {'A' * 64}=="]
    keys.append(f"ecdsa-sha2-nistp256 {'B' * 100}=")
    listed = "".join(f"    - {key}\n" for key in keys)
    fleet = load(write(h=f"users:\n  a:\n   ssh_keys:\n{listed}hosts: {{h: }}\n")).fleet
    assert fleet.users["a"].ssh_keys == tuple(keys)


def test_very_many_mistakes_are_counted(write: Callable[..., Path]) -> None:
    """The message stays readable and says that there are more."""
    text = "hosts:\n" + "".join(f"  h{n}: {{x: 1}}\n" for n in range(MAX_MISTAKES + 50))
    with pytest.raises(InventoryError) as caught:
        load(write(h=text))
    assert len(caught.value.mistakes) == MAX_MISTAKES
    assert caught.value.message.endswith("… and 50 more")
