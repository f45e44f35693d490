"""Fleets in the shapes of public ones, and small stand-ins for what they are made with.

Each is a repository that somebody cloned: files, what is committed, and who answers nowhere. The
stand-ins have the names and the shapes of flake-parts, deploy-rs, Colmena, disko and npins.
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

HOST = """\
{ pkgs, ... }:
{
  networking.hostName = "@name@";
  system.stateVersion = "25.05";
  services.openssh.enable = true;
  environment.systemPackages = [ pkgs.age ];
}
"""
IMAGE = '{ iso = throw "an image is evaluated"; }'

READ_DIR = {
    "flake.nix": """\
{
  inputs = {
    nixpkgs.url = "path:@nixpkgs@";
    flake-parts.url = "path:@flake-parts@";
    deploy-rs.url = "path:@deploy-rs@";
  };
  outputs =
    inputs:
    inputs.flake-parts.lib.mkFlake { inherit inputs; } {
      systems = [ "x86_64-linux" ];
      imports = [ ./hosts ./deploy.nix ];
    };
}
""",
    "hosts/default.nix": """\
{ inputs, lib, ... }:
{
  flake.nixosConfigurations = lib.mapAttrs (
    name: _:
    inputs.nixpkgs.lib.nixosSystem {
      system = "x86_64-linux";
      specialArgs = { inherit inputs; };
      modules = [ ./${name} { networking.hostName = name; } ];
    }
  ) (lib.filterAttrs (_: type: type == "directory") (builtins.readDir ./.));
}
""",
    "hosts/web-1/default.nix": '{ system.stateVersion = "25.05"; services.openssh.enable = true; }',
    "hosts/thinkpad/default.nix": '{ system.stateVersion = "25.05"; }',
    "hosts/sd-image/default.nix": 'throw "an image is evaluated"',
    "deploy.nix": """\
{ inputs, lib, self, ... }:
{
  flake.deploy = {
    sshUser = "deploy";
    nodes = lib.genAttrs [ "web-1" "thinkpad" ] (name: {
      hostname = { web-1 = "127.0.0.2"; thinkpad = "127.0.0.3"; }.${name};
      sshOpts = lib.optionals (name == "web-1") [ "-p" "1" ];
      remoteBuild = name == "thinkpad";
      profiles.system = {
        user = "root";
        path = inputs.deploy-rs.lib.x86_64-linux.activate.nixos self.nixosConfigurations.${name};
      };
    });
  };
}
""",
}
_HIVE = """\
{
      meta.nixpkgs = @packages@;
      defaults = { pkgs, ... }: {
        deployment.tags = [ "fleet" ];
        deployment.targetPort = 1;
        system.stateVersion = "25.05";
        environment.systemPackages = [ pkgs.age ];
      };
      Hades = { name, ... }: {
        imports = [ @hades@ ];
        deployment = { targetHost = "127.0.0.4"; targetUser = "admin"; tags = [ "laptop" ]; };
      };
      nas = { config, lib, name, nodes, ... }: {
        networking.hostName = name;
        deployment.targetHost = "127.0.0.5";
        deployment.buildOnTarget = true;
        services.openssh.enable = lib.mkDefault (nodes ? Hades);
      };
    }"""
HIVE_FLAKE = {
    "flake.nix": """\
{
  inputs = {
    nixpkgs.url = "path:@nixpkgs@";
    colmena.url = "path:@colmena@";
  };
  outputs =
    { self, nixpkgs, colmena }:
    {
      colmena = @hive@;
      colmenaHive = colmena.lib.makeHive self.outputs.colmena;
    };
}
""".replace(
        "@hive@",
        _HIVE.replace("@packages@", 'import nixpkgs { system = "x86_64-linux"; }').replace(
            "@hades@", "./hades.nix"
        ),
    ),
    "hades.nix": '{ networking.hostName = "Hades"; }',
}
RAW_HIVE = {
    **HIVE_FLAKE,
    "flake.nix": HIVE_FLAKE["flake.nix"]
    .replace("      colmenaHive = colmena.lib.makeHive self.outputs.colmena;\n", "")
    .replace('    colmena.url = "path:@colmena@";\n', "")
    .replace("nixpkgs, colmena }", "nixpkgs }"),
}
PLAIN = {
    "flake.nix": """\
{
  inputs = {
    nixpkgs.url = "path:@nixpkgs@";
    home-manager.url = "path:@nixpkgs@/home-manager";
    disko.url = "path:@disko@";
  };
  outputs =
    { nixpkgs, home-manager, disko, ... }:
    let
      mkHost = host: nixpkgs.lib.nixosSystem {
        system = "x86_64-linux";
        modules = [
          ./machines/${host}
          disko.nixosModules.disko
          home-manager.nixosModules.home-manager
          {
            users.users.ada.isNormalUser = true;
            home-manager.users.ada.home.stateVersion = "25.05";
          }
        ];
      };
    in
    {
      nixosConfigurations = {
        desktop = mkHost "desktop";
        "vps.example" = mkHost "vps";
        installerIso = throw "an image is evaluated";
      };
    };
}
""",
    "machines/desktop/default.nix": HOST.replace("@name@", "desktop"),
    "machines/vps/default.nix": "{ imports = [ ./disk.nix ];"
    + HOST.replace("{ pkgs, ... }:\n{", "").replace("[ pkgs.age ]", "[ ]").replace("@name@", "vps"),
    "machines/vps/disk.nix": '{ disko.devices.disk.main.device = "/dev/vda"; }',
}
SUBFOLDER = {
    "README.md": "Configuration lies in nix/.",
    "nix/flake.nix": """\
{
  inputs.nixpkgs.url = "path:@nixpkgs@";
  outputs = { nixpkgs, ... }: {
    nixosConfigurations.router = nixpkgs.lib.nixosSystem {
      system = "x86_64-linux";
      modules = [ ../shared/base.nix { networking.hostName = "router"; } ];
    };
  };
}
""",
    "shared/base.nix": '{ system.stateVersion = "25.05"; }',
}
_PINNED = {"npins/default.nix": NPINS, "npins/sources.json": "@pins@"}
FOLDERS = {
    **_PINNED,
    "default.nix": "let sources = import ./npins; in import sources.nixpkgs { }",
    "hosts/mail/configuration.nix": "{ sources, ... }:\n{ imports = [ ../../common.nix ];\n"
    'networking.hostName = "mail"; environment.etc.pins.text = "${sources.nixpkgs.version}"; }',
    "hosts/t480/default.nix": '{ imports = [ ../../common.nix ]; networking.hostName = "t480"; }',
    "hosts/README.md": "A folder for each host.",
    "common.nix": '{ system.stateVersion = "25.05"; }',
}
HIVE = {
    **_PINNED,
    "hive.nix": "let sources = import ./npins; in "
    + _HIVE.replace("@packages@", "import sources.nixpkgs { }").replace("@hades@", "./hades.nix"),
    "hades.nix": '{ networking.hostName = "Hades"; }',
}
FILE = {
    **_PINNED,
    "default.nix": """\
{ sources ? import ./npins, system ? builtins.currentSystem }:
let
  pkgs = import sources.nixpkgs { inherit system; };
in
{
  inherit pkgs;
  nixosConfigurations = {
    builder = import "${sources.nixpkgs}/nixos/lib/eval-config.nix" {
      inherit system;
      modules = [ { networking.hostName = "builder"; system.stateVersion = "25.05"; } ];
    };
  };
}
""",
}


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
