"""What ``secrets.nix`` says: which file is encrypted to whom."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.secrets.model.recipient import Recipient


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of ``secrets.nix``.

    Attributes:
        path: The secret's file, relative to the repository.
        keys: ``publicKeys`` as written.
        recipients: Those of them that can be encrypted to, in their order.
        unusable: The others, each with the reason.
        armor: Whether the file is to be in the textual form.
        error: What Nix said where this entry alone cannot be evaluated or has a wrong shape.
    """

    path: str
    keys: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    unusable: tuple[tuple[str, str], ...] = ()
    armor: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """A whole ``secrets.nix``.

    Attributes:
        file: The file, absolute.
        root: The repository, absolute: what the rules' paths are relative to.
        rules: In the order of their paths.
    """

    file: str
    root: str
    rules: tuple[Rule, ...]
