"""The checks of a host before anything is copied to it, by name."""

from __future__ import annotations

from enum import Enum


class Check(Enum):
    """The checks, by the names that ``--skip-preflight`` takes."""

    IDENTITY = "identity"
    SUDO = "sudo"
    NIX = "nix"
    READ_ONLY = "read-only"
    STORE_SPACE = "store-space"
    INODES = "inodes"
    BOOT_SPACE = "boot-space"
    CLOCK = "clock"
    ACTIVATION = "activation"
    INHIBITORS = "inhibitors"
    SECRETS = "secrets"
    WAY_BACK = "way-back"
