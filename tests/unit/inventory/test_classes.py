"""Many equal machines in one entry: who they are, and what is wrong with how they are said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet
from orchestrator.core.members import HostEntry, Hosts, Member, entries_of
from orchestrator.core.values import replace
from orchestrator.inventory.fleet_json import fleet_json
from orchestrator.inventory.load import Inventory, load
from orchestrator.inventory.select import complete, select
from orchestrator.inventory.tree import InventoryError

Write = Callable[..., Path]
Loaded = Callable[..., Inventory]
Mistakes = Callable[..., list[str]]

KIOSKS = """\
hosts:
  web1:
  kiosk: {count: 3, address: "kiosk-{n}.example", tags: [public], connect: {port: 2222}}
  web2:
"""


def names(fleet: Fleet, *selectors: str) -> list[str]:
    """The names of the hosts that selectors mean."""
    return [host.name for host in select(fleet, selectors)]


def test_members_are_hosts_in_the_place_of_their_entry(loaded: Loaded) -> None:
    """Each has its own name and address, and the attribute of the class; the rest is shared."""
    hosts = loaded(h=KIOSKS).fleet.hosts
    assert list(hosts) == ["web1", "kiosk-1", "kiosk-2", "kiosk-3", "web2"]
    second = hosts["kiosk-2"]
    assert (second.name, second.of, second.attr) == ("kiosk-2", "kiosk", "kiosk")
    assert (second.connect.address, second.connect.port) == ("kiosk-2.example", 2222)
    assert second.tags == ("public",)
    assert hosts["web1"].of is None
    assert "kiosk" not in hosts


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{count: 2}", {"k-1": "k-1", "k-2": "k-2"}),
        ("{count: 2, first: 0}", {"k-0": "k-0", "k-1": "k-1"}),
        ('{count: 2, first: 9, name: "till-{n:03}"}', dict.fromkeys(("till-009", "till-010"))),
        ('{count: 1, name: "{n}", address: "10.0.0.{n}"}', {"1": "10.0.0.1"}),
        ('{count: 1, address: "k{n:02}.rack{n}"}', {"k-1": "k01.rack1"}),
    ],
)
def test_names_and_addresses_are_patterns(
    loaded: Loaded, entry: str, expected: dict[str, str | None]
) -> None:
    """``{n}`` is a member's number, with zeros before it where that is said."""
    hosts = loaded(h=f"hosts: {{k: {entry}}}").fleet.hosts
    assert {n: h.connect.address for n, h in hosts.items()} == {
        name: address or name for name, address in expected.items()
    }


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("{count: 0}", "the number 0; expected a whole number from 1 to 100000"),
        ("{count: 100001}", "the number 100001; expected a whole number from 1 to 100000"),
        ("{count: 2, address: k.example}", "the address 'k.example' of many machines"),
        ("{count: 2, machine_id: 0123456789abcdef0123456789abcdef}", "one machine-id for many"),
        ('{count: 9, name: "-{n}"}', "the member's name '-9'"),
        ("{count: 2, from: a.csv}", "'count' beside 'from'"),
        ('{address: "k-{n}"}', "the address 'k-{n}' of one host"),
        ("{first: 3}", "'first' without 'count'"),
        ('{name: "k{n}"}', "'name' without 'count'"),
        ("{from: ../hosts.csv}", "the text '../hosts.csv'"),
        ("{from: missing.csv}", "inventory/missing.csv: No such file"),
        ("{from: {command: []}}", "an empty command"),
        ("{from: {command: [true-to-life]}}", "the command was never run"),
        ('{count: 2, address: "k-{n:x}"}', "the text 'k-{n:x}'"),
        ('{count: 2, address: "{n.__class__}"}', "the text '{n.__class__}'"),
        ('{count: 200, address: "10.0.0.{n:03}"}', "the member's address '10.0.0.001'"),
        ('{count: 256, address: "10.0.0.{n}"}', "the member's address '10.0.0.256'"),
        ("{from: fleet.json}", "not fleet.json, which is written"),
    ],
)
def test_what_is_wrong_with_a_class_is_said_with_its_line(
    mistakes: Mistakes, entry: str, told: str
) -> None:
    """Each mistake names the file and the line, and says what is there."""
    found, *_ = mistakes(h=f"hosts:\n  web1:\n  k: {entry}")
    assert found.startswith("inventory/h.yaml:3")
    assert told in found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("hosts:\n  k: {count: 2}\n  k-2:", "h.yaml:2:3: the host 'k-2' a second time"),
        ("hosts:\n  k: {count: 2}\n  j: {count: 1, name: 'k-{n}'}", "the host 'k-1' a second"),
        ("hosts:\n  k: {count: 2}\n  web: {address: k-2}", "at the address of 'k-2'"),
        ("hosts:\n  k: {count: 9, address: '10.0.0.{n}'}\n  a: {address: 10.0.0.010}",
         "the host 'a' at the address of 'k-8'"),
        ("hosts:\n  k: {count: 2}\n  web: {attr: k}", "'web' has the attribute 'k' of a class"),
        ("hosts:\n  k: {count: 2}\n  j: {count: 2, attr: k}", "the attribute 'k' of a class"),
        ("hosts:\n  k: {count: 2}\n  web: {build: k}", "'k', which is a class of hosts"),
        ("hosts:\n  k: {count: 2}\n  web: {build: k-2}", "'k-2', which is one of the class 'k'; e"),
        ("hosts:\n  k: {count: 2}\n  web: {build: k-3}", "the unknown host 'k-3'"),
    ],
)  # fmt: skip
def test_members_are_held_against_all_other_hosts(mistakes: Mistakes, text: str, told: str) -> None:
    """A name, an address or an attribute that another host has is a mistake."""
    assert any(told in line for line in mistakes(h=text))


CSV = """\
name,address,port,user,machine_id,tags
till-1,10.0.0.1,,,,a;b

till-2,"10.0.0.2",2200,ops,0123456789abcdef0123456789abcdef,
 till-3 ,,,,,c d
"""


def listed(write: Write, text: str, name: str = "tills.csv") -> Path:
    """A fleet with a class whose members a file lists."""
    root = write(h=f"hosts:\n  till: {{from: {name}, tags: [a], connect: {{port: 1}}}}")
    (root / "inventory" / name).write_text(text)
    return root


def test_a_csv_file_lists_members(write: Write) -> None:
    """An empty cell says nothing, so that what the class says holds; blank lines are none."""
    hosts = load(listed(write, CSV)).fleet.hosts
    assert list(hosts) == ["till-1", "till-2", "till-3"]
    one, two, three = hosts.values()
    assert (one.connect.address, one.connect.port, one.tags) == ("10.0.0.1", 1, ("a", "b"))
    assert (two.connect.port, two.connect.user) == (2200, "ops")
    assert two.machine_id == "0123456789abcdef0123456789abcdef"
    assert (three.connect.address, three.tags) == ("till-3", ("a", "c", "d"))


def test_json_lists_members_as_csv_does(write: Write) -> None:
    """Objects with the same keys; ``null`` is an empty cell."""
    text = json.dumps(
        [
            {"name": "till-1", "address": "10.0.0.1", "tags": ["a", "b"], "user": None},
            {"name": "till-2", "port": 2200},
        ],
        indent=1,
    )
    one, two = load(listed(write, text, "tills.json")).fleet.hosts.values()
    assert (one.connect.address, one.tags, one.connect.user) == ("10.0.0.1", ("a", "b"), None)
    assert two.connect.port == 2200


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "tills.csv:1: nothing"),
        ("address\n", "tills.csv:1: no column 'name'"),
        ("name,adress\n", "tills.csv:1: the unknown column 'adress'"),
        ("name,name\n", "tills.csv:1: the column 'name' a second time"),
        ("name\n", "tills.csv: no member"),
        ("name,port\nt,0\n", "tills.csv:2: port: '0'"),
        ("name,port\na,1\nt,\u0663\n", "tills.csv:3: port"),
        ("name,port\nt\n", "tills.csv:2: 1 cells, under a header of 2"),
        ("name,address\nt,-oProxyCommand=x\n", "tills.csv:2: address: '-oProxyCommand=x'"),
        ("name,address\nt,a-{n}\n", "tills.csv:2: address: 'a-{n}'"),
        ("name,machine_id\nt,xyz\n", "tills.csv:2: machine_id: 'xyz'"),
        ("name,tags\nt,a;-b\n", "tills.csv:2: tags: '-b'"),
        ("name\nUPPER\n", "tills.csv:2: name: 'UPPER'"),
        ("name,address\n,10.0.0.1\n", "tills.csv:2: a member without a name"),
        ('name\n"t\n', "not CSV"),
        ('name,address\nt,"10.0.0.1\n2"\n', r"tills.csv:3: address: '10.0.0.1\n2'"),
        ("name\nt\u2028\n", r"name: 't\u2028'"),
        ("name\nt\nu\nt\n", "tills.csv:4: the host 't' a second time"),
        ("name,address\nt,a\nu,A.\n", "tills.csv:3: the host 'u' at the address of 't'"),
        ("[{}]", "tills.csv:1: a member without a name"),
        ('[\n{"name": "t"},\n{"name": "u", "port": "x"}]', "tills.csv:3: port: 'x'"),
        ('[{"name": "t", "shell": "zsh"}]', "the unknown key 'shell'"),
        ('[{"name": 7}]', "name: '7'"),
        ('[{"name": "t"}', "not a list of objects in JSON"),
        ('{"name": "t"}', "not a list of objects in JSON"),
        ('[{"name": "t"},]', "not a list of objects in JSON"),
        ('[{"name": "t", "name": "u"}]', "each key once"),
        ('[["t"]]', "not a list of objects in JSON"),
        ("[" * 100_000, "not a list of objects in JSON"),
    ],
)
def test_each_cell_is_checked_and_named_by_file_and_line(
    write: Write, text: str, told: str
) -> None:
    """What a host's key would be refused for is refused in a cell, and where it stands is said."""
    with pytest.raises(InventoryError) as caught:
        load(listed(write, text))
    assert told in str(caught.value)


def test_a_list_outside_of_the_fleet_is_not_followed(write: Write, tmp_path: Path) -> None:
    """A link in the inventory's folder leads to no other file of this machine."""
    (tmp_path / "other.csv").write_text("name\nt\n")
    root = write(h="hosts: {till: {from: tills.csv}}")
    (root / "inventory/tills.csv").symlink_to(tmp_path / "other.csv")
    with pytest.raises(InventoryError, match=r"inventory/tills\.csv"):
        load(root)


def test_selectors_mean_classes_and_members(loaded: Loaded) -> None:
    """A class's name means its members, wherever a host's name could stand."""
    fleet = loaded(h=KIOSKS).fleet
    every = ["kiosk-1", "kiosk-2", "kiosk-3"]
    assert names(fleet, "kiosk") == names(fleet, "class:kiosk") == names(fleet, "kiosk-*") == every
    assert names(fleet, "kiosk-3", "web1") == ["web1", "kiosk-3"]
    assert names(fleet, "kiosk and not kiosk-2") == ["kiosk-1", "kiosk-3"]
    assert names(fleet, "not class:*") == ["web1", "web2"]
    assert complete(fleet, "class:") == ["class:kiosk"]
    with pytest.raises(UsageError, match="no host matches 'kiosk-4'"):
        select(fleet, ("kiosk-4",))


def test_what_there_is_is_counted_by_hosts_and_classes(loaded: Loaded) -> None:
    """A selector that means nothing is answered with the hosts, and with the classes apart."""
    with pytest.raises(UsageError) as caught:
        names(loaded(h=KIOSKS).fleet, "class:till")
    assert caught.value.hint is not None
    assert caught.value.hint.split("\n") == [
        "hosts: web1, kiosk-1, kiosk-2, kiosk-3, web2",
        "tags: public",
        "classes: kiosk",
    ]


def test_a_plain_name_is_found_without_a_look_at_all_hosts(loaded: Loaded) -> None:
    """One of many members is made, and no other."""
    hosts = loaded(h="hosts: {k: {count: 5000}}").fleet.hosts
    assert isinstance(hosts, Hosts)
    made = hosts["k-4711"]
    assert hosts["k-4711"] is made
    assert names(Fleet("f", "/f", "/f", hosts), "k-4711") == ["k-4711"]


def test_nix_is_told_of_a_class_once(loaded: Loaded) -> None:
    """No member is in ``fleet.json``: how many there are, and where, changes no byte of it."""
    few = fleet_json(loaded(h=KIOSKS))
    many = fleet_json(loaded(h=KIOSKS.replace("3,", "400,").replace(".example", ".lan")))
    assert few == many
    said = json.loads(few)
    assert list(said["hosts"]) == ["web1", "web2"]
    assert list(said["classes"]) == ["kiosk"]
    assert said["classes"]["kiosk"]["tags"] == ["public"]


def test_an_inventory_without_classes_says_to_nix_what_it_always_said(loaded: Loaded) -> None:
    """Nobody's ``fleet.json`` becomes stale who has no class."""
    assert "classes" not in json.loads(fleet_json(loaded(h="hosts: {web1: }")))


def test_a_members_values_name_where_they_were_said(write: Write) -> None:
    """What a member says for itself names the line of the list; the rest, its class's entry."""
    found = {one.key: str(one.origin) for one in load(listed(write, CSV)).origins("till-2")}
    assert found["address"] == "inventory/tills.csv:4 (host till-2)"
    assert found["connect.port"] == "inventory/tills.csv:4 (host till-2)"
    assert found["tags"] == "inventory/h.yaml:2 (host till)"
    assert not {"from", "count", "first", "name"} & found.keys()


def test_a_member_may_be_verified_by_checks_of_its_own(write: Write) -> None:
    """``hosts/CLASS`` holds for all members, ``hosts/MEMBER`` for one."""
    root = write(h="hosts: {k: {count: 2}}")
    for folder in ("k", "k-2"):
        (root / "hosts" / folder).mkdir(parents=True)
        (root / "hosts" / folder / "test_it.py").touch()
    inventory = load(root)
    hosts = inventory.fleet.hosts
    assert hosts["k-1"].verify.suites == ("hosts/k/test_it.py",)
    assert hosts["k-2"].verify.suites == ("hosts/k/test_it.py", "hosts/k-2/test_it.py")
    shown = [str(one.origin) for one in inventory.origins("k-2") if one.key == "verify.suites"]
    assert shown == ["hosts/k/test_it.py (convention)", "hosts/k-2/test_it.py (convention)"]


MEMBERS = st.lists(
    st.builds(
        Member,
        name=st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True),
        address=st.integers(1, 250).map(lambda n: f"10.0.0.{n}"),
        port=st.none() | st.integers(1, 65535),
        user=st.none() | st.sampled_from(["root", "ops"]),
        jump=st.none() | st.just("gate"),
        machine_id=st.none() | st.just("0123456789abcdef0123456789abcdef"),
        tags=st.lists(st.sampled_from(["a", "b", "c"]), unique=True).map(tuple),
    ),
    min_size=1,
    max_size=4,
    unique_by=(lambda one: one.name, lambda one: one.address),
)
SHARED = "template: box, tags: [a, z], connect: {port: 7, user: shared}, verify: {retries: 9}"
REST = "templates: {box: {tags: [t], guard: {confirm: 5}}}\ndefaults: {connect: {sudo: false}}\n"


@given(MEMBERS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
def test_members_are_what_the_same_hosts_written_out_are(
    write: Write, members: list[Member]
) -> None:
    """Of all values only the class and its attribute tell a member from a host of its own."""
    rows = [
        {k: v for k in Member.__slots__ if (v := getattr(one, k)) and k != "line"}
        for one in members
    ]
    root = write(h=f"{REST}hosts:\n  class0: {{from: list.json, {SHARED}}}\n")
    (root / "inventory/list.json").write_text(json.dumps(rows))
    found = dict(load(root).fleet.hosts)
    entries = []
    for one in members:
        ways = {"port": 7, "user": "shared"} | {
            k: v for k in ("port", "user", "jump") if (v := getattr(one, k))
        }
        entry = {
            "template": "box",
            "tags": ["a", "z", *one.tags],
            "connect": ways,
            "verify": {"retries": 9},
            "address": one.address,
        }
        entry |= {"machine_id": one.machine_id} if one.machine_id else {}
        entries.append(f"  {one.name}: {json.dumps(entry)}\n")
    written = load(write(h=REST + "hosts:\n" + "".join(entries))).fleet.hosts
    assert {name: replace(one, of=None, attr=name) for name, one in found.items()} == dict(written)


def test_hosts_by_class_are_a_mapping_like_any_other(loaded: Loaded) -> None:
    """Hosts by class equal a plain mapping of the same hosts, and have their entries."""
    hosts = loaded(h=KIOSKS).fleet.hosts
    assert hosts == dict(hosts)
    assert len(hosts) == 5
    assert isinstance(hosts, Hosts)
    assert hosts == Hosts(hosts.entries)
    assert hosts != Hosts(())
    assert hosts.of_class("nobody") == ()
    assert repr(hosts) == f"Hosts({hosts.entries!r})"
    assert entries_of(dict(hosts))[1] == HostEntry(hosts["kiosk-1"])
