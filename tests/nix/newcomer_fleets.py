"""Fleets in the shapes of public ones: the files of a repository, and none that answers."""

from __future__ import annotations

from newcomer_parts import NPINS

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
    "hosts/common/default.nix": "{ }",
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
