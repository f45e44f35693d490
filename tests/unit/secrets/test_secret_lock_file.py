"""``secrets.lock.json``: what was written is read; anything else is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.core.errors import UsageError
from orchestrator.secrets.files.files import form, parse, read_lock
from orchestrator.secrets.model.ciphertext import Recipient, RecipientKind
from orchestrator.secrets.model.repository import LockEntry, fingerprint

ONE = Recipient("age1one", RecipientKind.X25519, None, "a comment")
TWO = Recipient("age1two", RecipientKind.X25519, None)


def test_what_is_written_is_read() -> None:
    """Whatever the order of the entries and of the recipients, the text is the same."""
    entry = LockEntry.of("00ff", [ONE, TWO])
    entries = {"b.age": entry, "a b\n.age": LockEntry.of("11", [TWO])}
    assert parse(form(entries)) == entries
    assert form(entries) == form(dict(reversed(entries.items())))


def test_the_file_has_a_line_for_each_value_so_that_git_merges_it() -> None:
    """The text is as ever: sorted, two spaces deep, a newline at its end."""
    entries = {"b.age": LockEntry("00", frozenset({"SHA256:b", "SHA256:a"}))}
    assert form(entries).decode() == (
        '{\n  "version": 1,\n  "secrets": {\n    "b.age": {\n      "header": "00",\n'
        '      "recipients": [\n        "SHA256:a",\n        "SHA256:b"\n      ]\n    }\n  }\n}\n'
    )


def test_a_fingerprint_is_the_keys_and_not_the_comments() -> None:
    """A recipient's fingerprint is its key's, whatever its comment; two keys share none."""
    assert fingerprint(ONE) == fingerprint(Recipient("age1one", RecipientKind.X25519, None))
    assert fingerprint(ONE) != fingerprint(TWO)


def test_no_file_is_no_entries(tmp_path: Path) -> None:
    """A repository that was never rekeyed by us has none."""
    assert read_lock(str(tmp_path), "secrets.lock.json") == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 2, "secrets": {}}',
        '{"version": 1, "secrets": []}',
        '{"version": 1, "secrets": {"a.age": {}}}',
        '{"version": 1, "secrets": {"a.age": {"header": "00", "recipients": 3}}}',
        '{"version": 1, "secrets": {}, ',
        "<<<<<<< HEAD",
        "[" * 100_000,
        "\xff",
        '{"version": 1, "secrets": {"a.age": {"header": 0, "recipients": []}}}',
    ],
)
def test_what_we_do_not_write_is_refused(tmp_path: Path, text: str) -> None:
    """With the file's name and the way out; never taken for an empty one."""
    (tmp_path / "secrets.lock.json").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=r"secrets\.lock\.json cannot be used") as caught:
        read_lock(str(tmp_path), "secrets.lock.json")
    assert caught.value.hint is not None
