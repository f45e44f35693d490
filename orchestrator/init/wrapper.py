"""The text of a flake beside files that are none, or export no ``nixosConfigurations``.

It lies in the inventory's folder, and reads the fleet's own files where they are. Nothing of theirs
is changed, and what they pin is what counts.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeAlias, assert_never

from orchestrator.inventory.root import FOLDER

FILE = "flake.nix"

SHARED = (
    "base",
    "common",
    "defaults",
    "features",
    "modules",
    "profiles",
    "roles",
    "shared",
    "users",
)
"""Folders beside those of hosts, with what hosts share."""


@dataclass(frozen=True, slots=True)
class OfFlake:
    """A flake without ``nixosConfigurations``.

    Attributes:
        folder: The flake's, relative to the repository.
        output: ``colmenaHive``, whose nodes are systems; or ``colmena``, a hive as it is written.
    """

    folder: str
    output: str


@dataclass(frozen=True, slots=True)
class OfHive:
    """Colmena's ``hive.nix``, relative to the fleet's folder."""

    file: str


@dataclass(frozen=True, slots=True)
class OfFolders:
    """A folder for each host, and pins.

    Attributes:
        pins: ``npins`` or ``nix/sources.nix``, relative to the fleet's folder.
        nixpkgs: The pin that is nixpkgs.
        folder: What has a folder for each host; empty where ``single`` is the only host.
        single: The name of a host whose ``configuration.nix`` is not in a folder of its own.
    """

    pins: str
    nixpkgs: str
    folder: str
    single: str = ""


@dataclass(frozen=True, slots=True)
class OfFile:
    """A Nix file with systems below an attribute, such as a ``default.nix`` of one's own."""

    file: str
    attr: str


Shape: TypeAlias = OfFlake | OfHive | OfFile | OfFolders


def text(shape: Shape, below: str, system: str | None = None) -> str:
    """Write the flake.

    Args:
        shape: What it is made of.
        below: The wrapper's folder, relative to the fleet's own.
        system: What files get that ask on which system they are; this machine's by default.
    """
    asked = system or f"{platform.machine()}-linux"
    scope = _SCOPE.replace("@UP@", _path(below, "")).replace("@SYSTEM@", asked)
    match shape:
        case OfFlake(folder, output):
            given = _FLAKE.replace("@DIR@", f" dir = {_string(folder)};" if folder else "")
            about = "the flake" if not folder else f"the flake in {folder}/"
            plain = _HIVE.replace("@IMPORT@", "import")
            made = _OF_HIVE if output == "colmenaHive" else f"hive = fleet.colmena;\n\n{plain}"
            body, nodes = f"{given}\n{made}", "nodes"
            more = f"      inherit (fleet) {output};\n"
        case OfHive(file):
            opened = f"hive = opened (scope.import {_path(below, file)});\n\n"
            body = f"{scope}\n{opened}{_HIVE.replace('@IMPORT@', 'scope.import')}"
            nodes, about, more = "nodes", file, "      colmena = hive;\n"
        case OfFile(file, attr):
            opened = f"inherit (opened (scope.import {_path(below, file)})) {attr};\n"
            body, nodes, about, more = f"{scope}\n{opened}", attr, file, ""
        case OfFolders(pins, nixpkgs, folder, single):
            made = _SYSTEMS.replace("@PINS@", _path(below, pins))
            made = made.replace("@NIXPKGS@", _string(nixpkgs))
            body = f"{scope}\n{made}\n{_folders(below, folder, single)}"
            nodes, about, more = "systems", folder or "configuration.nix", ""
        case _:
            assert_never(shape)
    indented = "\n".join(f"      {line}".rstrip() for line in body.strip().split("\n"))
    return _WHOLE.format(about=about, body=indented, nodes=nodes, more=more)


def about(shape: Shape, own: Path) -> Iterator[str]:
    """What to know of the flake of such a shape, for a fleet's own folder."""
    written = f"{FOLDER}/{FILE} makes nixosConfigurations of"
    match shape:
        case OfFlake(output="colmenaHive"):
            yield (
                f"{written} colmenaHive; or say in your flake.nix, in its outputs: "
                "nixosConfigurations = self.colmenaHive.nodes;"
            )
        case OfFlake():
            yield f"{written} the flake's output colmena"
        case OfFolders(folder=folder) if folder:
            for name in SHARED:
                if (own / folder / name).is_dir():
                    yield f"{folder}/{name}/ is what hosts share, by its name, and no host"
            yield f"{written} your files as they are, with what they pin"
        case _:
            yield f"{written} your files as they are, with what they pin"


def _folders(below: str, folder: str, single: str) -> str:
    if single:
        module = _path(below, "configuration.nix")
        return f"systems = {{\n  {_string(single)} = system {module};\n}};\n"
    shared = " ".join(map(_string, SHARED))
    return _FOLDERS.replace("@FOLDER@", _path(below, folder)).replace("@SHARED@", shared)


def _string(value: str) -> str:
    """A text as Nix reads it; https://nix.dev/manual/nix/latest/language/string-literals."""
    escaped = re.sub(r'(["\\]|\$\{)', r"\\\1", value)
    return f'"{escaped}"'


def _path(below: str, path: str) -> str:
    """A path of the fleet's from the wrapper's folder; odd characters are in a string."""
    up = "/".join(".." for _ in PurePosixPath(below).parts)
    whole = f"{up}/{path}" if path else f"{up}/."
    if re.fullmatch(r"[A-Za-z0-9._/+-]+", whole):
        return whole
    return f"({up}/. + {_string(f'/{path}')})"


_WHOLE = """\
# Written by `orchestrator init`, and yours from now on: the hosts of {about}, as the
# nixosConfigurations that deployments name. No other file was changed, and what you pin counts.
{{
  description = "The fleet's hosts, as nixosConfigurations";

  outputs =
    {{ self }}:
    let
{body}
    in
    {{
      nixosConfigurations = {nodes};
{more}    }};
}}
"""

_FLAKE = """\
# The flake of this same tree, with its own flake.lock.
fleet =
  let
    path = builtins.unsafeDiscardStringContext self.sourceInfo.outPath;
    inherit (self.sourceInfo) narHash;
  in
  builtins.getFlake (
    builtins.flakeRefToString (
      builtins.deepSeq [ path narHash ] {
        type = "path";
        inherit path narHash;@DIR@
      }
    )
  );
"""

_OF_HIVE = "inherit (fleet.colmenaHive) nodes;\n"

_SCOPE = """\
# Outside of a flake, files may ask on which system they are. A flake has no such thing, so
# nixpkgs and the fleet's own files are told this one.
currentSystem = "@SYSTEM@";
own = toString @UP@;
isOwn = path: path == own || builtins.substring 0 (builtins.stringLength own + 1) path == "${own}/";
scope = {
  import =
    path:
    if isOwn (toString path) then
      builtins.scopedImport scope path
    else
      asking (builtins.import path);
  __currentSystem = currentSystem;
  builtins = builtins // {
    inherit currentSystem;
    inherit (scope) import;
  };
};
asking =
  value:
  if builtins.isFunction value && (builtins.functionArgs value) ? localSystem then
    arguments:
    value (
      (if arguments ? system || arguments ? localSystem then { } else { system = currentSystem; })
      // arguments
    )
  else
    value;
opened = value: if builtins.isFunction value then value { } else value;
"""

_HIVE = """\
meta = {
  nodeNixpkgs = { };
  nodeSpecialArgs = { };
  specialArgs = { };
}
// (hive.meta or hive.network or { });
names = builtins.attrNames (
  removeAttrs hive [
    "defaults"
    "meta"
    "network"
  ]
);

# As Colmena has it: a path to nixpkgs, a function, or what that gives.
packages =
  given:
  if builtins.isFunction given then
    given { overlays = [ ]; }
  else if given ? stdenv then
    given
  else
    packages (@IMPORT@ given);

# What deployments are told by the inventory; modules may look at it all the same.
deployment =
  name:
  { lib, ... }:
  {
    options.deployment = lib.mkOption {
      default = { };
      type = lib.types.submodule {
        freeformType = lib.types.attrsOf lib.types.anything;
        options = {
          tags = lib.mkOption {
            type = lib.types.listOf lib.types.str;
            default = [ ];
          };
          targetHost = lib.mkOption {
            type = lib.types.nullOr lib.types.str;
            default = name;
          };
        };
      };
    };
  };

node =
  name:
  let
    pkgs = packages (meta.nodeNixpkgs.${name} or meta.nixpkgs);
    modules = hive.${name};
  in
  import (pkgs.path + "/nixos/lib/eval-config.nix") {
    inherit (pkgs.stdenv.hostPlatform) system;
    modules = [
      (deployment name)
      (
        { lib, ... }:
        {
          nixpkgs.overlays = lib.mkBefore (pkgs.overlays or [ ]);
          nixpkgs.config = lib.mkBefore (pkgs.config or { });
        }
      )
      (hive.defaults or { })
    ]
    ++ (if builtins.isList modules then modules else [ modules ]);
    specialArgs =
      meta.specialArgs // (meta.nodeSpecialArgs.${name} or { }) // { inherit name nodes; };
  };
nodes = builtins.listToAttrs (
  map (name: {
    inherit name;
    value = node name;
  }) names
);
"""

_SYSTEMS = """\
sources = scope.import @PINS@;
system =
  module:
  import (sources.@NIXPKGS@ + "/nixos/lib/eval-config.nix") {
    system = currentSystem;
    modules = [ module ];
    specialArgs = { inherit sources; };
  };
"""

_FOLDERS = """\
# Each folder that has a configuration.nix, or a default.nix, is a host, but those that hosts share.
folder = @FOLDER@;
shared = [ @SHARED@ ];
there = builtins.readDir folder;
has = name: file: builtins.pathExists (folder + "/${name}/${file}");
systems = builtins.listToAttrs (
  map
    (name: {
      inherit name;
      value = system (
        folder + "/${name}" + (if has name "configuration.nix" then "/configuration.nix" else "")
      );
    })
    (
      builtins.filter (
        name:
        there.${name} == "directory"
        && !builtins.elem name shared
        && (has name "configuration.nix" || has name "default.nix")
      ) (builtins.attrNames there)
    )
);
"""
