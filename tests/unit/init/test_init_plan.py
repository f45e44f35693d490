"""Which hosts an inventory gets, of what sources say of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.init.model import (
    Evidence,
    Said,
    Source,
    Target,
    is_image,
    parse_target,
    read_ssh_options,
    template_of,
)
from orchestrator.init.plan import Proposal, Taken, only, propose, strangers
from orchestrator.init.write import problem
from orchestrator.inventory.references import spelled


def proposed(*attrs: str, sources: tuple[Source, ...] = (), taken: Taken | None = None) -> Proposal:
    """Propose hosts, held to what an inventory takes."""
    return propose(attrs, sources, problem, spelled, taken)


def source(**hosts: dict[str, str | int | tuple[str, ...]]) -> Source:
    """A source that says these values."""
    return Source(
        "somebody",
        {
            name: Evidence({key: Said(value, f"{name}.{key}") for key, value in values.items()})
            for name, values in hosts.items()
        },
    )


def values(proposal: Proposal, name: str) -> dict[str, object]:
    """A host's values, without who says them."""
    (host,) = [host for host in proposal.hosts if host.name == name]
    return {key: said.value for key, said in host.values.items()}


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("web1", Target("web1")),
        ("root@web1.example.org", Target("web1.example.org", "root")),
        ("ssh://root@web1:2222", Target("web1", "root", 2222)),
        ("ssh-ng://web1/", Target("web1")),
        ("10.0.0.5:22", Target("10.0.0.5", port=22)),
        ("[fe80::1%eth0]:22", Target("fe80::1%eth0", port=22)),
        ("fd00::5", Target("fd00::5")),
        ("", None),
        ("a b", None),
    ],
)
def test_where_a_host_answers_is_taken_apart(text: str, target: Target | None) -> None:
    """User, host and port are told apart in each form that tools take for a target."""
    assert parse_target(text) == target


@pytest.mark.parametrize(
    ("words", "found", "others"),
    [
        (["-p", "2222"], {"port": "2222"}, ()),
        (["-p2222", "-i", "/k"], {"port": "2222", "identity": "/k"}, ()),
        (["-o", "Port=22", "-oProxyJump=gate"], {"port": "22", "jump": "gate"}, ()),
        (["-J gate -A"], {"jump": "gate"}, ("-A",)),
        (["-o", "ControlMaster=no"], {}, ("-o ControlMaster=no",)),
        (["-p"], {}, ("-p",)),
    ],
)
def test_options_of_ssh_are_read_as_far_as_an_inventory_has_them(
    words: list[str], found: dict[str, str], others: tuple[str, ...]
) -> None:
    """Port, key and jump host are carried over; every other word is named, and none is lost."""
    assert read_ssh_options(words) == (found, others)


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("iso", True),
        ("isoimage", True),
        ("iso-gnome", True),
        ("nixosIso", True),
        ("sd-image-pi4", True),
        ("sd-card", True),
        ("installer-x86", True),
        ("kexec", True),
        ("isolde", False),
        ("misosoup", False),
        ("imagehost", False),
        ("web1", False),
    ],
)
def test_an_image_is_told_by_a_whole_word_of_its_name(name: str, image: bool) -> None:
    """Images and installers are none of the machines; a host that is called Isolde is."""
    assert is_image(name) is image


@pytest.mark.parametrize(
    ("name", "tags", "kind"),
    [
        ("thinkpad", (), "laptop"),
        ("ada-T480", (), "laptop"),
        ("web1", (), "server"),
        ("gaming-pc", (), "workstation"),
        ("hades", ("laptop",), "laptop"),
        ("web-desktop", (), None),
        ("hades", (), None),
    ],
)
def test_the_kind_of_a_machine_is_guessed_or_not_said(
    name: str, tags: tuple[str, ...], kind: str | None
) -> None:
    """Tags go before the name; where both kinds fit, or none, nothing is said."""
    found = template_of(name, tags)
    assert (found and found.value) == kind
    assert found is None or found.guessed


def test_what_is_said_first_counts_and_keeps_its_origin() -> None:
    """An address has its own source's login; tags of all sources count."""
    first = source(web1={"address": "10.0.0.5", "tags": ("a",)})
    second = source(web1={"address": "other", "user": "x", "port": 5, "tags": ("b",)})
    found = proposed("web1", sources=(first, second))
    assert values(found, "web1") == {
        "address": "10.0.0.5",
        "tags": ("a", "b"),
        "template": "server",
    }
    assert found.hosts[0].values["address"].origin == "web1.address"
    assert found.hosts[0].guessed == ("template",)


def test_names_that_are_none_get_one_and_keep_their_attribute() -> None:
    """Capitals, dots and underscores become a host's name; two never become the same one."""
    found = proposed("Foo_Bar", "foo-bar", "web.example.org", "web", "and", "db.example.org")
    assert {host.attr: host.name for host in found.hosts} == {
        "Foo_Bar": "foo-bar-2",
        "foo-bar": "foo-bar",
        "web.example.org": "web-example-org",
        "web": "web",
        "and": "and-2",
        "db.example.org": "db",
    }
    assert values(found, "db")["address"] == "db.example.org"


def test_what_no_inventory_takes_is_left_out_by_name() -> None:
    """An attribute with quotes or controls, an address like an option: named, and not written."""
    bad = source(web1={"address": "-oProxyCommand=x", "user": "a b", "tags": ("ok", "n\no")})
    found = proposed('a"b', "x\x1b[2J", "${y}", "web1", sources=(bad,))
    assert [one.attr for one in found.left_out] == ['a"b', "x\x1b[2J", "${y}"]
    assert values(found, "web1") == {"tags": ("ok",), "address": "web1", "template": "server"}
    assert len([one for one in found.notices if one.startswith("web1: ")]) == 3


def test_two_of_one_address_are_one_machine() -> None:
    """The second is left out and says whose address it has; another port is another machine."""
    here = source(a={"address": "127.0.0.2"}, b={"address": "127.2"}, c={"address": "127.0.0.2"})
    other = source(c={"port": 2222})
    merged = Source("all", {**here.hosts, "c": Evidence({**here.hosts["c"].values,
                                                         **other.hosts["c"].values})})  # fmt: skip
    found = proposed("a", "b", "c", sources=(merged,))
    assert [host.name for host in found.hosts] == ["a", "c"]
    assert [(one.attr, "a's address" in one.why) for one in found.left_out] == [("b", True)]


def test_whoever_deploys_is_at_localhost_and_no_host_is() -> None:
    """Two nodes that are deployed locally: neither gets the machine that one happens to sit on."""
    said = source(a={"address": "localhost", "user": "root"}, b={"address": "127.0.0.1"})
    vm = source(vm={"address": "localhost", "port": 2222})
    found = proposed("a", "b", "vm", sources=(said, vm))
    assert values(found, "a") == {"address": "a", "user": "root"}
    assert [host.address for host in found.hosts] == ["a", "b", "localhost"]
    assert [host.guessed for host in found.hosts] == [("address",), ("address",), ()]
    assert "whichever machine one sits on" in found.notices[0]


def test_a_container_does_not_get_the_machine_that_it_is_on() -> None:
    """A node with another profile at a machine's address is left out; the machine keeps it."""
    at = {"address": Said("10.0.0.1", "here")}
    on = Source("all", {"ci": Evidence(at, no_machine="it is on it"), "vhost": Evidence(at)})
    found = proposed("ci", "vhost", sources=(on,))
    assert [host.name for host in found.hosts] == ["vhost"]
    assert [(one.attr, one.why) for one in found.left_out] == [("ci", "it is on it")]


def test_what_the_inventory_has_is_not_proposed_again() -> None:
    """Known attributes are passed over; a new host gets no name and no address that is taken."""
    taken = Taken(frozenset({"web", "db"}), frozenset({"web"}), frozenset({("10.0.0.5", 22, "")}))
    found = proposed(
        "web", "db", "old", sources=(source(old={"address": "10.0.0.5"}),), taken=taken
    )
    assert [(host.attr, host.name) for host in found.hosts] == [("db", "db-2")]
    assert [one.attr for one in found.left_out] == ["old"]


def test_a_source_can_be_the_only_one() -> None:
    """What it has of the configurations, in their order; and what it has besides."""
    said = source(web1={}, gone={})
    assert only(said, ("db", "web1")) == ("web1",)
    assert [one.attr for one in strangers(said, ("db", "web1"))] == ["gone"]


@given(st.lists(st.text(max_size=80), max_size=8, unique=True))
def test_every_name_is_one_or_is_left_out(attrs: list[str]) -> None:
    """Whatever attributes a flake has: each is a host or left out, and names are unlike."""
    found = proposed(*attrs)
    names = [host.name for host in found.hosts]
    assert len(set(names)) == len(names)
    assert all(problem("name", name) is None for name in names)
    assert sorted([h.attr for h in found.hosts] + [o.attr for o in found.left_out]) == sorted(attrs)
