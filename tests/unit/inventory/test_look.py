"""What is looked at is what would be read, however little of it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.inventory import again, look, made
from orchestrator.inventory import root as inventory_root
from orchestrator.inventory import sections as inventory_sections
from orchestrator.inventory.load import load

Write = Callable[..., Path]

FLEET = """\
defaults: {connect: {user: deploy}, tags: [all]}
templates: {box: {tags: [box]}}
"""
ENTRY = """\
  h{n}:   # of rack {n}
    template: box
    tags: [rack{n}]
    hardware:
      cpu: amd
"""
LAST = """\
  last:
    address: 10.0.0.9
    build: h3
"""
AFTER = "profiles:\n  web: {tags: [w]}\n"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is remembered in a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def written(many: int = 60, last: str = LAST) -> str:
    """A file of many hosts that are written out one by one, and of a section behind them."""
    return "hosts:\n" + "".join(ENTRY.format(n=n) for n in range(many)) + last + AFTER


def drafts_read(root: Path, monkeypatch: pytest.MonkeyPatch, host: str) -> list[str]:
    """The texts that are read as YAML in order to say what holds for a host."""
    read: list[str] = []
    compose = inventory_sections.compose

    def noted(text: str, *others: object) -> object:
        read.append(text)
        return compose(text, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(inventory_sections, "compose", noted)
    again.origins(root, host)
    return read


@pytest.mark.parametrize("host", ["h0", "h1", "h59", "last"])
def test_again_of_many_has_the_values_and_places_that_the_whole_inventory_gives(
    write: Write, host: str
) -> None:
    """The first look and each one after it say the same: values, files, lines, layers."""
    root = write(fleet=FLEET, hosts=written())
    wanted = load(root).origins(host)
    assert again.origins(root, host) == wanted
    assert inventory_root.known(root) is not None
    assert again.origins(root, host) == wanted


def test_of_a_known_inventory_the_other_hosts_entries_are_not_read(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To show one host of many, the YAML of the others is not parsed."""
    root = write(fleet=FLEET, hosts=written())
    look.fleet(root)
    read = "".join(drafts_read(root, monkeypatch, "h7"))
    assert "rack7]" in read
    assert "rack8]" not in read
    assert "web:" in read


@pytest.mark.parametrize(
    ("last", "host"),
    [
        (LAST, "last"),  # is built on another one, which must be there
        ("  last: &one\n    address: 10.0.0.9\n", "h2"),  # an anchor
        ("  'last':\n    address: 10.0.0.9\n", "last"),
        ("  last: {address: 10.0.0.9, tags: [\nx, y]}\n", "last"),  # not indented, in brackets
    ],
)
def test_hosts_that_need_others_and_other_ways_to_write_them_are_read_alike(
    write: Write, last: str, host: str
) -> None:
    """References to other hosts, anchors, quotes and brackets lead to the same values."""
    root = write(fleet=FLEET, hosts=written(last=last))
    look.fleet(root)
    assert again.origins(root, host) == load(root).origins(host)


def test_hosts_on_one_line_are_shown_right(write: Write) -> None:
    """Entries that share a line, in braces, are read with the whole file."""
    hosts = ", ".join(f"h{n}: {{template: box, tags: [t{n}]}}" for n in range(60))
    root = write(fleet=FLEET, hosts=f"hosts: {{{hosts}}}\n")
    look.fleet(root)
    assert again.origins(root, "h5") == load(root).origins("h5")


def test_a_member_of_a_class_beside_many_hosts_is_shown_right(write: Write) -> None:
    """A class's entry is kept where one of its members is asked for."""
    root = write(fleet=FLEET, hosts=written(last="  till:\n    count: 3\n    template: box\n"))
    look.fleet(root)
    assert again.origins(root, "till-2") == load(root).origins("till-2")
    assert again.origins(root, "till") == load(root).origins("till")


def test_a_host_that_is_not_there_is_refused_as_by_the_whole_inventory(write: Write) -> None:
    """An unknown host is an error, be the inventory known or not."""
    root = write(fleet=FLEET, hosts=written())
    for _ in range(2):
        with pytest.raises(UsageError, match="no host 'h77'"):
            again.origins(root, "h77")


def test_a_fleet_that_was_looked_at_is_read_once(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second look reads no YAML, and gives the same fleet."""
    root = write(fleet=FLEET, hosts=written())
    first = look.fleet(root)
    monkeypatch.setattr(again, "load", None)
    assert look.fleet(root) == first


def test_a_look_neither_writes_a_stale_fleet_json_nor_hides_it(write: Write) -> None:
    """Who deploys after a look still finds that fleet.json is stale."""
    root = write(fleet=FLEET, hosts=written())
    stale = root / "inventory/fleet.json"
    stale.write_text("{}\n")
    assert look.fleet(root) == load(root).fleet
    assert stale.read_text() == "{}\n"
    assert inventory_root.recall(root) is None
    assert inventory_root.known(root) is not None


def test_an_edit_is_seen_at_the_next_look(write: Write) -> None:
    """What is remembered counts only for the files that it was read from."""
    root = write(fleet=FLEET, hosts=written())
    look.fleet(root)
    write(hosts=written().replace("[rack7]", "[rack7, cold]"))
    assert "cold" in look.fleet(root).hosts["h7"].tags
    assert again.origins(root, "h7") == load(root).origins("h7")


def test_hosts_of_one_make_are_what_each_would_be_alone(write: Write) -> None:
    """What a host comes to does not depend on which others are made beside it."""
    root = write(
        fleet=FLEET + "users: {ada: {}}\nfeatures: {f: {}, g: {}}\n",
        hosts=written(12),
        more="hosts:\n"
        "  a: {template: box, users: [ada], features: [f], hardware: {n: [1, {b: 2}]}}\n"
        "  b: {template: box, users: [ada], features: [g], connect: {port: 2222}, build: target}\n"
        "  c: {template: box, build: c, state_version: '25.05', address: c.example}\n"
        f"  d: {{machine_id: '{'0' * 32}', attr: other, roles: [r], deadlines: {{copy: 5}}}}\n",
    )
    read = load(root)
    for name, tree in read.resolved.items():
        assert made.hosts_of({name: tree}, root) == {name: read.fleet.hosts[name]}
    assert read.fleet.hosts["b"].connect.port == 2222
    assert read.fleet.hosts["h1"].connect.port is None


def test_generate_writes_once_and_reads_nothing_where_all_is_as_it_was(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second `inventory generate` finds fleet.json fresh without reading YAML."""
    root = write(fleet=FLEET, hosts=written())
    assert again.generate(root)
    assert not again.generate(root)
    monkeypatch.setattr(again, "load", None)
    assert not again.generate(root)


def test_generate_writes_a_fleet_json_that_was_removed_or_edited(write: Write) -> None:
    """What is known of the YAML files hides no other hand's change to fleet.json."""
    root = write(fleet=FLEET, hosts=written())
    again.generate(root)
    file = root / "inventory/fleet.json"
    said = file.read_text()
    file.write_text("{}\n")
    assert again.generate(root)
    assert file.read_text() == said
    file.unlink()
    assert again.generate(root)
    assert file.read_text() == said
