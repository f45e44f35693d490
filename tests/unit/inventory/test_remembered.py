"""A fleet that is remembered is the one that would be read, or it is read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.cli.opening import open_fleet
from orchestrator.cli.options import Target
from orchestrator.core.errors import UsageError
from orchestrator.core.host import Fleet
from orchestrator.core.values import replace
from orchestrator.inventory import root as inventory_root
from orchestrator.inventory.load import load
from orchestrator.inventory.root import key_of, recall, remember

Write = Callable[..., Path]

HOSTS = """\
fleet: {name: example}
users: {admin: {groups: [wheel]}}
templates: {box: {profiles: [dev]}}
profiles: {dev: {features: [f]}}
features: {f: {}}
limits: {builds: 3}
hosts:
  web1:
    {template: box, roles: [cache], tags: [t], users: [admin], state_version: "25.05",
     hardware: {cpu: amd, n: [1, 1.5, [2], {b: true, none: }]}, build: target,
     connect: {port: 22, user: deploy}, verify: {retries: 3, suites: [checks/test_one.py]}}
  a:
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep what is remembered in a folder of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def root(write: Write) -> Path:
    """A fleet with a suite on disk, read once."""
    root = write(hosts=HOSTS)
    (root / "checks").mkdir()
    (root / "checks/test_one.py").touch()
    opened(root)
    assert recall(root) is not None
    return root


def opened(root: Path) -> Fleet:
    """The fleet as a command opens it."""
    return open_fleet(Target(fleet=root))


def test_a_remembered_fleet_is_the_one_that_is_read(root: Path) -> None:
    """Every value comes back, types and order included."""
    found = recall(root)
    assert found == load(root).fleet
    assert repr(found) == repr(load(root).fleet)


def test_the_example_fleet_can_be_remembered() -> None:
    """No key of the declaration keeps a fleet from being remembered."""
    root = Path(__file__).parents[3]
    read = load(root)
    remember(root, read, key_of(root))
    assert recall(root) == read.fleet


def _edit(root: Path) -> None:
    file = root / "inventory/hosts.yaml"
    before = file.stat()
    file.write_text(HOSTS.replace("retries: 3", "retries: 4"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _add(root: Path) -> None:
    (root / "inventory/more.yml").write_text("hosts: {b: }")


def _add_suite(root: Path) -> None:
    (root / "hosts/a").mkdir(parents=True)
    (root / "hosts/a/test_a.py").touch()


def _add_shared_suite(root: Path) -> None:
    (root / "tests/verify/features").mkdir(parents=True)
    (root / "tests/verify/features/test_f.py").touch()


def _link(root: Path) -> None:
    (root / "inventory/hosts.yaml").rename(root / "elsewhere.yaml")
    (root / "inventory/hosts.yaml").symlink_to("../elsewhere.yaml")


@pytest.mark.parametrize("change", [_edit, _add, _add_suite, _add_shared_suite, _link])
def test_what_reading_looks_at_is_looked_at(root: Path, change: Callable[[Path], None]) -> None:
    """After a change that reading would see, the fleet is read: dates count for nothing."""
    change(root)
    assert recall(root) is None
    assert opened(root) == load(root).fleet
    assert recall(root) == load(root).fleet


def test_a_list_of_members_is_looked_at(write: Write) -> None:
    """One more line of it is one more host; an editor's lock beside it is no list."""
    root = write(hosts="hosts: {till: {from: tills.csv}}")
    listed = root / "inventory/tills.csv"
    listed.write_text("name\ntill-1\n")
    opened(root)
    (root / "inventory/.#tills.csv").symlink_to("me@here.1")
    assert recall(root) is not None
    listed.write_text("name\ntill-1\ntill-2\n")
    assert recall(root) is None
    assert [*opened(root).hosts] == ["till-1", "till-2"]


def _break(root: Path) -> None:
    (root / "inventory/hosts.yaml").write_text("hosts: [")


def _take_suite(root: Path) -> None:
    (root / "checks/test_one.py").unlink()


def _link_out(root: Path) -> None:
    (root / "inventory/hosts.yaml").rename(root.parent / "outside.yaml")
    (root / "inventory/hosts.yaml").symlink_to(root.parent / "outside.yaml")


@pytest.mark.parametrize("harm", [_break, _take_suite, _link_out])
def test_a_mistake_is_told_although_the_fleet_was_good(
    root: Path, harm: Callable[[Path], None]
) -> None:
    """What would be refused is never answered from memory."""
    harm(root)
    assert recall(root) is None
    with pytest.raises(UsageError):
        opened(root)


def test_a_stale_fleet_json_is_made_anew(root: Path) -> None:
    """``fleet.json`` is compared, too; frozen, a stale one is an error as ever."""
    file = root / "inventory/fleet.json"
    good = file.read_text()
    file.write_text("{}")
    with pytest.raises(UsageError, match="stale"):
        open_fleet(Target(fleet=root, frozen=True))
    opened(root)
    assert file.read_text() == good
    file.unlink()
    opened(root)
    assert file.read_text() == good


@pytest.mark.parametrize("content", [b"", b"x", b"\xff\n{}", b'{"key": 1}\n'])
def test_a_damaged_file_only_costs_time(root: Path, cache: Path, content: bytes) -> None:
    """Whatever is in the file, the fleet is the right one."""
    (file,) = cache.rglob("*.json")
    file.write_bytes(content)
    assert recall(root) is None
    assert opened(root) == load(root).fleet


def test_every_single_damaged_byte_is_seen(root: Path, cache: Path) -> None:
    """A remembered inventory with any single damaged byte is not believed."""
    (file,) = cache.rglob("*.json")
    good = file.read_bytes()
    for at in range(0, len(good), 7):
        file.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert recall(root) is None


def test_another_version_reads_for_itself(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What another version of the reading took for good may be a mistake in this one."""
    monkeypatch.setattr(inventory_root, "_code", lambda: iter(["another"]))
    assert recall(root) is None


def test_another_version_is_told_from_one_of_the_same_time_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all files are of one time, as in the Nix store, a new version is seen for one."""
    monkeypatch.setattr(inventory_root, "__file__", str(tmp_path / "root.py"))
    found = []
    for version in ("1", "2"):
        module = tmp_path / "module.py"
        module.write_text(f"version = {version}\n")
        os.utime(module, (1, 1))
        found.append([*inventory_root._code()])
    assert found[0] != found[1]


def test_another_users_file_is_not_believed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root reads no other user's memory, which that user may write."""
    monkeypatch.setattr("os.geteuid", lambda: os.getuid() + 1)
    assert recall(root) is None


def test_a_fleet_that_changed_while_it_was_read_is_not_kept(write: Write) -> None:
    """A fleet that changed while it was read is not remembered under its earlier key."""
    root = write(hosts=HOSTS.replace(", suites: [checks/test_one.py]", ""))
    key, read = key_of(root), load(root)
    _edit(root)
    remember(root, read, key)
    assert recall(root) is None


@pytest.mark.parametrize("fact", [float("nan"), (1,), {1: "x"}, Path("/x")])
def test_what_would_come_back_as_another_value_is_not_kept(write: Write, fact: object) -> None:
    """JSON has no tuples, no other keys than texts and no paths: such facts are read each time."""
    root = write(hosts="hosts: {a: }")
    key, read = key_of(root), load(root)
    host = replace(read.fleet.hosts["a"], hardware={"x": fact})
    remember(root, replace(read, fleet=replace(read.fleet, hosts={"a": host})), key)
    assert recall(root) is None


def test_a_folder_that_cannot_be_written_is_no_error(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the cache's folder cannot be written, the fleet is loaded and not remembered."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert opened(root) == load(root).fleet
    assert recall(root) is None
