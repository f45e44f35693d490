{
  description = "Example fleet: five NixOS hosts made of templates, profiles and features";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-25.05";

  outputs =
    { nixpkgs, ... }@inputs:
    let
      inherit (nixpkgs) lib;

      # Generated from inventory/*.yaml by `orchestrator inventory generate`, and committed, so that
      # `nixos-rebuild --flake .#HOST` works without the tool.
      fleet = builtins.fromJSON (builtins.readFile ./inventory/fleet.json);

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
          stateVersion = host.state_version;
          users = lib.genAttrs host.users (user: fleet.users.${user});
        };
      };

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
            ++ [
              ./hosts/${name}/default.nix
              (facts name host)
            ];
        };
    in
    {
      nixosConfigurations = lib.mapAttrs mkHost fleet.hosts;
    };
}
