"""A repository of secrets with real keys, without Nix: the rules are given as values."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pyrage

from orchestrator.core import beneath
from orchestrator.secrets.age import crypt
from orchestrator.secrets.age import keys as age_keys
from orchestrator.secrets.age.crypt import Keyring
from orchestrator.secrets.manage import Plan, create, show
from orchestrator.secrets.model.repository import Rule, Rules
from orchestrator.secrets.place import SecretsRepository
from orchestrator.secrets.rekey import Rekeyed, rekey
from orchestrator.secrets.vault import Vault

T = TypeVar("T")
VALUES = {"a.age": b"VALUE-a\n", "deep/b.age": b"VALUE-b", "c.age": b"\x00VALUE\xff" * 30_000}


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the engine's part."""
    return asyncio.run(work)


def make_key(folder: Path, name: str) -> str:
    """Make an X25519 identity in a file, and give its public half."""
    identity = pyrage.x25519.Identity.generate()
    (folder / name).write_text(f"{identity}\n")
    return str(identity.to_public())


def keys_of(folder: Path, *names: str) -> Keyring:
    """Read identities."""
    return crypt.read([str(folder / name) for name in names])


def rule(path: str, *keys: str, armor: bool = False) -> Rule:
    """Whom a secret is for."""
    return Rule(path, keys, tuple(map(age_keys.parse, keys)), armor=armor)


def vault(root: Path, *rules: Rule) -> Vault:
    """The repository, as Nix would say that it is."""
    file = root / "secrets.nix"
    root.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.write_text("{ }\n")
    said = Rules(str(file), str(root), tuple(sorted(rules, key=lambda one: one.path)))
    place = SecretsRepository(file, root, in_git=(root / ".git").exists())
    return Vault(place, said, {place.name: beneath.digest(root, place.name)})


class Bench:
    """A repository with three secrets that I and a host read, and a new host's key."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.root = folder / "repo"
        self.folder = folder
        self.me, self.host, self.new = (make_key(folder, name) for name in ("me", "host", "new"))
        self.mine = keys_of(folder, "me")
        for path, value in VALUES.items():
            run(create(self.vault(), Plan(self.rule(path)), self.mine, lambda _, v=value: v))

    def rule(self, path: str, *more: str) -> Rule:
        """The rule of a secret."""
        return rule(path, self.me, self.host, *more)

    def vault(self, *more: str) -> Vault:
        """The secrets, to be read by more keys."""
        return vault(self.root, *(self.rule(path, *more) for path in VALUES))

    def values(self, keyring: Keyring) -> dict[str, bytes]:
        """What a person reads."""
        now = self.vault()
        return {one.path: run(show(now, one, keyring))[1] for one in now.rules.rules}

    def rekey(self, *more: str, keyring: Keyring | None = None, every: bool = False) -> Rekeyed:
        """Re-encrypt for more keys."""
        now = self.vault(*more)
        work = rekey(now, now.rules.rules, keyring or self.mine, every=every, without_me=False)
        return run(work)

    def content(self) -> dict[str, bytes]:
        """Every file of the repository."""
        files = (file for file in self.root.rglob("*") if file.is_file())
        return {str(file.relative_to(self.root)): file.read_bytes() for file in files}
