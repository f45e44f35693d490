"""Paths in the Nix store: a derivation and what it builds are two types."""

from __future__ import annotations

import re
from typing import Self

from msgspec import Struct

# Nix's base-32 alphabet leaves out e, o, u and t; a name has at most 211 characters.
# https://nix.dev/manual/nix/latest/store/store-path
_PATH = re.compile(r"/nix/store/([0-9abcdfghijklmnpqrsvwxyz]{32})-([0-9A-Za-z+\-._?=]{1,211})")

# A version begins at the first dash that a digit follows: Nix's own rule for derivation names.
# https://nix.dev/manual/nix/latest/language/builtins#builtins-parseDrvName
_PACKAGE = re.compile(r"(.*?)-(\d.*)")

# A path's name has its output's behind the version, which is no part of that: nixpkgs' outputs, and
# what NixOS makes of a kernel's modules.
_OUTPUT = re.compile(
    r"-(?:bin|data|debug|dev|devdoc|dist|doc|info|lib|lib32|lib64|man|modules|modules-shrunk|out"
    r"|static)$"
)


def without_output(version: str) -> str:
    """A version without the output that a path's name has behind it."""
    return _OUTPUT.sub("", version)


class StorePath(Struct, frozen=True, order=True):
    """A path directly below ``/nix/store``, checked on construction."""

    path: str

    def __post_init__(self) -> None:
        if not _PATH.fullmatch(self.path):
            raise ValueError(f"not a store path: {self.path!r}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a store path from a command's output, surrounding white space ignored.

        Raises:
            ValueError: It is not a store path.
        """
        return cls(text.strip())

    @property
    def name(self) -> str:
        """The part after the hash, such as ``nixos-system-p620-25.05``."""
        return self.path.removeprefix("/nix/store/")[33:]

    @property
    def package(self) -> tuple[str, str]:
        """The package's name and its version; that is empty where the name has none."""
        found = _PACKAGE.fullmatch(self.name)
        return (found[1], found[2]) if found else (self.name, "")

    @property
    def digest(self) -> str:
        """The first five characters of the hash."""
        return self.path.removeprefix("/nix/store/")[:5]

    @property
    def short(self) -> str:
        """Five characters of the hash and the name: enough for a person to compare."""
        return f"{self.digest}…-{self.name}"

    def __str__(self) -> str:
        return self.path


class DrvPath(StorePath, frozen=True, order=True):
    """A derivation: the recipe of a build."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path.endswith(".drv"):
            raise ValueError(f"not a derivation: {self.path!r}")


class OutPath(StorePath, frozen=True, order=True):
    """What a derivation builds; here nearly always the toplevel of a NixOS system."""


class Evaluated(Struct, frozen=True):
    """What a host's configuration evaluates to."""

    drv: DrvPath
    out: OutPath


class Existing(Struct, frozen=True):
    """A system that was built before, such as one to go back to: there is nothing to build."""

    out: OutPath


Target = Evaluated | Existing


class Specialised(Struct, frozen=True, order=True):
    """A specialisation of a system: NixOS links it as ``specialisation/NAME`` in the toplevel."""

    system: OutPath
    name: str

    def __post_init__(self) -> None:
        if not is_specialisation(self.name):
            raise ValueError(f"not a specialisation's name: {self.name!r}")


_LONGEST = 100


def is_specialisation(name: str) -> bool:
    """Whether a text can be a specialisation's name: NixOS refuses ``/``, and it is a file's."""
    plain = name.isprintable() and "/" not in name and name == name.strip()
    return plain and 0 < len(name) <= _LONGEST and name[0] not in ".-"
