"""A newcomer's clone of a fleet, and small stand-ins for what fleets are made with.

The stand-ins have the names and the shapes of flake-parts, deploy-rs, Colmena, disko and npins.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ORCHESTRATOR = Path(sys.executable).with_name("orchestrator")

# What nixpkgs has besides, for those who come from no flake: `import nixpkgs { }`, eval-config.nix.
DEFAULT = """\
{
  localSystem ? { system = args.system or builtins.currentSystem; },
  system ? localSystem.system,
  overlays ? [ ],
  config ? { },
  ...
}@args:
let
  lib = import ./lib;
in
import ./pkgs { inherit lib system; }
// {
  inherit lib overlays config;
  path = ./.;
}
"""
EVAL_CONFIG = """\
{
  system ? builtins.currentSystem,
  modules,
  specialArgs ? { },
}:
let
  lib = import ../../lib;
in
import ../. {
  inherit lib;
  packagesFor = system: import ../../pkgs { inherit lib system; };
} { inherit system modules specialArgs; }
"""

FLAKE_PARTS = """\
{
  inputs.nixpkgs-lib.url = "path:@nixpkgs@";
  outputs =
    { nixpkgs-lib, ... }:
    let
      inherit (nixpkgs-lib) lib;
      core = {
        options.flake = lib.mkOption {
          default = { };
          type = lib.types.submodule {
            freeformType = lib.types.lazyAttrsOf lib.types.raw;
            options.nixosConfigurations = lib.mkOption {
              default = { };
              type = lib.types.lazyAttrsOf lib.types.raw;
            };
          };
        };
        options.systems = lib.mkOption { type = lib.types.listOf lib.types.str; };
        options.perSystem = lib.mkOption { type = lib.types.raw; default = { }; };
      };
    in
    {
      lib.mkFlake =
        { inputs }:
        module:
        (lib.evalModules {
          specialArgs = { inherit inputs; inherit (inputs) self; };
          modules = [ core module ];
        }).config.flake;
    };
}
"""
DEPLOY_RS = """\
{
  outputs = _: {
    lib.x86_64-linux.activate.nixos = host: host.config.system.build.toplevel;
  };
}
"""
COLMENA = """\
{
  outputs = _: {
    lib.makeHive =
      raw:
      let
        names = builtins.attrNames (removeAttrs raw [ "meta" "defaults" ]);
        pkgs = raw.meta.nixpkgs;
        deployment =
          { lib, name, ... }:
          let
            option = type: default: lib.mkOption { inherit type default; };
          in
          {
            options.deployment = {
              targetHost = option (lib.types.nullOr lib.types.str) name;
              targetPort = option (lib.types.nullOr lib.types.int) null;
              targetUser = option (lib.types.nullOr lib.types.str) "root";
              tags = option (lib.types.listOf lib.types.str) [ ];
              buildOnTarget = option lib.types.bool false;
            };
          };
        nodes = builtins.listToAttrs (map (name: {
          inherit name;
          value = import (pkgs.path + "/nixos/lib/eval-config.nix") {
            inherit (pkgs) system;
            modules = [ deployment (raw.defaults or { }) raw.${name} ];
            specialArgs = (raw.meta.specialArgs or { }) // { inherit name nodes; };
          };
        }) names);
      in
      {
        __schema = "v0.5";
        inherit nodes;
        deploymentConfig = builtins.mapAttrs (_: node: node.config.deployment) nodes;
      };
  };
}
"""
DISKO = """\
{
  outputs = _: {
    nixosModules = rec {
      disko = { lib, ... }: {
        options.disko.devices = lib.mkOption { type = lib.types.anything; default = { }; };
      };
      default = disko;
    };
  };
}
"""
NPINS = """\
let
  data = builtins.fromJSON (builtins.readFile ./sources.json);
  mkSource =
    spec:
    let
      path = builtins.fetchTarball { inherit (spec) url; sha256 = spec.hash; };
    in
    spec // { outPath = path; };
in
if data.version == 5 then builtins.mapAttrs (_: mkSource) data.pins else throw "unsupported"
"""


@dataclass(frozen=True, slots=True)
class Parts:
    """What fleets are made with.

    Attributes:
        inputs: By name, the folder of each.
        pins: ``sources.json``.
    """

    inputs: Mapping[str, Path]
    pins: str

    def filled(self, text: str) -> str:
        """A text of a fleet's with where its parts are."""
        for name, folder in self.inputs.items():
            text = text.replace(f"@{name}@", str(folder))
        return text.replace("@pins@", self.pins)


def make_parts(nixpkgs: Path, folder: Path) -> Parts:
    """Write the stand-ins down."""
    inputs = {"nixpkgs": folder / "nixpkgs"}
    shutil.copytree(nixpkgs, inputs["nixpkgs"], symlinks=True)
    (inputs["nixpkgs"] / "default.nix").write_text(DEFAULT)
    (inputs["nixpkgs"] / "nixos/lib").mkdir()
    (inputs["nixpkgs"] / "nixos/lib/eval-config.nix").write_text(EVAL_CONFIG)
    others = {
        "flake-parts": FLAKE_PARTS,
        "deploy-rs": DEPLOY_RS,
        "colmena": COLMENA,
        "disko": DISKO,
    }
    for name, text in others.items():
        inputs[name] = folder / name
        inputs[name].mkdir()
        (inputs[name] / "flake.nix").write_text(text.replace("@nixpkgs@", str(inputs["nixpkgs"])))
    packed = folder / "nixpkgs.tar.gz"
    run("tar", "-czf", packed, "-C", folder, "nixpkgs")
    url = f"file://{packed}"
    digest = run("nix", "hash", "path", inputs["nixpkgs"]).stdout.strip()
    pin = {"type": "Channel", "name": "nixos-25.05", "version": "25.05", "url": url, "hash": digest}
    return Parts(inputs, json.dumps({"pins": {"nixpkgs": pin}, "version": 5}))


def run(*argv: object, cwd: Path | None = None, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command, which must end well."""
    words = [str(word) for word in argv]
    done = subprocess.run(
        words, cwd=cwd, capture_output=True, text=True, timeout=120, check=False, **more
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done


@dataclass(frozen=True, slots=True)
class Clone:
    """A fleet as a newcomer has it: just cloned.

    Attributes:
        home: The newcomer's, without anything of SSH's.
    """

    root: Path
    home: Path

    @property
    def _env(self) -> dict[str, str]:
        hidden = ("SSH_", "ORCHESTRATOR_")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(hidden)},
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.home / "cache"),
            "XDG_STATE_HOME": str(self.home / "state"),
            "ORCHESTRATOR_LEARN": "never",
        }

    def at_a_terminal(self, question: str, keys: bytes, *words: str) -> tuple[int, str]:
        """Type a command at a terminal, and keys when it asks; its exit code and what it showed.

        Keys are pressed again as long as nothing comes of them: before Python reads, none counts.
        """
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.root)
            os.execve(ORCHESTRATOR, (str(ORCHESTRATOR), *words), self._env)
        shown = b""
        with contextlib.suppress(OSError):  # at its end
            while True:
                if select.select([terminal], [], [], 0.5)[0]:
                    shown += os.read(terminal, 4096)
                elif question.encode() in shown:
                    os.write(terminal, keys)
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()

    def type(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Type a command of the tool's there."""
        return subprocess.run(
            (str(ORCHESTRATOR), *words),
            cwd=self.root,
            env=self._env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def git(self, *words: str) -> str:
        """Ask git there."""
        return run("git", *words, cwd=self.root).stdout

    def read(self, file: str) -> str:
        """Read a file of it."""
        return (self.root / file).read_text()


def cloned(files: Mapping[str, str], parts: Parts, folder: Path) -> Clone:
    """Publish a fleet with its lock file, and clone it."""
    upstream = folder / "upstream"
    upstream.mkdir(parents=True)
    for name, text in files.items():
        file = upstream / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(parts.filled(text))
    flakes = [file.parent for file in upstream.rglob("flake.nix")]
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    run("git", "init", "--quiet", upstream)
    run("git", "-C", upstream, "add", ".")
    for flake in flakes:
        run("nix", "flake", "lock", cwd=flake)
    run("git", "-C", upstream, "add", ".")
    run("git", "-C", upstream, *who, "commit", "--quiet", "--message", "a fleet")
    run("git", "clone", "--quiet", upstream, folder / "clone")
    (folder / "home").mkdir()
    return Clone(folder / "clone", folder / "home")
