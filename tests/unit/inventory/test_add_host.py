"""A host is added to an inventory's text so that nothing else changes, or it is not added."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.errors import RefusedError, UsageError
from orchestrator.inventory.add_host import NewHost, draft, write
from orchestrator.inventory.load import load

NEW = NewHost("web9", "10.0.0.9", user="deploy", port=2222)
LINES = "web9:", "  address: 10.0.0.9", "  connect: {user: deploy, port: 2222}"


def fleet(folder: Path, **files: str) -> Path:
    """An inventory of some files."""
    (folder / "inventory").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"inventory/{name}.yaml").write_bytes(text.encode())
    return folder


def below(indent: str, newline: str = "\n") -> str:
    """The new host's lines."""
    return "".join(
        f"{indent if n == 0 else indent * 2}{line.strip()}{newline}" for n, line in enumerate(LINES)
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("hosts:\n  a: {}\n", "hosts:\n  a: {}\n" + below("  ")),
        ("hosts:\n  a: {}", "hosts:\n  a: {}\n" + below("  ")),
        (
            "# ours\nhosts: # all\n    a: # one\n        tags: [x]\n\n# people\nusers: {u: {}}\n",
            "# ours\nhosts: # all\n    a: # one\n        tags: [x]\n"
            + below("    ")
            + "\n# people\nusers: {u: {}}\n",
        ),
        (
            "hosts:\n  a:\n    tags: [x]\n\n  # the second\n  b: {}\n  # the end\n\n",
            "hosts:\n  a:\n    tags: [x]\n\n  # the second\n  b: {}\n  # the end\n\n"
            + below("  ")
            + "\n",
        ),
        (
            "hosts:\r\n  a: {}\r\nusers:\r\n  u: {}\r\n",
            "hosts:\r\n  a: {}\r\n" + below("  ", "\r\n") + "users:\r\n  u: {}\r\n",
        ),
        (
            "hosts:\n  a:\n    description: |\n      one\n\n      two\ntemplates: {t: {}}\n",
            "hosts:\n  a:\n    description: |\n      one\n\n      two\n"
            + below("  ")
            + "templates: {t: {}}\n",
        ),
    ],
    ids=["plain", "no newline", "comments", "spaced", "crlf", "block text"],
)
def test_the_lines_come_last_among_the_hosts_and_all_else_stays(
    tmp_path: Path, before: str, after: str
) -> None:
    """Comments, blank lines, indentation, the ends of lines."""
    root = fleet(tmp_path, hosts=before)
    made = draft(root, NEW)
    assert made.after.decode() == after
    assert (root / made.file).read_bytes() == before.encode()
    write(root, made)
    assert (root / made.file).read_bytes() == after.encode()
    assert [file.name for file in (root / "inventory").iterdir()] == ["hosts.yaml"]
    assert load(root).fleet.hosts["web9"].connect.port == 2222


def test_the_example_takes_a_host_of_a_template(tmp_path: Path) -> None:
    """A host added by the example has what its template gives, in a file of the same mode."""
    example = Path(__file__).parents[3]
    root = fleet(
        tmp_path, **{file.stem: file.read_text() for file in example.glob("inventory/*.yaml")}
    )
    # Schemas of features' settings are there.
    shutil.copytree(example / "templates/features", root / "templates/features")
    (root / "inventory/hosts.yaml").chmod(0o640)
    made = draft(root, NewHost("web9", template="server", profiles=("developer",)))
    write(root, made)
    assert (root / made.file).stat().st_mode & 0o777 == 0o640
    found = load(root).fleet.hosts["web9"]
    assert found.template == "server"
    assert "developer" in found.profiles


@pytest.mark.parametrize(
    "text",
    [
        "{hosts: {a: {}}}\n",
        "hosts: {a: {}}\n",
        "hosts: &all\n  a: {}\n",
        '"hosts":\n  a: {}\n',
        "hosts:\n  {a: {}}\n",
        "hosts:\n  a:\n    description: |+\n      kept\n\n",
    ],
    ids=["flow", "flow hosts", "anchor", "quoted", "flow below", "kept blank lines"],
)
def test_where_it_cannot_be_added_the_lines_are_told_and_nothing_changes(
    tmp_path: Path, text: str
) -> None:
    """The hint is what to add by hand."""
    root = fleet(tmp_path, hosts=text)
    with pytest.raises(UsageError, match="web9 was not added") as caught:
        draft(root, NEW)
    assert (caught.value.hint or "").endswith("\nhosts:\n" + below("  ").rstrip("\n"))
    assert (root / "inventory/hosts.yaml").read_text() == text


def test_a_host_that_is_there_is_not_added(tmp_path: Path) -> None:
    """A host that any inventory file has already is not added a second time."""
    root = fleet(tmp_path, a="hosts:\n  a: {}\n", b="hosts:\n  web9: {}\n")
    with pytest.raises(UsageError, match="there is a host web9 already"):
        draft(root, NEW)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (NewHost("web9", template="sever"), "did you mean 'server'"),
        (NewHost("Web_9"), "Web_9"),
        (NewHost("and"), "and"),
        (NewHost("x: {}\n  y"), "x: {}"),
    ],
)
def test_what_would_be_a_mistake_is_told_as_one(tmp_path: Path, host: NewHost, said: str) -> None:
    """A host that would be a mistake is refused in the words of the inventory's check."""
    root = fleet(tmp_path, hosts="hosts:\n  a: {}\ntemplates: {server: {}}\n")
    with pytest.raises(UsageError, match="would not be right with it") as caught:
        draft(root, host)
    assert said in caught.value.message


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """A file that somebody changed between draft and write is not overwritten."""
    root = fleet(tmp_path, hosts="hosts:\n  a: {}\n")
    made = draft(root, NEW)
    fleet(tmp_path, hosts="hosts:\n  b: {}\n")
    with pytest.raises(RefusedError, match="meanwhile"):
        write(root, made)
    assert (root / made.file).read_text() == "hosts:\n  b: {}\n"
    assert len(list((root / "inventory").iterdir())) == 1


@given(address=st.text(st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_any_address_is_read_as_it_was_given_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, address: str
) -> None:
    """Whatever YAML would take it for: a number, a list, a comment, a second key."""
    root = fleet(tmp_path_factory.getbasetemp() / "any", hosts="hosts:\n  a: {}\n")
    try:
        made = draft(root, NewHost("web9", address))
    except UsageError:
        return
    hosts = load(root, {made.file: made.after.decode()}).fleet.hosts
    assert {name: host.connect.address for name, host in hosts.items()} == {
        "a": "a",
        "web9": address,
    }


@pytest.mark.parametrize("address", ["fe80::1", "no", "022", "1:20", "0x10", "12", "null"])
def test_what_yaml_takes_for_something_else_is_quoted(tmp_path: Path, address: str) -> None:
    """A name is quoted where YAML would take it for something else, and only there."""
    root = fleet(tmp_path, hosts="hosts:\n  a: {}\n")
    made = draft(root, NewHost("web9", address))
    assert f'    address: "{address}"\n'.encode() in made.after
    assert b"    address: 10.0.0.9\n" in draft(root, NEW).after
