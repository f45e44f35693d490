"""A secret's value that stands in a tracked file is found with a key that opens the secret."""

from __future__ import annotations

import asyncio
import base64
import subprocess
from pathlib import Path

import pyrage
import pytest

from orchestrator.lab.seed import generate
from orchestrator.secrets.age import crypt
from orchestrator.secrets.check import check_secrets
from orchestrator.secrets.gather import Context
from orchestrator.secrets.place import place_of

pytestmark = pytest.mark.usefixtures("nix")
VALUE = "correct horse battery"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one secret, for one key that lies beside it."""
    pair, root = generate(), tmp_path / "repository"
    root.mkdir()
    (tmp_path / "key").write_text(pair.private)
    (root / "secrets.nix").write_text(f'{{ "a.age".publicKeys = [ "{pair.public}" ]; }}')
    recipient = pyrage.ssh.Recipient.from_str(pair.public)
    (root / "a.age").write_bytes(pyrage.encrypt(f"{VALUE}\n".encode(), [recipient]))
    subprocess.run(("git", "init", "--quiet", str(root)), check=True)
    return root


def leaks(root: Path) -> list[tuple[str, str]]:
    """The leaks that are found with the key."""
    subprocess.run(("git", "-C", str(root), "add", "--all"), check=True)
    keys = crypt.read((str(root.parent / "key"),), None)

    async def work() -> list[tuple[str, str]]:
        place = await place_of(root / "secrets.nix")
        found = (await check_secrets(place, Context(keyring=keys))).findings
        assert not any(VALUE in one.message for one in found)
        return [(one.id, one.path) for one in found if one.id.startswith("LEAK")]

    return asyncio.run(work())


def test_a_value_in_a_tracked_file(repository: Path) -> None:
    """A secret's value in a tracked file is found, plain and in base64, and nowhere else."""
    assert leaks(repository) == []
    (repository / "notes.md").write_text(f"the password is {VALUE}!")
    (repository / "unit.yaml").write_text(base64.b64encode(VALUE.encode()).decode())
    (repository / "other.md").write_text("correct horse")
    assert leaks(repository) == [("LEAK-KNOWN", "notes.md"), ("LEAK-KNOWN", "unit.yaml")]
