"""What a host's configuration does with a secret."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SecretUse:
    """One ``age.secrets.NAME`` of one host.

    Attributes:
        host: The host.
        name: The attribute's name.
        file: The encrypted file: relative to the repository where it lies in it, else absolute.
        in_repo: Whether it lies in the repository.
        exists: Whether it is there for the evaluation.
        mode: Permissions of the decrypted file, such as ``0400``.
        owner: The user who owns it.
        group: The group that owns it.
        install_path: Where it is decrypted to.
        identity_paths: The private keys that the host tries, in order.
        owner_known: Whether the configuration has that user.
        group_known: Whether the configuration has that group.
    """

    host: str
    name: str
    file: str
    in_repo: bool
    exists: bool
    mode: str
    owner: str
    group: str
    install_path: str
    identity_paths: tuple[str, ...]
    owner_known: bool
    group_known: bool
