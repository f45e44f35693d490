{
  description = "orchestrator deploys NixOS fleets: the tool, and an example fleet of five hosts";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";
  inputs.agenix = {
    url = "github:ryantm/agenix";
    inputs.nixpkgs.follows = "nixpkgs";
  };
  # For the user parts of profiles: only hosts whose users have some evaluate it.
  inputs.home-manager = {
    url = "github:nix-community/home-manager/release-25.05";
    inputs.nixpkgs.follows = "nixpkgs";
  };

  # For the VM test of sops-nix alone. Nothing is fetched for it: there is that test where it is given,
  # by `--override-input sops-nix FLAKEREF`.
  inputs.sops-nix.follows = "nixpkgs";

  outputs =
    { self, nixpkgs, ... }@inputs:
    let
      inherit (nixpkgs) lib;

      each =
        make:
        lib.genAttrs [ "x86_64-linux" "aarch64-linux" ] (system: make nixpkgs.legacyPackages.${system});
      tool = pkgs: self.packages.${pkgs.stdenv.hostPlatform.system}.default;

      # Generated from inventory/*.yaml by `orchestrator inventory generate`, and committed, so that
      # `nixos-rebuild --flake .#HOST` works without the tool.
      fleet = builtins.fromJSON (builtins.readFile ./inventory/fleet.json);

      # Many equal machines are one configuration, under the name of their class.
      classes = fleet.classes or { };

      # What the inventory says of a host is handed to the modules as `config.fleet`.
      facts = name: host: {
        fleet = {
          inherit name;
          inherit (host)
            template
            profiles
            features
            roles
            tags
            hardware
            ;
          settings = host.settings or { };
          stateVersion = host.state_version;
          users = users host;
        };
      };

      # A user has the user part of a profile on hosts that have the profile too.
      users =
        host:
        lib.genAttrs host.users (
          name:
          let
            user = fleet.users.${name};
          in
          user // { profiles = lib.intersectLists host.profiles user.profiles; }
        );
      hasHomes = host: lib.any (user: user.profiles != [ ]) (lib.attrValues (users host));

      mkHost =
        name: host:
        lib.nixosSystem {
          inherit (host) system;
          # `inventory`: the whole fleet, for the few modules that look at other hosts.
          specialArgs = {
            inherit inputs;
            inventory = fleet;
          };
          # Each template imports base.nix; a host without a template gets base.nix alone.
          modules =
            lib.optional (host.template == null) ./templates/base.nix
            ++ lib.optional (host.template != null) ./templates/${host.template}.nix
            ++ map (profile: ./templates/profiles/${profile}.nix) host.profiles
            ++ map (feature: ./templates/features/${feature}.nix) host.features
            ++ lib.optionals (hasHomes host) [
              inputs.home-manager.nixosModules.home-manager
              ./templates/profiles/home/default.nix
            ]
            ++ [
              # Secrets are decrypted on the host: `age.secrets`.
              inputs.agenix.nixosModules.default
              ./hosts/${name}/default.nix
              (facts name host)
            ]
            ++ lib.optional (classes ? ${name}) ./templates/class.nix;
        };
    in
    {
      # The tool: nix/README.md. No host of the fleet depends on it.
      packages = each (pkgs: rec {
        default = orchestrator;
        orchestrator = pkgs.callPackage ./nix/package.nix { };
        image = pkgs.callPackage ./nix/image.nix { inherit orchestrator; };
      });
      apps = each (pkgs: {
        default = {
          type = "app";
          program = lib.getExe (tool pkgs);
          meta = { inherit ((tool pkgs).meta) description; };
        };
      });
      devShells = each (pkgs: {
        default = pkgs.callPackage ./nix/shell.nix { orchestrator = tool pkgs; };
      });
      # Without what `callPackage` adds, which is no check.
      checks = each (
        pkgs:
        removeAttrs (pkgs.callPackage ./nix/checks.nix {
          inherit self inputs;
          orchestrator = tool pkgs;
        }) [ "override" "overrideDerivation" ]
      );
      overlays.default = final: _: { orchestrator = final.callPackage ./nix/package.nix { }; };
      nixosModules = rec {
        default = orchestrator;
        orchestrator = lib.modules.importApply ./nix/module.nix self;
      };

      # The example fleet.
      nixosConfigurations = lib.mapAttrs mkHost (fleet.hosts // classes);
    };
}
