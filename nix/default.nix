# What the root flake offers beside its example fleet. No host of the fleet depends on this folder.
{ self, nixpkgs, ... }:
let
  inherit (nixpkgs) lib;
  systems = [
    "x86_64-linux"
    "aarch64-linux"
  ];
  each = make: lib.genAttrs systems (system: make nixpkgs.legacyPackages.${system});
  orchestrator = pkgs: pkgs.callPackage ./package.nix { };
in
{
  packages = each (pkgs: {
    default = orchestrator pkgs;
    orchestrator = orchestrator pkgs;
    image = pkgs.callPackage ./image.nix { orchestrator = orchestrator pkgs; };
  });

  apps = each (pkgs: {
    default = {
      type = "app";
      program = lib.getExe (orchestrator pkgs);
      meta = { inherit ((orchestrator pkgs).meta) description; };
    };
  });

  overlays.default = final: _: { orchestrator = orchestrator final; };

  devShells = each (pkgs: {
    default = pkgs.callPackage ./shell.nix { orchestrator = orchestrator pkgs; };
  });

  checks = each (
    pkgs:
    pkgs.callPackage ./checks.nix {
      inherit self;
      orchestrator = orchestrator pkgs;
    }
  );

  nixosModules = rec {
    default = orchestrator;
    orchestrator = lib.modules.importApply ./module.nix self;
  };
}
