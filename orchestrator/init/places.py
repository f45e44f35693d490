"""Where a fleet's own files are, and what they are; where ours go."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.changes.tree.place import repository
from orchestrator.core import beneath
from orchestrator.core.errors import StepError, UsageError
from orchestrator.init.wrapper import SHARED, OfFile, OfFolders, OfHive, Shape
from orchestrator.inventory.root import FOLDER, SUFFIXES, VARIABLE, has_files
from orchestrator.inventory.sections import others_tool

BESIDE = "orchestrator"
"""The folder for ours, where ``inventory/`` is another tool's."""

_MOST = 4 << 20
"""Bytes of a file of theirs that is looked at."""


@dataclass(frozen=True, slots=True)
class Place:
    """A fleet's folder, and ours.

    Attributes:
        own: The fleet's, with its Nix files.
        root: Where ``inventory/`` is, or is to be: the same, or a folder in it.
        is_known: Whether there is an inventory of ours already.
        others: What another tool has in ``inventory/``; empty where it is ours or not there.
    """

    own: Path
    root: Path
    is_known: bool
    others: str = ""

    @property
    def repository(self) -> Path | None:
        """The git work tree that it lies in; ``None``: in none."""
        try:
            return repository(str(self.own))
        except StepError:
            return None

    def relative(self, folder: Path) -> str:
        """A folder as ``fleet: {flake: …}`` has it, from the fleet's root."""
        return os.path.relpath(folder, self.root)

    def in_repository(self, folder: Path) -> str:
        """A folder from the repository's root; empty for that itself, and outside of one."""
        root = self.repository
        is_root = root in (None, folder.resolve())
        return "" if is_root else str(folder.resolve().relative_to(root or ""))


def find_place(start: Path, explicit: Path | None, said: str | None) -> Place:
    """Find the fleet that is meant.

    Args:
        start: The folder that one is in.
        explicit: ``--fleet``.
        said: ``$ORCHESTRATOR_FLEET``.

    Raises:
        UsageError: The named folder is none.
    """
    named = explicit or (Path(said) if said else None)
    if named is not None:
        if not named.is_dir():
            by = "--fleet" if explicit else f"${VARIABLE}"
            raise UsageError(f"{by}: {named} is no folder")
        return _placed(named.absolute())
    start = start.absolute()
    for folder in (start, *start.parents):
        if has_files(folder) or any((folder / one).exists() for one in _BEGINNINGS):
            return _placed(folder)
    return _placed(start)


_BEGINNINGS = ("flake.nix", "hive.nix", "npins", ".git")


def _placed(folder: Path) -> Place:
    others = _others(folder)
    if has_files(folder) and not others:
        return Place(folder, folder, is_known=True)
    if not others:
        return Place(folder, folder, is_known=False)
    root = folder / BESIDE
    return Place(folder, root, is_known=has_files(root), others=others)


def _others(folder: Path) -> str:
    """What another tool has in ``inventory/`` where ours would be read, too."""
    inventory = folder / FOLDER
    try:
        names = sorted(os.listdir(inventory))  # noqa: PTH208 - names are all that is wanted
    except OSError:
        return ""
    for name in names:
        if name.endswith(SUFFIXES) and not name.startswith("."):
            try:
                text = beneath.read(folder, f"{FOLDER}/{name}", _MOST).decode()
            except (OSError, ValueError):
                continue
            if tool := others_tool(text):
                return f"{FOLDER}/{name} is {tool}"
    return ""


_NOT_HOSTS = frozenset({"result", "templates", "examples", "example", "tests", "test", FOLDER})


def flake_folders(own: Path) -> tuple[Path, ...]:
    """The folders with a ``flake.nix``: the fleet's own; else those up to two levels below."""
    if (own / "flake.nix").exists():
        return (own,)
    return flakes_below(own)


def flakes_below(own: Path) -> tuple[Path, ...]:
    """The folders with a ``flake.nix`` up to two levels below the fleet's own."""
    found = []
    for folder in _folders_of(own):
        below = [folder] if (folder / "flake.nix").exists() else list(_folders_of(folder))
        found += [one for one in below if (one / "flake.nix").exists()]
    return tuple(found)


def _folders_of(folder: Path) -> Iterator[Path]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda one: one.name)
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _NOT_HOSTS:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield Path(entry.path)


def not_alone(place: Place, folder: Path) -> UsageError:
    """Of a hive beside other flakes with hosts: only one flake can be written for them."""
    name = place.relative(folder)
    return UsageError(
        f"the flake in {name}/ has a hive and no nixosConfigurations, and is not the only one here",
        hint=f"make it a fleet of its own: orchestrator init --fleet {shlex.quote(name)}",
    )


_HIVES = ("hive.nix", "colmena/hive.nix", "nix/hive.nix")
_FILES = ("default.nix", "nixos.nix", "systems.nix")
_FOLDERS = ("hosts", "machines", "systems", "nixos/hosts", "nix/hosts")
_PINS = {
    "npins/default.nix": "npins/sources.json",
    "nix/npins/default.nix": "nix/npins/sources.json",
    "nix/sources.nix": "nix/sources.json",
}
_CHANNEL = re.compile(r"^[^#\n]*<nixpkgs[/>]", re.MULTILINE)
_SYSTEMS = re.compile(r"^[^#\n]*\b(nixosConfigurations|nodes)\s*=", re.MULTILINE)


def shape_of(own: Path, *, folders: bool = False) -> Shape:
    """What a folder without a flake has.

    Args:
        own: The fleet's.
        folders: Whether only a folder for each host counts.

    Raises:
        UsageError: Nothing from which hosts could be made; the hint is what would do.
    """
    if not folders and (found := _hive_or_file(own)):
        return found
    hosts = next((one for one in _FOLDERS if any(_hosts(own / one))), "")
    single = "" if hosts else _host_name(own)
    if not (hosts or single):
        raise UsageError(
            f"no hosts in {own}: no flake.nix, no hive.nix, no hosts/NAME/configuration.nix",
            hint="go to the fleet's folder, or name it: orchestrator init --fleet DIR",
        )
    pins = next((file for file in _PINS if (own / file).is_file()), None)
    if pins is None:
        raise UsageError(
            f"{own} is no flake, and nothing in it pins nixpkgs: no npins, no niv",
            hint=_smallest_flake(hosts, single),
        )
    nixpkgs = _nixpkgs(_text(own, _PINS[pins]))
    return OfFolders(pins.removesuffix("/default.nix"), nixpkgs, hosts, single)


def _hive_or_file(own: Path) -> OfHive | OfFile | None:
    for file in (*_HIVES, *_FILES):
        text = _text(own, file)
        systems = _SYSTEMS.search(text)
        if not (file in _HIVES and (own / file).is_file()) and systems is None:
            continue
        if _CHANNEL.search(text):
            raise UsageError(
                f"{file} looks nixpkgs up in the channels (<nixpkgs>), which no flake reads",
                hint="pin it: npins init; then, in a hive: "
                "meta.nixpkgs = import (import ./npins).nixpkgs;",
            )
        return OfHive(file) if file in _HIVES else OfFile(file, systems[1] if systems else "")
    return None


def _hosts(folder: Path) -> Iterator[str]:
    for host in _folders_of(folder):
        if host.name not in SHARED and any(
            (host / f"{name}.nix").is_file() for name in ("configuration", "default")
        ):
            yield host.name


def _text(own: Path, file: str) -> str:
    try:
        return beneath.read(own, file, _MOST).decode(errors="replace")
    except OSError:
        return ""


_HOST_NAME = re.compile(
    r'^[^#\n]*\bnetworking\.hostName\s*=\s*"([A-Za-z0-9-]{1,63})"', re.MULTILINE
)


def _host_name(own: Path) -> str:
    """The name of the one host of a ``configuration.nix``; empty where there is none."""
    if not (own / "configuration.nix").is_file():
        return ""
    found = _HOST_NAME.search(_text(own, "configuration.nix"))
    return found[1] if found else "nixos"


def _nixpkgs(pins: str) -> str:
    """The pin that is nixpkgs: the one of that name; else the first that is like it."""
    try:
        said: Any = json.loads(pins)
        names = sorted(said.get("pins", said))
    except (ValueError, AttributeError, TypeError):
        names = []
    like = [name for name in names if re.match(r"(nixpkgs|nixos)", name)]
    return "nixpkgs" if "nixpkgs" in names or not like else like[0]


def _smallest_flake(hosts: str, single: str) -> str:
    name = single or "NAME"
    module = "./configuration.nix" if single else f"./{hosts}/NAME/configuration.nix"
    return f"""pin it: npins init, or niv init; or make it a flake, in flake.nix:
  {{
    inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05"; # the release that your hosts run
    outputs = {{ nixpkgs, ... }}: {{
      nixosConfigurations.{name} = nixpkgs.lib.nixosSystem {{ modules = [ {module} ]; }};
    }};
  }}
then: git add flake.nix && orchestrator init"""
