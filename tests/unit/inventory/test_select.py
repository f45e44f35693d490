"""Selectors: which hosts are meant, and how a wrong one is told."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import UsageError
from orchestrator.core.host import Connect, Fleet, Host
from orchestrator.inventory.select import (
    And,
    Atom,
    Not,
    Or,
    Selector,
    complete,
    matches,
    parse,
    select,
)


def _host(name: str, template: str | None = None, **lists: tuple[str, ...]) -> Host:
    return Host(name=name, attr=name, connect=Connect(name), template=template, **lists)  # type: ignore[arg-type]


HOSTS = (
    _host("p620", "workstation", tags=("desk", "amd"), roles=("cache",), profiles=("dev",)),
    _host("razer", "laptop", tags=("portable", "nvidia"), features=("printing",)),
    _host("samsung", "laptop", tags=("portable",), features=("printing",)),
    _host("p510", "server", tags=("rack", "nvidia"), profiles=("admin", "dev")),
    _host("bare"),
)
FLEET = Fleet("f", "/f", "/f", {host.name: host for host in HOSTS})

ATOMS = [
    *(Atom(host.name) for host in HOSTS),
    *map(Atom, ("p*", "*", "?azer", "[ps]*", "[!p]*")),
    *(Atom(name, "tag") for name in ("desk", "portable", "nvidia", "n*", "*")),
    *(Atom(name, "template") for name in ("laptop", "server", "*er")),
    *(Atom("dev", "profile"), Atom("cache", "role"), Atom("printing", "feature")),
]
selectors: st.SearchStrategy[Selector] = st.recursive(
    st.sampled_from(ATOMS),
    lambda inner: st.one_of(
        st.builds(Not, inner), st.builds(And, inner, inner), st.builds(Or, inner, inner)
    ),
    max_leaves=12,
)


def names(*texts: str) -> list[str]:
    """The names of the hosts that selectors mean."""
    return [host.name for host in select(FLEET, texts)]


def meant(selector: Selector) -> set[str]:
    """The names of the hosts that match."""
    return {host.name for host in HOSTS if matches(selector, host)}


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], "p620 razer samsung p510 bare"),
        (["razer"], "razer"),
        (["p510", "p620"], "p620 p510"),
        (["p*"], "p620 p510"),
        (["?azer"], "razer"),
        (["[!p]*"], "razer samsung bare"),
        (["tag:portable"], "razer samsung"),
        (["tag:n*"], "razer p510"),
        (["template:laptop"], "razer samsung"),
        (["profile:dev"], "p620 p510"),
        (["role:cache"], "p620"),
        (["feature:printing"], "razer samsung"),
        (["not template:*"], "bare"),
        (["tag:nvidia and template:laptop"], "razer"),
        (["razer or tag:rack and profile:dev"], "razer p510"),
        (["(razer or tag:rack) and profile:dev"], "p510"),
        (["not razer and not samsung"], "p620 p510 bare"),
        (["not (razer or samsung)"], "p620 p510 bare"),
        (["not not razer"], "razer"),
        ([" ( razer )"], "razer"),
        (["razer", "razer", "tag:portable"], "razer samsung"),
    ],
)
def test_what_is_meant(texts: list[str], expected: str) -> None:
    """Names, globs and expressions mean their hosts, in the inventory's order, each once."""
    assert names(*texts) == expected.split()


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, "a name, a glob"),
        ("and", 1, "a name, a glob"),
        ("razer and", 10, "a name, a glob"),
        ("razer and or", 11, "a name, a glob"),
        ("not", 4, "a name, a glob"),
        ("()", 2, "a name, a glob"),
        ("razer p620", 7, "'and' or 'or'"),
        ("razer )", 7, "no '(' is open here"),
        ("(razer", 7, "')'"),
        ("(razer p620)", 8, "')'"),
        ("tga:desk", 1, "feature:, class:, fact:; did you mean 'tag'?"),
        ("x:desk", 1, "one of tag:"),
        (":desk", 1, "one of tag:"),
        ("tag:", 1, "letters, digits"),
        ("razer or a=b", 10, "letters, digits"),
        ("razer\n\x1bx", 8, "'and' or 'or'"),
    ],
)
def test_a_caret_points_at_what_cannot_be_read(text: str, column: int, expected: str) -> None:
    """The error names the column, shows it, and says what was expected."""
    with pytest.raises(UsageError) as caught:
        names(text)
    first, shown, caret = caught.value.message.split("\n")
    assert f"at column {column}: " in first
    assert expected in first
    assert shown == "  " + text.replace("\n", " ").replace("\x1b", " ")
    assert caret.index("^") == column + 1
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("razor", "no host matches 'razor'; did you mean 'razer'?"),
        ("z*", "no host matches 'z*'"),
        ("tag:dsek", "no host matches 'tag:dsek'; did you mean 'desk'?"),
        ("not tag:dsek", "no host matches 'tag:dsek'"),
        ("tag:p620", "no host matches 'tag:p620'"),
        ("not tag:p620", "no host matches 'tag:p620'"),
        ("not template:desk", "no host matches 'template:desk'"),
        ("razer or tag:dsek", "no host matches 'tag:dsek'"),
        ("razer and tag:rack", "no host matches 'razer and tag:rack'"),
        ("not *", "no host matches 'not *'"),
    ],
)
def test_what_matches_nothing_lists_what_exists(text: str, told: str) -> None:
    """A slip never means nobody, or everybody, in silence."""
    with pytest.raises(UsageError) as caught:
        names("p620", text)
    assert caught.value.message.startswith(told)
    assert caught.value.hint == (
        "hosts: p620, razer, samsung, p510, bare\n"
        "tags: desk, amd, portable, nvidia, rack\n"
        "templates: workstation, laptop, server\n"
        "profiles: dev, admin\n"
        "roles: cache\n"
        "features: printing"
    )


def test_a_large_fleet_is_listed_in_part() -> None:
    """In a large fleet a selector's hint lists twenty hosts and how many there are."""
    hosts = {f"h{n}": _host(f"h{n}") for n in range(50)}
    with pytest.raises(UsageError) as caught:
        select(Fleet("f", "/f", "/f", hosts), ["nobody"])
    assert str(caught.value.hint).endswith("h19, … (50 in all)")


@pytest.mark.parametrize("text", ["(" * 60 + "razer" + ")" * 60, "not " * 60 + "razer"])
def test_depth_is_bounded(text: str) -> None:
    """What nests beyond reason is refused, and no stack overflows."""
    with pytest.raises(UsageError, match="more than 50 levels deep"):
        parse(text)


def test_length_is_bounded() -> None:
    """A selector has an end; the longest chain within it is read."""
    assert names(" or ".join(["razer"] * 200)) == ["razer"]
    with pytest.raises(UsageError, match="at most 2000"):
        parse("a" * 2001)


@given(selectors)
def test_printing_and_parsing_are_inverse(selector: Selector) -> None:
    """A selector's text is read back as the same selector."""
    assert parse(str(selector)) == selector


@given(selectors, selectors)
def test_de_morgan(left: Selector, right: Selector) -> None:
    """Negation, conjunction and disjunction are those of logic."""
    assert meant(Not(And(left, right))) == meant(Or(Not(left), Not(right)))
    assert meant(Not(Or(left, right))) == meant(And(Not(left), Not(right)))
    assert meant(Not(Not(left))) == meant(left)


@given(selectors, selectors)
def test_several_arguments_are_a_union(left: Selector, right: Selector) -> None:
    """Two arguments mean what ``or`` means; the order of arguments changes nothing."""
    if meant(left) and meant(right):
        assert names(str(left), str(right)) == names(str(Or(left, right)))
        assert names(str(right), str(left)) == names(str(left), str(right))


@given(selectors)
def test_hosts_keep_the_inventorys_order(selector: Selector) -> None:
    """What is selected is a subsequence of the fleet."""
    if meant(selector):
        assert names(str(selector)) == [h.name for h in HOSTS if h.name in meant(selector)]


@given(st.text(max_size=30))
def test_any_text_is_read_or_told(text: str) -> None:
    """Nothing that is typed is a bug."""
    with contextlib.suppress(UsageError):
        names(text)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("ra", ["razer"]),
        ("t", ["tag:", "template:"]),
        ("tag:p", ["tag:portable"]),
        ("nobody:", []),
        ("not (ra", ["not (razer"]),
        ("razer a", ["razer and "]),
        ("razer or role:", ["razer or role:cache"]),
        ("a", []),
    ],
)
def test_completion(prefix: str, expected: list[str]) -> None:
    """A shell is offered what the last word could become."""
    assert complete(FLEET, prefix) == expected


def test_completion_of_nothing_offers_hosts_and_kinds() -> None:
    """Kinds that no host has are left out."""
    assert complete(FLEET, "") == [
        *FLEET.hosts,
        *("tag:", "template:", "profile:", "role:", "feature:"),
    ]
    assert complete(Fleet("f", "/f", "/f", {"bare": _host("bare")}), "") == ["bare"]
