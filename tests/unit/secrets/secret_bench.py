"""A repository of secrets with real keys, without Nix: the rules are given as values."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pyrage

from orchestrator.adapters.age import keyring, recipients
from orchestrator.adapters.age.keyring import Keyring
from orchestrator.adapters.secrets.places import digest
from orchestrator.engine.secrets.place import Place
from orchestrator.engine.secrets.vault import Vault
from orchestrator.model.secrets.rules import Rule, Rules

T = TypeVar("T")


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
    return keyring.read([str(folder / name) for name in names])


def rule(path: str, *keys: str, armor: bool = False) -> Rule:
    """Whom a secret is for."""
    return Rule(path, keys, tuple(map(recipients.parse, keys)), armor=armor)


def vault(root: Path, *rules: Rule) -> Vault:
    """The repository, as Nix would say that it is."""
    file = root / "secrets.nix"
    root.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        file.write_text("{ }\n")
    said = Rules(str(file), str(root), tuple(sorted(rules, key=lambda one: one.path)))
    return Vault(Place(file, root, in_git=False), said, digest(file))
