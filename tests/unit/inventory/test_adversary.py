"""Files that mean harm are refused in bounded time and memory, and nothing ever hangs."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.inventory import classes
from orchestrator.inventory.compose import MAX_NODES
from orchestrator.inventory.load import load
from orchestrator.inventory.sections import MAX_BYTES
from orchestrator.inventory.tree import InventoryError

Write = Callable[..., Path]
_KIBIBYTES = 400 * 1024

# What grows without bounds would take hours; what is bounded takes no second.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    """Hold each test to a growth in memory, whatever ran in this process before."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is held now: proc(5)
    before = _peak()
    yield
    assert _peak() - before < _KIBIBYTES


def _peak() -> int:
    (line,) = re.findall(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    return int(line)


def told(root: Path) -> str:
    """The mistakes of the fleet at ``root``."""
    with pytest.raises(InventoryError) as caught:
        load(root)
    return caught.value.message


def raw(root: Path, content: bytes, name: str = "x.yaml") -> Path:
    """A fleet with one file of these bytes."""
    (root / "inventory" / name).write_bytes(content)
    return root


def test_a_bomb_of_aliases(write: Write) -> None:
    """A billion laughs are counted and not told."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    message = told(write(h="\n".join(lines)))
    assert f"more than {MAX_NODES} values once aliases are expanded" in message
    assert "inventory/h.yaml:6:" in message


def test_a_flat_bomb_of_aliases(write: Write) -> None:
    """One big anchor and many aliases of it are counted as well."""
    big = ", ".join(["x"] * 10_000)
    text = f"hosts:\n  a: {{hardware: {{l: &l [{big}]}}}}\n"
    text += "".join(f"  h{n}: {{hardware: {{l: *l}}}}\n" for n in range(1000))
    assert "values once aliases are expanded" in told(write(h=text))


@pytest.mark.parametrize("opening", ["[", "{", "{a: ", "- ", "? ", "[[", '"a": ['])
def test_a_bomb_of_depth(write: Write, opening: str) -> None:
    """A million brackets stop at a level that no inventory needs."""
    assert "inventory/h.yaml:1" in told(write(h=opening * ((MAX_BYTES - 1) // len(opening))))


def test_depth_by_aliases(write: Write) -> None:
    """Levels that are nested by aliases count against the bound on depth."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 100)]
    assert "more than 32 levels" in told(write(h="\n".join(lines)))


def test_ten_megabytes(write: Write) -> None:
    """A large file is refused by its size, before it is read."""
    root = write()
    with (root / "inventory" / "big.yaml").open("wb") as stream:
        stream.truncate(10 << 20)
    assert "inventory/big.yaml: a file of 10485760 bytes; expected at most 1 MiB" in told(root)


def test_a_full_file_of_mistakes(write: Write) -> None:
    """A mebibyte of unknown keys takes no search for each."""
    keys = "".join(f"key{n}: 1\n" for n in range(80_000))
    assert "more" in told(write(h=keys))


def test_one_very_long_key(write: Write) -> None:
    """A long key is shortened in the message, and compared with nothing."""
    message = told(write(h=f"? {'a' * 500_000}\n: 1\nhosts: {{h: }}\n"))
    assert "the unknown key 'aaa" in message
    assert len(message) < 1000


def test_one_very_long_number(write: Write) -> None:
    """A number of many digits is not computed."""
    digits = "9" * 500_000
    message = told(write(h=f"hosts: {{h: {{connect: {{port: {digits}}}}}}}"))
    assert "expected a whole number" in message
    assert len(message) < 1000


@pytest.mark.parametrize("key", ["tags", "features", "profiles", "users", "roles"])
def test_long_lists(write: Write, key: str) -> None:
    """A list of more than 256 items is a mistake, for each key that takes a list."""
    assert "at most 256 items" in told(write(h=f"hosts: {{h: {{{key}: [{'x, ' * 300}]}}}}"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"hosts: \xff", "inventory/x.yaml:1: the byte 0xff, which is not UTF-8"),
        (b"\n\nhosts:\x00", "inventory/x.yaml:3:7: the control character U+0000"),
        (b"hosts:\x1b[31m", "the control character U+001B"),
        ("hosts: {}".encode("utf-16"), "which is not UTF-8"),
        (b"\x7fELF\x02\x01\x01\x00", "the control character U+007F"),
        ("hosts: \ufffe".encode(), "the control character U+FFFE"),
        (b"a: !!python/object/apply:os.system [ls]\n", "a YAML tag"),
        (b"%YAML 9.9\n---\nhosts: {}\n", "not YAML"),
        (b"hosts: {h: {tags: ['\xe2\x80\xae']}}", "the text '\\u202e'"),
    ],
)
def test_bytes_that_are_no_inventory(write: Write, content: bytes, message: str) -> None:
    """Binary files, control characters and tags are told, and never reach a terminal raw."""
    assert message in told(raw(write(), content))


def test_a_byte_order_mark_and_line_ends_of_windows_are_read(write: Write) -> None:
    """What an editor adds does no harm."""
    root = raw(write(), b"\xef\xbb\xbfhosts:\r\n  web1:\r\n    address: a\r\n")
    assert load(root).fleet.hosts["web1"].connect.address == "a"


def test_a_pipe_is_not_waited_for(write: Write) -> None:
    """A FIFO without a writer would block for ever."""
    root = write(h="hosts: {h: }")
    os.mkfifo(root / "inventory" / "pipe.yaml")
    assert "inventory/pipe.yaml: no regular file" in told(root)


def test_a_folder_is_no_file(write: Write) -> None:
    """A folder with a file's name is told."""
    root = write(h="hosts: {h: }")
    (root / "inventory" / "folder.yml").mkdir()
    assert "inventory/folder.yml: unreadable (Is a directory)" in told(root)


@pytest.mark.parametrize("target", ["/etc/passwd", "/dev/zero", "../../outside.yaml"])
def test_a_link_out_of_the_fleet(write: Write, target: str) -> None:
    """The inventory is inside of the fleet; a link elsewhere is not followed."""
    root = write(h="hosts: {h: }")
    (root.parent / "outside.yaml").write_text("hosts: {}")
    (root / "inventory" / "link.yaml").symlink_to(target)
    assert "inventory/link.yaml: a link out of the fleet" in told(root)


@pytest.mark.parametrize("target", ["link.yaml", "nowhere.yaml"])
def test_a_link_to_nothing(write: Write, target: str) -> None:
    """A link to itself or to nothing is told."""
    root = write(h="hosts: {h: }")
    (root / "inventory" / "link.yaml").symlink_to(target)
    assert "inventory/link.yaml: unreadable" in told(root)


def test_a_link_within_the_fleet_is_read(write: Write) -> None:
    """A link to a file of the same fleet is a file."""
    root = write()
    (root / "shared.txt").write_text("hosts: {h: }")
    (root / "inventory" / "link.yaml").symlink_to("../shared.txt")
    assert list(load(root).fleet.hosts) == ["h"]


def test_an_editors_lock_is_left_out(write: Write) -> None:
    """Hidden files are no part of the inventory."""
    root = write(h="hosts: {h: }")
    (root / "inventory" / ".#h.yaml").symlink_to("me@here.1234")
    assert list(load(root).fleet.hosts) == ["h"]


def test_a_file_name_that_means_harm(write: Write) -> None:
    """Control characters in an inventory file's name are escaped when it is printed."""
    root = raw(write(), b"hosts: {h: {x: 1}}", "a\x1b[31m\n.yaml")
    assert "inventory/a\\x1b[31m\\n.yaml:1:" in told(root)


def test_without_libyaml(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML has no libyaml, the same is read and the same refused."""
    monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert load(write(h="hosts: {h: {tags: [x, &a y, *a]}}")).fleet.hosts["h"].tags == ("x", "y")
    assert "inventory/h.yaml:1:9: not YAML" in told(write(h="hosts: {]"))
    assert "more than 32 levels" in told(write(h="[" * 1000))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.recursive(
        st.sampled_from(
            ["hosts", "web1", "tags", "on", "5", "~", "*a", "&a x", "!!x y", "<<", "'"]
        ),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
            st.lists(st.tuples(inner, inner), max_size=3).map(
                lambda pairs: "{" + ", ".join(f"{key}: {value}" for key, value in pairs) + "}"
            ),
        ),
        max_leaves=12,
    )
    | st.text(max_size=40)
)
def test_any_text_is_read_or_told(write: Write, text: str) -> None:
    """No file is a bug: it is an inventory, or an error with mistakes."""
    root = raw(write(), text.encode("utf-8", "surrogatepass"))
    with contextlib.suppress(InventoryError):
        load(root)
    raw(root, f"hosts: {{web1: {text}}}".encode("utf-8", "surrogatepass"))
    with contextlib.suppress(InventoryError):
        load(root)


def test_many_hosts_load_fast(write: Write) -> None:
    """Two thousand hosts with layers are no matter of seconds."""
    hosts = "".join(
        f"  h{n}: {{template: t, profiles: [p], features: [f], tags: [a, b{n}]}}\n"
        for n in range(2000)
    )
    root = write(
        a="templates: {t: {tags: [x]}}\nprofiles: {p: {tags: [y]}}\nfeatures: {f: {tags: [z]}}\n",
        b=f"hosts:\n{hosts}",
    )
    assert load(root).fleet.hosts["h1999"].tags == ("x", "y", "z", "a", "b1999")


def test_a_short_file_counts_out_no_endless_fleet(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All classes together are bounded, too, and none is counted out beyond that."""
    monkeypatch.setattr(classes, "MOST_IN_ALL", 5)
    root = write(h="hosts:\n  a: {count: 3}\n  b: {count: 3}\n  c: {count: 3}\n")
    with pytest.raises(InventoryError, match=r"h\.yaml:3:3: more than 5 members"):
        load(root)
